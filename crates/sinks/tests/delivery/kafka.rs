//! Kafka, against a broker that is built on the decoders of its protocol. `kafka_real` below asks a real one.

use kafka_protocol::records::Record;
use serde_json::{Value, json};
use sinks::{DropReason, Stream};

use super::{
    agent::{Agent, alert, dropped, numbers, sink},
    http_server::closed_port,
    kafka_broker::Broker,
};

const NOT_LEADER: i16 = 6;
const TOO_LARGE: i16 = 10;
const INVALID_RECORD: i16 = 87;

fn value(record: &Record) -> Vec<u8> {
    record.value.clone().unwrap().to_vec()
}

fn list(port: u16, more: Value) -> Value {
    // The first of the two is not there.
    let endpoint = format!("tcp://127.0.0.1:{},127.0.0.1:{port}", closed_port());
    json!([sink("kafka", "kafka", &endpoint, more)])
}

#[tokio::test]
async fn topics_by_stream_and_partitions_in_turn() {
    let broker = Broker::start(None, |_, _| 0).await;
    let agent = Agent::start(list(broker.port, json!({"logsTopic": "other"}))).await;
    for number in 0..4 {
        agent.alerts(number..number + 1);
        agent.delivered("kafka", number as u64 + 1).await;
    }
    assert!(agent.sinks.offer(Stream::Logs, alert(9)));
    agent.delivered("kafka", 5).await;
    let log = broker.log();
    let places: Vec<_> = log.records.keys().map(|(topic, index)| (&**topic, *index)).collect();
    assert_eq!(places[..2], [("kubearmor-alerts", 0), ("kubearmor-alerts", 1)]);
    assert_eq!(places[2].0, "other");
    assert_eq!(log.lookups, 2, "one for each topic");
    let record = &log.records[&("kubearmor-alerts".to_owned(), 0)][0];
    assert_eq!(value(record), alert(0).into_bytes());
    assert_eq!(record.timestamp, 1_700_000_000_000);
    assert_eq!((record.producer_id, record.sequence), (-1, -1));
    let headers: Vec<_> = record.headers.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(headers, ["type", "id"]);
}

#[tokio::test]
async fn another_leader_is_looked_for_and_large_batches_are_parted() {
    let broker = Broker::start(None, |number, records| match number {
        0 => NOT_LEADER,
        _ if records.iter().any(|record| numbers(&value(record)) == [3]) && records.len() == 1 => {
            INVALID_RECORD
        }
        _ if records.len() > 1 => TOO_LARGE,
        _ => 0,
    })
    .await;
    let more = json!({"batch": {"maxEvents": 8, "maxAgeMillis": 60_000}});
    let agent = Agent::start(list(broker.port, more)).await;
    agent.alerts(0..8);
    let account = agent.until("kafka", |account| account.waiting == 0).await;
    assert_eq!((account.delivered, dropped(&account, DropReason::Refused)), (7, 1));
    let log = broker.log();
    assert_eq!(log.lookups, 2);
    let mut seen: Vec<usize> =
        log.records.values().flatten().flat_map(|record| numbers(&value(record))).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 4, 5, 6, 7]);
    let told = agent.told().join("\n");
    assert!(told.contains("topic kubearmor-alerts: NotLeaderOrFollower"), "{told}");
    assert!(
        told.contains("its peer refuses them: topic kubearmor-alerts: InvalidRecord"),
        "{told}"
    );
}

#[tokio::test]
async fn a_password_is_shown_and_a_wrong_one_is_told_without_it() {
    let broker = Broker::start(Some(("agent", "s3cret")), |_, _| 0).await;
    let agent = Agent::start(json!([])).await;
    let file = agent.directory.path().join("password");
    std::fs::write(&file, "wr0ng").unwrap();
    agent
        .apply(list(broker.port, json!({"auth": {"username": "agent", "secretFile": file}})))
        .await;
    agent.alerts(0..1);
    agent.until("kafka", |account| account.problem.contains("SASL PLAIN: ")).await;
    std::fs::write(&file, "s3cret").unwrap();
    agent.delivered("kafka", 1).await;
    assert!(!agent.told().join("\n").contains("wr0ng"), "{:?}", agent.told());
}

/// Run by hand, see `docs/operators.md`: a broker's address in `KAFKA_BROKER`, and a topic that its console consumer shows.
#[tokio::test]
#[ignore = "needs a Kafka broker"]
async fn kafka_real() {
    let broker = std::env::var("KAFKA_BROKER").expect("KAFKA_BROKER=HOST:PORT");
    let endpoint = format!("tcp://{broker}");
    let agent = Agent::start(json!([sink("kafka", "kafka", &endpoint, json!({}))])).await;
    agent.alerts(0..100);
    let account = agent.delivered("kafka", 100).await;
    assert_eq!(account.dropped.total(), 0);
    println!("{:?} {account:?}", agent.told());
}
