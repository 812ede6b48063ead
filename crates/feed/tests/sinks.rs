//! What is published goes to sinks as well, and a sink without room for it makes the delivery incomplete.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use feed::{Feed, FeedOptions, Level};
use serde_json::json;
use sinks::{SinkList, Sinks};
use telemetry::{Alert, Delivery, Log};

async fn sinks(directory: &std::path::Path, events: &[&str]) -> Sinks {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let tell = Arc::new(move |text| told.lock().unwrap().push(text));
    let sinks = Sinks::new(directory.join("spool"), tell);
    // Nothing is ever sent: the batch is never old enough, and the queue smaller than it.
    let list: SinkList = serde_json::from_value(json!([{
        "name": "a", "kind": "webhook", "endpoint": "http://127.0.0.1:9", "events": events,
        "batch": {"maxAgeMillis": 3_600_000}, "queue": {"maxEvents": 2}, "spool": {"maxBytes": 0},
    }]))
    .unwrap();
    sinks.apply(&list).await;
    sinks
}

#[tokio::test]
async fn a_full_sink_is_somebody_who_misses_something() {
    let directory = tempfile::tempdir().unwrap();
    let feed = Feed::new(FeedOptions::default());
    assert_eq!(feed.publish_alert(Alert::default()), Delivery::Complete);
    let sinks = sinks(directory.path(), &["alerts"]).await;
    feed.send_to(sinks.clone());
    assert_eq!(feed.publish_log(Log::default()), Delivery::Complete, "not asked for");
    assert_eq!(feed.publish_alert(Alert::default()), Delivery::Complete);
    assert_eq!(feed.publish_alert(Alert::default()), Delivery::Complete);
    assert_eq!(feed.publish_alert(Alert::default()), Delivery::Incomplete);
    let account = &sinks.accounts()[0];
    assert_eq!((account.received, account.waiting, account.dropped.total()), (3, 2, 1));
}

#[tokio::test]
async fn messages_and_logs_are_events_too() {
    let directory = tempfile::tempdir().unwrap();
    let feed = Feed::new(FeedOptions::default());
    let sinks = sinks(directory.path(), &["messages", "logs"]).await;
    feed.send_to(sinks.clone());
    feed.publish_message(Level::Warn, "slow");
    assert_eq!(feed.publish_log(Log::default()), Delivery::Complete);
    assert_eq!(feed.publish_alert(Alert::default()), Delivery::Complete);
    assert_eq!(sinks.accounts()[0].received, 2);
}
