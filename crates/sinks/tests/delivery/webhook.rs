//! Webhooks, and with them what all peers that are spoken to by HTTP have in common.

use std::fs;

use serde_json::{Value, json};
use sinks::{DropReason, Stream};

use super::{
    agent::{Agent, alert, dropped, sink},
    http_server::{Answer, Server},
};

#[tokio::test]
async fn an_array_with_headers_and_a_token_over_one_connection() {
    let server = Server::start(|_, _| Answer::status(204)).await;
    let agent = Agent::start(json!([])).await;
    let token = agent.directory.path().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let more = json!({"auth": {"secretFile": token}, "headers": {"X-Team": "blue"}});
    agent.apply(json!([sink("hook", "webhook", &format!("{}/in?a=b", server.url()), more)])).await;
    for number in 0..3 {
        assert!(agent.sinks.offer(Stream::Alerts, alert(number)));
        agent.delivered("hook", number as u64 + 1).await;
    }
    let requests = server.received();
    assert_eq!(requests.len(), 3);
    assert_eq!(server.connections(), 1);
    assert_eq!(requests[0].path, "/in?a=b");
    assert_eq!(requests[0].headers["authorization"], "Bearer s3cret");
    assert_eq!(requests[0].headers["x-team"], "blue");
    assert_eq!(requests[0].headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body, json!([serde_json::from_str::<Value>(&alert(0)).unwrap()]));
    assert!(agent.told().is_empty(), "{:?}", agent.told());
}

#[tokio::test]
async fn lines_packed() {
    let server = Server::start(|_, _| Answer::ok()).await;
    let more = json!({"format": "lines", "gzip": true});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    assert_eq!(agent.alerts(0..10), 10);
    agent.delivered("hook", 10).await;
    let body: Vec<u8> = server.received().iter().flat_map(|request| request.body.clone()).collect();
    let expected: String = (0..10).map(|number| alert(number) + "\n").collect();
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn only_what_is_asked_for_is_sent_and_counted() {
    let server = Server::start(|_, _| Answer::ok()).await;
    let more = json!({"events": ["alerts"], "filter": {"namespaces": ["bank"]}});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    assert!(agent.sinks.want(Stream::Alerts) && !agent.sinks.want(Stream::Logs));
    assert!(agent.sinks.offer(Stream::Logs, alert(0)));
    assert!(agent.sinks.offer(Stream::Alerts, alert(1).replace("bank", "shop")));
    assert!(agent.sinks.offer(Stream::Alerts, alert(2)));
    let account = agent.delivered("hook", 1).await;
    assert_eq!((account.received, account.kind), (1, "webhook"));
    assert_eq!(server.numbers(), [2]);
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_told_once() {
    let server = Server::start(|_, _| Answer::Status(422, b"no such field".to_vec())).await;
    let more = json!({"batch": {"maxEvents": 1}});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    agent.alerts(0..5);
    let account = agent.until("hook", |account| account.dropped.total() == 5).await;
    assert_eq!(dropped(&account, DropReason::Refused), 5);
    let told = agent.told();
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = "sink `hook`: dropped 1 events: its peer refuses them: status 422 Unprocessable Entity: no such field";
    assert_eq!(told[0], expected);
}

#[tokio::test]
async fn what_is_too_large_at_once_is_sent_in_parts() {
    let server = Server::start(|_, request| {
        let many = super::agent::numbers(&request.body).len();
        let huge = request.body.windows(4).any(|window| window == b"HUGE");
        Answer::status(if many > 3 || huge { 413 } else { 200 })
    })
    .await;
    let more = json!({"batch": {"maxEvents": 10, "maxAgeMillis": 60_000}});
    let agent = Agent::start(json!([sink("hook", "webhook", &server.url(), more)])).await;
    agent.alerts(0..9);
    let _ = agent.sinks.offer(Stream::Alerts, r#"{"Message":"HUGE"}"#.into());
    let account = agent.until("hook", |account| account.waiting == 0).await;
    assert_eq!((account.delivered, dropped(&account, DropReason::Refused)), (9, 1));
    let sizes: Vec<usize> =
        server.received().iter().map(|r| super::agent::numbers(&r.body).len()).collect();
    assert_eq!(sizes[..2], [9, 5], "{sizes:?}");
}
