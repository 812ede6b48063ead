//! Splunk's collector of events.

use serde_json::{Value, json};
use sinks::DropReason;

use super::{
    agent::{Agent, dropped, sink},
    http_server::{Answer, Server},
};

#[tokio::test]
async fn the_token_is_shown_and_one_bad_event_costs_no_other() {
    let server = Server::start(|_, request| {
        if request.headers.get("authorization").map(String::as_str) != Some("Splunk 0000-1111") {
            return Answer::Status(403, br#"{"text":"Invalid token","code":4}"#.to_vec());
        }
        let events: Vec<Value> = serde_json::Deserializer::from_slice(&request.body)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let bad = events.iter().position(|event| event["event"]["Message"] == "number 000003");
        match bad {
            Some(number) => Answer::Status(
                400,
                json!({"text": "Invalid data format", "code": 6, "invalid-event-number": number})
                    .to_string()
                    .into(),
            ),
            None => Answer::Status(200, br#"{"text":"Success","code":0}"#.to_vec()),
        }
    })
    .await;
    let agent = Agent::start(json!([])).await;
    let token = agent.directory.path().join("token");
    std::fs::write(&token, "wrong").unwrap();
    let more = json!({"auth": {"secretFile": token}, "index": "main"});
    agent.apply(json!([sink("splunk", "splunk", &server.url(), more)])).await;
    agent.alerts(0..6);
    agent.until("splunk", |account| account.problem.contains("Invalid token")).await;
    // Mended without a word to the agent.
    std::fs::write(&token, "0000-1111").unwrap();
    let account = agent.until("splunk", |account| account.waiting + account.spooled == 0).await;
    assert_eq!((account.delivered, dropped(&account, DropReason::Refused)), (5, 1));
    let last = server.received().pop().unwrap();
    assert_eq!(last.path, "/services/collector/event");
    let told = agent.told().join("\n");
    assert!(!told.contains("0000-1111") && !told.contains("wrong"), "{told}");
}
