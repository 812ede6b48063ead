//! Changes of the list while events are on their way.

use serde_json::json;

use super::{
    agent::{Agent, files, sink},
    http_server::{Answer, Server, closed_port},
};

#[tokio::test]
async fn a_changed_sink_goes_on_with_its_queue_and_others_are_left_alone() {
    let (one, two) =
        (Server::start(|_, _| Answer::ok()).await, Server::start(|_, _| Answer::ok()).await);
    let away = format!("http://127.0.0.1:{}", closed_port());
    // Without a spool all that waits is in memory.
    let more = json!({"spool": {"maxBytes": 0}});
    let steady = sink("steady", "webhook", &one.url(), json!({}));
    let agent = Agent::start(json!([steady, sink("moving", "webhook", &away, more.clone())])).await;
    assert_eq!(agent.alerts(0..30), 30);
    agent.delivered("steady", 30).await;
    agent.until("moving", |account| account.failures > 0).await;
    agent.apply(json!([steady, sink("moving", "webhook", &two.url(), more)])).await;
    agent.delivered("moving", 30).await;
    assert_eq!(two.numbers(), (0..30).collect::<Vec<_>>());
    assert_eq!(agent.alerts(30..40), 10);
    agent.delivered("steady", 40).await;
    assert_eq!(one.connections(), 1, "its connection is the same");
}

#[tokio::test]
async fn a_sink_may_become_another_kind() {
    let server = Server::start(|_, _| Answer::ok()).await;
    let away = format!("tcp://127.0.0.1:{}", closed_port());
    let agent = Agent::start(json!([sink("log", "syslog", &away, json!({}))])).await;
    agent.alerts(0..5);
    agent.until("log", |account| account.failures > 0).await;
    agent.apply(json!([sink("log", "webhook", &server.url(), json!({}))])).await;
    let account = agent.delivered("log", 5).await;
    assert_eq!(account.kind, "webhook");
}

#[tokio::test]
async fn a_removed_sink_leaves_its_spool_for_the_one_that_takes_its_name() {
    let away = format!("http://127.0.0.1:{}", closed_port());
    let agent = Agent::start(json!([sink("hook", "webhook", &away, json!({}))])).await;
    agent.alerts(0..25);
    agent.until("hook", |account| account.failures > 0).await;
    agent.apply(json!([])).await;
    assert!(agent.sinks.accounts().is_empty());
    assert_eq!(agent.alerts(25..30), 5, "nobody wants them");
    assert!(files(&agent.spool().join("hook")) > 0);
    let server = Server::start(|_, _| Answer::ok()).await;
    agent.apply(json!([sink("hook", "webhook", &server.url(), json!({}))])).await;
    agent.delivered("hook", 25).await;
    assert_eq!(server.numbers(), (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_spool_that_is_given_up_is_emptied_and_not_filled_again() {
    let away = format!("http://127.0.0.1:{}", closed_port());
    let agent = Agent::start(json!([sink("hook", "webhook", &away, json!({}))])).await;
    agent.alerts(0..25);
    agent.until("hook", |account| account.spooled > 0).await;
    let server = Server::start(|_, _| Answer::ok()).await;
    let more = json!({"spool": {"maxBytes": 0}});
    agent.apply(json!([sink("hook", "webhook", &server.url(), more.clone())])).await;
    agent.delivered("hook", 25).await;
    agent.apply(json!([sink("hook", "webhook", &away, more)])).await;
    agent.alerts(25..50);
    agent.until("hook", |account| account.failures > 2 && account.waiting == 25).await;
    assert_eq!(agent.account("hook").spooled, 0);
}

#[tokio::test]
async fn at_the_end_a_peer_that_listens_gets_the_rest() {
    let server = Server::start(|_, _| Answer::ok()).await;
    let more = json!({"batch": {"maxAgeMillis": 3_600_000}});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    agent.alerts(0..5);
    agent.sinks.close(std::time::Duration::from_mins(1)).await;
    assert_eq!(server.numbers(), (0..5).collect::<Vec<_>>());
    assert_eq!(agent.alerts(5..6), 0, "nothing is taken any more");
    assert_eq!(agent.account("hook").delivered, 5);
}
