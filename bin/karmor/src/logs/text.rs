//! Events and messages for people: a headline with the time, then one field per line.

use std::fmt::Write;

use feed::proto::feeder::Message;
use serde_json::Value;

/// These come first and in this order, the rest follows by name.
const FIRST: [&str; 20] = [
    "ClusterName",
    "HostName",
    "NamespaceName",
    "PodName",
    "Labels",
    "ContainerName",
    "ContainerID",
    "ContainerImage",
    "Type",
    "PolicyName",
    "Severity",
    "Message",
    "Source",
    "Resource",
    "Operation",
    "Action",
    "Data",
    "EventData",
    "Enforcer",
    "Result",
];

/// The headline has them.
const TIMES: [&str; 2] = ["Timestamp", "UpdatedTime"];

/// `event` as its JSON object.
pub(super) fn event(event: &Value, what: &str, updated_time: &str) -> String {
    let mut out = format!("== {what} / {} ==", plain_time(updated_time));
    let Value::Object(fields) = event else { return out };
    let rest = fields
        .keys()
        .map(String::as_str)
        .filter(|key| !FIRST.contains(key) && !TIMES.contains(key));
    for key in FIRST.into_iter().chain(rest) {
        if let Some(value) = fields.get(key).filter(|value| *value != "") {
            let _ = write!(out, "\n{key}: {}", plain(value));
        }
    }
    out
}

pub(super) fn message(message: &Message) -> String {
    format!(
        "{} {} {} [{}] {}",
        plain_time(&message.updated_time),
        message.cluster_name,
        message.host_name,
        message.level,
        message.message
    )
}

/// `2006-01-02T15:04:05.000000Z` as `2006-01-02 15:04:05.000000`
fn plain_time(time: &str) -> String {
    time.replacen('T', " ", 1).replacen('Z', "", 1)
}

/// As Go's `%v` prints it: `map[Key:value]`, `[one two]`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", plain(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use feed::proto::feeder::{Alert, ExecEvent};

    use super::*;

    #[test]
    fn an_alert() {
        let alert = Alert {
            timestamp: 1_700_000_000,
            updated_time: "2023-11-14T22:13:20.000001Z".into(),
            host_name: "node".into(),
            container_name: "teller".into(),
            policy_name: "ledger".into(),
            a_tags: vec!["PCI".into(), "ledger".into()],
            tags: "PCI,ledger".into(),
            event_data: [("Lsm".to_owned(), "FILE_OPEN".to_owned())].into(),
            host_pid: 77,
            exec_event: Some(ExecEvent { exec_id: "1".into(), executable_name: "cat".into() }),
            result: "Permission denied".into(),
            ..Alert::default()
        };
        let value = serde_json::to_value(&alert).unwrap();
        assert_eq!(
            event(&value, "Alert", &alert.updated_time),
            "== Alert / 2023-11-14 22:13:20.000001 ==\n\
             HostName: node\n\
             ContainerName: teller\n\
             PolicyName: ledger\n\
             EventData: map[Lsm:FILE_OPEN]\n\
             Result: Permission denied\n\
             ATags: [PCI ledger]\n\
             ExecEvent: map[ExecID:1 ExecutableName:cat]\n\
             HostPID: 77\n\
             PPID: 0\n\
             Tags: PCI,ledger\n\
             UID: 0"
        );
    }

    #[test]
    fn a_message() {
        let text = message(&Message {
            updated_time: "2023-11-14T22:13:20.000001Z".into(),
            cluster_name: "default".into(),
            host_name: "node".into(),
            level: "WARN".into(),
            message: "client is too slow".into(),
            ..Message::default()
        });
        assert_eq!(text, "2023-11-14 22:13:20.000001 default node [WARN] client is too slow");
    }
}
