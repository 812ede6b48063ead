//! Elasticsearch and `OpenSearch`: the body of `_bulk`, and its answer item by item.
//!
//! Each document has an id of its own, and is created rather than indexed: one that is sent a second time is answered
//! with a conflict, and is there once.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::{Search, Stream},
    event::Event,
    peer::Fate,
};

/// The document exists: an earlier attempt has arrived.
const CONFLICT: u16 = 409;
const TOO_MANY: u16 = 429;

pub(crate) fn body(events: &[Event], search: &Search) -> Vec<u8> {
    let mut body = Vec::new();
    for event in events {
        let index = match event.stream {
            Stream::Alerts => &search.alerts_index,
            Stream::Logs => &search.logs_index,
            Stream::Messages => &search.messages_index,
        };
        let action = json!({"create": {"_index": index, "_id": id(event.id)}});
        body.extend(action.to_string().as_bytes());
        body.push(b'\n');
        body.extend(event.json.as_bytes());
        body.push(b'\n');
    }
    body
}

/// In the form of a UUID.
fn id(id: u128) -> String {
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errors: bool,
    #[serde(default)]
    items: Vec<std::collections::BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Value,
}

/// What became of each of `count` documents. An answer that cannot be read says of none that it is there.
pub(crate) fn fates(answer: &[u8], count: usize) -> Vec<Fate> {
    let answer: Answer = match serde_json::from_slice(answer) {
        Ok(answer) => answer,
        Err(error) => {
            let problem = format!("the answer to _bulk cannot be read: {error}");
            return std::iter::repeat_with(|| Fate::Again(problem.clone())).take(count).collect();
        }
    };
    if !answer.errors && answer.items.is_empty() {
        return std::iter::repeat_with(|| Fate::Delivered).take(count).collect();
    }
    answer.items.iter().filter_map(|item| item.values().next()).map(fate).collect()
}

fn fate(item: &Item) -> Fate {
    match item.status {
        200..=299 | CONFLICT => Fate::Delivered,
        status @ (TOO_MANY | 500..) => Fate::Again(format!("status {status}{}", reason(item))),
        status => Fate::Refused(format!("status {status}{}", reason(item))),
    }
}

fn reason(item: &Item) -> String {
    match (&item.error["type"], &item.error["reason"]) {
        (Value::String(kind), Value::String(reason)) => format!(", {kind}: {reason}"),
        (Value::String(kind), _) => format!(", {kind}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples::{self, ALERT, LOG, MESSAGE};

    #[test]
    fn two_lines_for_each_document() {
        let body = String::from_utf8(body(&samples::events(), &Search::default())).unwrap();
        let action = |id: u8, index: &str| {
            format!(
                r#"{{"create":{{"_id":"00000000-0000-0000-0000-00000000000{id}","_index":"{index}"}}}}"#
            )
        };
        let expected = [
            &*action(1, "kubearmor-alerts"),
            ALERT,
            &action(2, "kubearmor-logs"),
            LOG,
            &action(3, "kubearmor-messages"),
            MESSAGE,
            "",
        ];
        assert_eq!(body, expected.join("\n"));
    }

    #[test]
    fn each_item_has_its_own_fate() {
        let answer = br#"{"took":3,"errors":true,"items":[
            {"create":{"_index":"a","status":201}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},
            {"create":{"status":503}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no date"}}}]}"#;
        assert_eq!(
            fates(answer, 5),
            [
                Fate::Delivered,
                Fate::Delivered,
                Fate::Again("status 429, es_rejected_execution_exception: full".into()),
                Fate::Again("status 503".into()),
                Fate::Refused("status 400, mapper_parsing_exception: no date".into()),
            ]
        );
        assert_eq!(fates(br#"{"errors":false}"#, 2), [Fate::Delivered, Fate::Delivered]);
        assert!(matches!(&fates(b"<html>", 1)[..], [Fate::Again(_)]));
    }
}
