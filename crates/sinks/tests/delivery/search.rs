//! Elasticsearch and `OpenSearch`: a stand-in that keeps documents by index and id, as they do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use sinks::{DropReason, Stream};

use super::{
    agent::{Agent, alert, dropped, sink},
    http_server::{Answer, Received, Server},
};

#[derive(Default)]
struct Index(Mutex<BTreeMap<(String, String), Value>>);

impl Index {
    /// Creates what is not there; `fault` may give a document another status.
    fn bulk(&self, request: &Received, fault: impl Fn(&Value) -> Option<u16>) -> Answer {
        assert!(request.path.starts_with("/_bulk?filter_path="), "{}", request.path);
        assert_eq!(request.headers["content-type"], "application/x-ndjson");
        let lines: Vec<Value> = std::str::from_utf8(&request.body)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut documents = self.0.lock().unwrap();
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            let text = |key: &str| pair[0]["create"][key].as_str().unwrap().to_owned();
            let key = (text("_index"), text("_id"));
            let status = match fault(&pair[1]) {
                Some(status) => status,
                None if documents.contains_key(&key) => 409,
                None => {
                    documents.insert(key, pair[1].clone());
                    201
                }
            };
            let error = json!({"type": "some_exception", "reason": "as the test wants it"});
            items.push(match status {
                201 => json!({"create": {"status": 201}}),
                _ => json!({"create": {"status": status, "error": error}}),
            });
        }
        let errors = items.iter().any(|item| item["create"]["status"] != 201);
        Answer::Status(200, json!({"errors": errors, "items": items}).to_string().into())
    }

    fn documents(&self) -> Vec<(String, Value)> {
        let documents = self.0.lock().unwrap();
        documents.iter().map(|((index, _), document)| (index.clone(), document.clone())).collect()
    }
}

#[tokio::test]
async fn documents_go_to_the_indexes_that_dashboards_look_at() {
    let index = Arc::new(Index::default());
    let server = {
        let index = Arc::clone(&index);
        Server::start(move |_, request| index.bulk(request, |_| None)).await
    };
    let agent = Agent::start(json!([])).await;
    let secret = agent.directory.path().join("password");
    std::fs::write(&secret, "s3cret").unwrap();
    let more = json!({"auth": {"username": "elastic", "secretFile": secret}, "logsIndex": "other"});
    agent.apply(json!([sink("es", "elasticsearch", &server.url(), more)])).await;
    assert!(agent.sinks.offer(Stream::Alerts, alert(1)));
    assert!(agent.sinks.offer(Stream::Logs, alert(2)));
    assert!(agent.sinks.offer(Stream::Messages, alert(3)));
    agent.delivered("es", 3).await;
    let mut documents = index.documents();
    documents.sort_by_key(|(index, _)| index.clone());
    let parsed = |number| serde_json::from_str::<Value>(&alert(number)).unwrap();
    assert_eq!(
        documents,
        [
            ("kubearmor-alerts".to_owned(), parsed(1)),
            ("kubearmor-messages".to_owned(), parsed(3)),
            ("other".to_owned(), parsed(2)),
        ]
    );
    assert_eq!(server.received()[0].headers["authorization"], "Basic ZWxhc3RpYzpzM2NyZXQ=");
    assert_eq!(server.received()[0].headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn items_are_judged_one_by_one() {
    let index = Arc::new(Index::default());
    let calls = Arc::new(Mutex::new(0));
    let server = {
        let (index, calls) = (Arc::clone(&index), Arc::clone(&calls));
        Server::start(move |_, request| {
            *calls.lock().unwrap() += 1;
            let first = *calls.lock().unwrap() == 1;
            index.bulk(request, |document| {
                let text = document["Message"].as_str().unwrap();
                let number: u32 = text.rsplit(' ').next().unwrap().parse().unwrap();
                match number % 5 {
                    1 => Some(400),
                    2 if first => Some(429),
                    3 if first => Some(503),
                    _ => None,
                }
            })
        })
        .await
    };
    let more = json!({"batch": {"maxEvents": 10, "maxAgeMillis": 60_000}});
    let agent = Agent::start(json!([sink("es", "opensearch", &server.url(), more)])).await;
    agent.alerts(0..10);
    let account = agent.until("es", |account| account.waiting == 0).await;
    assert_eq!((account.delivered, dropped(&account, DropReason::Refused)), (8, 2));
    assert_eq!(index.documents().len(), 8);
    let told = agent.told().join("\n");
    assert!(
        told.contains("dropped 2 events: its peer refuses them: status 400, some_exception"),
        "{told}"
    );
    assert!(told.contains("takes no events now: status 503"), "{told}");
    assert_eq!(server.numbers().len(), 14, "only four were sent again");
}

#[tokio::test]
async fn an_answer_that_got_lost_makes_no_second_document() {
    let index = Arc::new(Index::default());
    let server = {
        let index = Arc::clone(&index);
        Server::start(move |number, request| {
            let answer = index.bulk(request, |_| None);
            if number == 0 { Answer::Close } else { answer }
        })
        .await
    };
    let agent = Agent::start(json!([sink("es", "elasticsearch", &server.url(), json!({}))])).await;
    agent.alerts(0..10);
    agent.delivered("es", 10).await;
    assert!(server.received().len() >= 2);
    assert_eq!(index.documents().len(), 10);
}
