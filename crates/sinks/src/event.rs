//! [`Event`]: what is sent, and [`Fields`]: what of it protocols and filters have a use for.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

use crate::config::Stream;

/// One alert, log or message, as the line of JSON that clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) stream: Stream,
    /// By which a peer can tell a repetition: random, and kept in the spool.
    pub(crate) id: u128,
    pub(crate) json: Arc<str>,
}

impl Event {
    pub(crate) fn new(stream: Stream, json: impl Into<Arc<str>>) -> Self {
        Self { stream, id: fastrand::u128(..), json: json.into() }
    }

    /// Empty fields if it is no such line: it comes from a spool that somebody may have written to.
    pub(crate) fn fields(&self) -> Fields<'_> {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// How grave an event is, in the four degrees that all protocols have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gravity {
    Debug,
    Info,
    Warning,
    Error,
}

/// From this `Severity` on, of 10, an alert is an error.
const GRAVE: u32 = 8;

/// The fields of the three kinds of lines that are looked at here; what a line lacks is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Fields<'a> {
    pub(crate) timestamp: i64,
    #[serde(borrow)]
    pub(crate) updated_time: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) cluster_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) host_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) namespace_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) pod_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) container_name: Cow<'a, str>,
    #[serde(borrow, rename = "ContainerID")]
    pub(crate) container_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) process_name: Cow<'a, str>,
    #[serde(rename = "HostPID")]
    pub(crate) host_pid: i64,
    #[serde(borrow)]
    pub(crate) policy_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) severity: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) operation: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) action: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) result: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) level: Cow<'a, str>,
    #[serde(borrow, rename = "KubeArmorVersion")]
    pub(crate) version: Cow<'a, str>,
}

impl Fields<'_> {
    /// With microseconds where the line tells them.
    pub(crate) fn time(&self) -> Timestamp {
        let told = self.updated_time.parse().ok();
        told.or_else(|| Timestamp::from_second(self.timestamp).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// A policy's severity; 0 if it gives none.
    pub(crate) fn severity_number(&self) -> u32 {
        self.severity.parse().unwrap_or(0)
    }

    pub(crate) fn gravity(&self, stream: Stream) -> Gravity {
        match stream {
            Stream::Alerts if self.severity_number() >= GRAVE => Gravity::Error,
            Stream::Alerts => Gravity::Warning,
            Stream::Logs => Gravity::Info,
            Stream::Messages => match &*self.level {
                "ERROR" => Gravity::Error,
                "WARN" => Gravity::Warning,
                "DEBUG" => Gravity::Debug,
                _ => Gravity::Info,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Lines as the feed makes them.

    use super::*;

    pub(crate) const ALERT: &str = r#"{"Timestamp":1700000000,"UpdatedTime":"2023-11-14T22:13:20.000001Z","ClusterName":"default","HostName":"node","NamespaceName":"bank","PodName":"teller-1","ContainerID":"0123","ContainerName":"teller","HostPID":42,"PPID":0,"PID":3,"UID":0,"ProcessName":"/bin/sh","PolicyName":"ledger","Severity":"9","ATags":["PCI"],"Type":"MatchedPolicy","Source":"/bin/sh -c \"a \u0026\u0026 b\"","Operation":"File","Resource":"/étc/passwd","EventData":{"Lsm":"FILE_OPEN"},"Enforcer":"BPFLSM","Action":"Block","Result":"Permission denied","KubeArmorVersion":"v0.1.0"}"#;
    pub(crate) const LOG: &str = r#"{"Timestamp":1700000001,"HostName":"node","PPID":1,"PID":4,"UID":0,"Type":"HostLog","Operation":"Process","Resource":"/bin/date","Result":"Passed"}"#;
    pub(crate) const MESSAGE: &str = r#"{"Timestamp":1700000002,"UpdatedTime":"2023-11-14T22:13:22.500000Z","HostName":"node","Type":"Message","Level":"WARN","Message":"slow"}"#;

    /// One of each.
    pub(crate) fn events() -> Vec<Event> {
        [(Stream::Alerts, ALERT), (Stream::Logs, LOG), (Stream::Messages, MESSAGE)]
            .into_iter()
            .zip(1..)
            .map(|((stream, json), id)| Event { stream, id, json: json.into() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_line_and_others_are_empty() {
        let events = samples::events();
        let alert = events[0].fields();
        assert_eq!(
            (&*alert.policy_name, &*alert.container_id, alert.host_pid),
            ("ledger", "0123", 42)
        );
        assert_eq!(alert.time().to_string(), "2023-11-14T22:13:20.000001Z");
        assert_eq!(alert.gravity(Stream::Alerts), Gravity::Error);
        let log = events[1].fields();
        assert_eq!((log.time().as_second(), &*log.policy_name), (1_700_000_001, ""));
        assert_eq!(events[2].fields().gravity(Stream::Messages), Gravity::Warning);
        let rubbish = Event::new(Stream::Alerts, "no JSON");
        assert_eq!(rubbish.fields().time(), Timestamp::UNIX_EPOCH);
    }
}
