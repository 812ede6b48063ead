//! What peers that are away leave on disk: kept over restarts, bounded, and counted.

use serde_json::json;
use sinks::DropReason;

use super::{
    agent::{Agent, dropped, files, sink},
    http_server::{Answer, Server, closed_port},
};

fn away() -> String {
    format!("http://127.0.0.1:{}", closed_port())
}

#[tokio::test]
async fn a_restart_delivers_what_was_left_in_its_order() {
    let agent = Agent::start(json!([sink("hook", "webhook", &away(), json!({}))])).await;
    assert_eq!(agent.alerts(0..30), 30);
    agent.until("hook", |account| account.failures > 0 && account.spooled > 0).await;
    assert_eq!(agent.alerts(30..60), 30);
    let directory = agent.end().await;
    let server = Server::start(|_, _| Answer::ok()).await;
    let list = json!([sink("hook", "webhook", &server.url(), json!({}))]);
    let agent = Agent::start_in(directory, list).await;
    assert_eq!(agent.account("hook").received, 60, "taken over");
    agent.alerts(60..70);
    agent.delivered("hook", 70).await;
    assert_eq!(server.numbers(), (0..70).collect::<Vec<_>>());
    agent.until("hook", |account| account.spool_bytes == 0).await;
    assert_eq!(files(&agent.spool().join("hook")), 0);
}

#[tokio::test]
async fn an_agent_that_is_killed_leaves_what_was_spooled() {
    let first = Agent::start(json!([sink("hook", "webhook", &away(), json!({}))])).await;
    first.alerts(0..20);
    // All but the batch that is being sent, which is on disk as well.
    first.until("hook", |account| account.spooled == 10 && account.spool_bytes > 0).await;
    let server = Server::start(|_, _| Answer::ok()).await;
    let list = json!([sink("hook", "webhook", &server.url(), json!({}))]);
    let copy = tempfile::tempdir().unwrap();
    let (from, to) = (first.spool().join("hook"), copy.path().join("spool/hook"));
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let second = Agent::start_in(copy.into(), list).await;
    second.delivered("hook", 20).await;
    assert_eq!(server.numbers(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_spool_drops_the_oldest_and_the_account_adds_up() {
    let more = json!({"spool": {"maxBytes": 100_000}});
    let agent = Agent::start(json!([sink("hook", "webhook", &away(), more.clone())])).await;
    for start in (0..2000).step_by(100) {
        assert_eq!(agent.alerts(start..start + 100), 100);
        agent.until("hook", |account| account.waiting <= 110).await;
    }
    let account = agent.until("hook", |account| dropped(account, DropReason::SpoolFull) > 0).await;
    assert!(account.spool_bytes <= 100_000, "{account:?}");
    assert!(agent.told().iter().any(|text| text.contains("its spool is full")));
    let directory = agent.end().await;
    let server = Server::start(|_, _| Answer::ok()).await;
    let agent =
        Agent::start_in(directory, json!([sink("hook", "webhook", &server.url(), more)])).await;
    let left = agent.account("hook").received;
    agent.delivered("hook", left).await;
    let seen = server.numbers();
    assert_eq!(*seen.last().unwrap(), 1999, "the newest are kept");
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn without_a_spool_the_queue_is_the_limit_and_who_offers_hears_of_it() {
    let more = json!({"spool": {"maxBytes": 0}, "queue": {"maxEvents": 50}});
    let agent = Agent::start(json!([sink("hook", "webhook", &away(), more)])).await;
    let taken = agent.alerts(0..100);
    // Ten at most are on their way in addition.
    assert!((50..=60).contains(&taken), "{taken}");
    let account = agent.account("hook");
    assert_eq!(dropped(&account, DropReason::QueueFull), 100 - taken as u64);
    assert_eq!(account.spooled, 0);
    assert_eq!(files(&agent.spool()), 0);
    assert!(agent.told().iter().any(|text| text.contains("its queue is full")));
    let (sinks, spool) = (agent.sinks.clone(), agent.spool());
    let _directory = agent.end().await;
    assert!(sinks.accounts().iter().all(|account| account.waiting == 0));
    let ended = sinks.accounts()[0].dropped.of(DropReason::Ended);
    assert_eq!(ended, taken as u64);
    assert_eq!(files(&spool), 0);
}

#[tokio::test]
async fn a_spool_that_cannot_be_made_is_told_and_the_sink_works() {
    let server = Server::start(|_, _| Answer::ok()).await;
    let agent = Agent::start(json!([])).await;
    std::fs::write(agent.spool(), "a file").unwrap();
    agent.apply(json!([sink("hook", "webhook", &server.url(), json!({}))])).await;
    agent.alerts(0..1);
    agent.delivered("hook", 1).await;
    assert!(agent.told()[0].contains("nothing is kept there"), "{:?}", agent.told());
}
