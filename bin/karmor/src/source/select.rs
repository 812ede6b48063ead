//! Which workloads' events count.

use clap::Args;
use regex::Regex;

use crate::{command::any_case, event::Event};

/// All that are given must hold, of labels any.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Workloads {
    /// Only namespaces that match (regular expression, in any case)
    #[arg(short, long, value_name = "REGEX", value_parser = any_case)]
    namespace: Option<Regex>,
    /// Only pods whose name matches (regular expression, in any case)
    #[arg(short, long, value_name = "REGEX", value_parser = any_case)]
    pod: Option<Regex>,
    /// Only containers whose name matches (regular expression, in any case)
    #[arg(short, long, value_name = "REGEX", value_parser = any_case)]
    container: Option<Regex>,
    /// Only workloads with any of these labels
    #[arg(short, long, value_delimiter = ',', value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

impl Workloads {
    pub(crate) fn choose(&self, event: &Event) -> bool {
        let matches = |filter: &Option<Regex>, value: &str| {
            filter.as_ref().is_none_or(|filter| filter.is_match(value))
        };
        let labelled = || {
            let mut labels = event.labels.split(',');
            self.labels.is_empty() || labels.any(|label| self.labels.iter().any(|l| l == label))
        };
        matches(&self.namespace, &event.namespace)
            && matches(&self.pod, &event.pod)
            && matches(&self.container, &event.container)
            && labelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let event = Event {
            namespace: "shop".into(),
            pod: "web-1".into(),
            container: "web".into(),
            labels: "app=web,tier=a".into(),
            ..Event::default()
        };
        let only = |namespace: &str, container: &str, labels: &[&str]| Workloads {
            namespace: Some(any_case(namespace).unwrap()),
            pod: None,
            container: Some(any_case(container).unwrap()),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        assert!(Workloads::default().choose(&event));
        assert!(only("SHOP", "^web$", &[]).choose(&event));
        assert!(only("", "", &["tier=b", "app=web"]).choose(&event));
        assert!(!only("shop", "db", &[]).choose(&event));
        assert!(!only("shop", "web", &["tier=b"]).choose(&event));
        assert!(!only("", "", &["tier=a"]).choose(&Event::default()));
    }
}
