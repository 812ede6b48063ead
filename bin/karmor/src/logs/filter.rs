//! Which events are shown. The agent sends all; these filters are the client's.

use feed::proto::feeder::{Alert, Log};
use regex::Regex;

use crate::command::LogOptions;

/// The fields that filters look at.
pub(super) struct Fields<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    labels: &'a str,
    /// Logs have none.
    policy: &'a str,
    kind: &'a str,
    operation: &'a str,
    source: &'a str,
    resource: &'a str,
}

impl<'a> From<&'a Alert> for Fields<'a> {
    fn from(alert: &'a Alert) -> Self {
        Self {
            namespace: &alert.namespace_name,
            pod: &alert.pod_name,
            container: &alert.container_name,
            labels: &alert.labels,
            policy: &alert.policy_name,
            kind: &alert.r#type,
            operation: &alert.operation,
            source: &alert.source,
            resource: &alert.resource,
        }
    }
}

impl<'a> From<&'a Log> for Fields<'a> {
    fn from(log: &'a Log) -> Self {
        Self {
            namespace: &log.namespace_name,
            pod: &log.pod_name,
            container: &log.container_name,
            labels: &log.labels,
            policy: "",
            kind: &log.r#type,
            operation: &log.operation,
            source: &log.source,
            resource: &log.resource,
        }
    }
}

pub(super) fn passes(fields: &Fields<'_>, options: &LogOptions) -> bool {
    let matches = |filter: &Option<Regex>, value: &str| {
        filter.as_ref().is_none_or(|filter| filter.is_match(value))
    };
    matches(&options.namespace, fields.namespace)
        && matches(&options.policy, fields.policy)
        && matches(&options.log_type, fields.kind)
        && matches(&options.operation, fields.operation)
        && matches(&options.container, fields.container)
        && matches(&options.pod, fields.pod)
        && matches(&options.source, fields.source)
        && matches(&options.resource, fields.resource)
        && has_label(fields.labels, &options.labels)
}

/// Any of the wanted labels will do. An event without labels is no workload's that could have them: it passes.
fn has_label(labels: &str, wanted: &[String]) -> bool {
    wanted.is_empty()
        || labels.is_empty()
        || labels.split(',').any(|label| wanted.iter().any(|wanted| wanted == label))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::{Command, Karmor};

    fn passes_with(flags: &[&str], alert: &Alert) -> bool {
        let line = ["karmor", "logs"].iter().chain(flags);
        let Command::Logs(options) = Karmor::parse_from(line).command else {
            panic!("not logs");
        };
        passes(&alert.into(), &options)
    }

    fn alert() -> Alert {
        Alert {
            namespace_name: "bank".into(),
            container_name: "teller-1".into(),
            labels: "app=teller,tier=front".into(),
            r#type: "MatchedPolicy".into(),
            policy_name: "ledger".into(),
            operation: "File".into(),
            source: "/usr/bin/cat /srv/ledger".into(),
            resource: "/srv/ledger".into(),
            ..Alert::default()
        }
    }

    #[test]
    fn names_match_anywhere_and_in_any_case() {
        assert!(passes_with(&["-n", "BAN", "--container", "^teller"], &alert()));
        assert!(passes_with(&["--operation", "file", "--logType", "matched"], &alert()));
        assert!(passes_with(&["--policy", "^LED"], &alert()));
        assert!(!passes_with(&["--policy", "other"], &alert()));
        assert!(!passes_with(&["--pod", "x"], &alert()));
    }

    #[test]
    fn sources_and_resources_match_in_their_case() {
        assert!(passes_with(&["--source", "bin/cat", "--resource", "ledger$"], &alert()));
        assert!(!passes_with(&["--resource", "LEDGER"], &alert()));
    }

    #[test]
    fn any_label_will_do_and_no_labels_pass() {
        assert!(passes_with(&["-l", "app=x,tier=front"], &alert()));
        assert!(!passes_with(&["-l", "app=tell"], &alert()));
        let host = Alert { labels: String::new(), ..alert() };
        assert!(passes_with(&["-l", "app=x"], &host));
    }
}
