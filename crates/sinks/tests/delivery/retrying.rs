//! Peers that fail in the ways peers do: every event arrives, in its order, and the account tells what went on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{
    agent::{Agent, sink},
    http_server::{Answer, Server},
};

#[tokio::test]
async fn errors_are_waited_out_and_told_once_with_their_end() {
    let answers = [503, 429, 500, 401, 404, 301];
    let server = Server::start(move |number, _| {
        Answer::Status(answers.get(number).copied().unwrap_or(200), b"busy".to_vec())
    })
    .await;
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), json!({}))])).await;
    agent.alerts(0..1);
    let account = agent.delivered("hook", 1).await;
    assert_eq!((account.failures, account.dropped.total()), (6, 0));
    agent.until("hook", |account| account.problem.is_empty()).await;
    let told = agent.told();
    assert_eq!(told.len(), 2, "{told:?}");
    let away = "takes no events now: status 503 Service Unavailable: busy";
    assert!(told[0].ends_with(away) && told[0].contains(&server.url()), "{}", told[0]);
    assert!(told[1].contains("takes events again"), "{}", told[1]);
}

#[tokio::test]
async fn connections_that_close_midway_lose_nothing_and_keep_the_order() {
    let server =
        Server::start(|number, _| if number % 3 == 0 { Answer::Close } else { Answer::ok() }).await;
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), json!({}))])).await;
    for start in [0, 40, 80] {
        assert_eq!(agent.alerts(start..start + 40), 40);
        agent.delivered("hook", start as u64 + 40).await;
    }
    let mut seen = server.numbers();
    seen.dedup();
    // What was not answered is sent again from its beginning.
    let mut first_seen = Vec::new();
    for number in seen {
        if !first_seen.contains(&number) {
            first_seen.push(number);
        }
    }
    assert_eq!(first_seen, (0..120).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_asked_again() {
    let server =
        Server::start(|number, _| if number == 0 { Answer::Hang } else { Answer::ok() }).await;
    let more = json!({"timeoutMillis": 300});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    agent.alerts(0..1);
    let account = agent.until("hook", |account| account.delivered == 1).await;
    assert!(account.failures >= 1);
    assert!(agent.told()[0].contains("no answer within 300ms"), "{:?}", agent.told());
}

#[tokio::test]
async fn while_one_request_hangs_the_spool_takes_what_the_queue_should_not_hold() {
    let free = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let free = Arc::clone(&free);
        move |_, _| if free.load(Ordering::Relaxed) { Answer::ok() } else { Answer::Hang }
    })
    .await;
    let more = json!({"queue": {"maxEvents": 20}, "timeoutMillis": 2000});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    let mut offered = 0;
    for start in (0..200).step_by(10) {
        offered += agent.alerts(start..start + 10);
        agent.until("hook", |account| account.waiting <= 20).await;
    }
    assert_eq!(offered, 200);
    let account = agent.account("hook");
    assert!(account.spooled > 100, "{account:?}");
    free.store(true, Ordering::Relaxed);
    agent.delivered("hook", 200).await;
    let mut seen = server.numbers();
    seen.drain(..10);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
    agent.until("hook", |account| account.spool_bytes == 0).await;
}
