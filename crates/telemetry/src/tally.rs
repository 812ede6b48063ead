//! What metrics count: the events of the accounts by other marks, and published alerts by single fields.
//!
//! The number of series is bounded. A series that came in time stays for good, so that no counter ever falls; what
//! comes later is counted together under [`OTHER`], so that sums are exact.

use std::collections::BTreeMap;

use policy::Kind;

use crate::{Alert, Counts, account::Fate};

/// Stands in labels for whatever has no series of its own.
pub const OTHER: &str = "other";

/// Series of [`Tally`].
const SERIES: usize = 2000;
/// Values of each field of [`Published`].
const VALUES: usize = 500;

/// What events counted together have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// As [`AccountKey`](crate::AccountKey) has it.
    pub policy: String,
    /// The policy's; empty where it has none.
    pub policy_namespace: String,
    pub kind: Option<Kind>,
    /// `Block`, `Audit`, `Log`, or empty for what was lost before anyone read it.
    pub action: &'static str,
    /// As events name it: `File`, ...
    pub operation: String,
    /// The workload's; empty for the host's.
    pub namespace: String,
}

impl Series {
    /// Action and operation have few values, so they stay exact.
    fn folded(&self) -> Self {
        Self {
            policy: OTHER.into(),
            policy_namespace: OTHER.into(),
            kind: None,
            action: self.action,
            operation: self.operation.clone(),
            namespace: OTHER.into(),
        }
    }
}

/// All that the accounts count, by [`Series`].
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    series: BTreeMap<Series, Counts>,
    limit: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self { series: BTreeMap::new(), limit: SERIES }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, series: Series, fate: Fate, count: u64) {
        let known = self.series.contains_key(&series);
        let series = if known || self.series.len() < self.limit { series } else { series.folded() };
        self.series.entry(series).or_default().add(fate, count);
    }

    pub(crate) fn lines(&self) -> Vec<(Series, Counts)> {
        self.series.iter().map(|(series, &counts)| (series.clone(), counts)).collect()
    }
}

/// One field of alerts, and how many were published with each of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCounts {
    /// As the wire names it: `PodName`, ...
    pub field: &'static str,
    pub values: BTreeMap<String, u64>,
}

/// Reads one field.
type Field = (&'static str, fn(&Alert) -> &str);

/// Those by which exporters for Prometheus count.
const FIELDS: [Field; 9] = [
    ("HostName", |alert| &alert.event.host_name),
    ("NamespaceName", |alert| &alert.event.namespace_name),
    ("PodName", |alert| &alert.event.pod_name),
    ("ContainerName", |alert| &alert.event.container_name),
    ("PolicyName", |alert| &alert.policy_name),
    ("Severity", |alert| &alert.severity),
    ("Type", |alert| &alert.event.kind),
    ("Operation", |alert| &alert.event.operation),
    ("Action", |alert| &alert.action),
];

/// Alerts that were handed to listeners and sinks, those that announce a silence included.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    fields: [BTreeMap<String, u64>; FIELDS.len()],
    limit: usize,
}

impl Default for Published {
    fn default() -> Self {
        Self { fields: Default::default(), limit: VALUES }
    }
}

impl Published {
    pub(crate) fn add(&mut self, alert: &Alert) {
        for ((_, value), counts) in FIELDS.iter().zip(&mut self.fields) {
            let value = value(alert);
            if let Some(count) = counts.get_mut(value) {
                *count += 1;
                continue;
            }
            let value = if counts.len() < self.limit { value } else { OTHER };
            *counts.entry(value.to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn lines(&self) -> Vec<FieldCounts> {
        let line = |((field, _), values): (&Field, &BTreeMap<String, u64>)| FieldCounts {
            field,
            values: values.clone(),
        };
        FIELDS.iter().zip(&self.fields).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Log;

    fn series(policy: &str, operation: &str) -> Series {
        Series {
            policy: policy.into(),
            policy_namespace: "shop".into(),
            kind: Some(Kind::Container),
            action: "Block",
            operation: operation.into(),
            namespace: "bank".into(),
        }
    }

    #[test]
    fn what_has_no_series_is_counted_together_and_by_operation() {
        let mut tally = Tally { limit: 2, ..Tally::default() };
        for (policy, operation) in
            [("a", "File"), ("b", "File"), ("c", "File"), ("d", "Network"), ("e", "File")]
        {
            tally.add(series(policy, operation), Fate::Delivered, 1);
        }
        tally.add(series("a", "File"), Fate::Lost, 3);
        let lines: Vec<_> = tally
            .lines()
            .into_iter()
            .map(|(series, counts)| (series.policy, series.operation, counts.generated))
            .collect();
        let expected =
            [("a", "File", 4), ("b", "File", 1), ("other", "File", 2), ("other", "Network", 1)];
        assert_eq!(lines, expected.map(|(a, b, count)| (a.to_owned(), b.to_owned(), count)));
    }

    #[test]
    fn each_field_counts_every_alert() {
        let mut published = Published { limit: 2, ..Published::default() };
        for pod in ["a", "b", "c", "a", "d"] {
            let event = Log { pod_name: pod.into(), ..Log::default() };
            published.add(&Alert { event, action: "Audit".into(), ..Alert::default() });
        }
        for FieldCounts { field, values } in published.lines() {
            assert_eq!(values.values().sum::<u64>(), 5, "{field}");
            if field == "PodName" {
                assert_eq!(
                    values,
                    [("a", 2), ("b", 1), ("other", 2)].map(|(v, n)| (v.into(), n)).into()
                );
            }
        }
    }
}
