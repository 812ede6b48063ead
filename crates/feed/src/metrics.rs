//! Metrics in Prometheus' text format, taken when somebody asks for them.
//!
//! A [`Source`] reads the state that it speaks of from that state's owner; nothing is counted here a second time.
//! The format is <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

mod feed;
mod histogram;
mod page;
mod process;

use std::{collections::BTreeMap, fmt::Write as _};

pub use self::{
    histogram::{Distribution, Histogram},
    page::serve,
    process::Process,
};

/// Who adds metrics to a page. Several sources may add to one family.
#[tonic::async_trait]
pub trait Source: Send + Sync + 'static {
    async fn collect(&self, families: &mut Families);
}

/// What became of the events of one sink: a file, a history, another system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkCounts {
    pub name: String,
    /// What it is: `file`, `history`, `kafka`, ...
    pub kind: &'static str,
    pub delivered: u64,
    /// Found the sink's queue full, could not be written, or was not taken.
    pub lost: u64,
    /// In the queue now.
    pub waiting: u64,
}

/// The page as it is filled: families by name.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<&'static str, Family>);

/// All samples of one name.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    samples: String,
}

/// A sample's value. Counters are whole numbers and printed so.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::Whole(is.into())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) if *number == f64::INFINITY => f.write_str("+Inf"),
            Self::Real(number) => number.fmt(f),
        }
    }
}

impl Families {
    /// A number that only grows; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, "counter")
    }

    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, "gauge")
    }

    /// Durations in seconds; its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, "histogram")
    }

    pub fn sink(&mut self, counts: &SinkCounts) {
        let events = self.counter(
            "kubearmor_sink_events_total",
            "Events that a sink has taken, or that it had no room for, could not write or did not take",
        );
        let [sink, kind] = [("sink", counts.name.as_str()), ("kind", counts.kind)];
        events.sample(&[sink, kind, ("fate", "delivered")], counts.delivered);
        events.sample(&[sink, kind, ("fate", "lost")], counts.lost);
        let queued = self.gauge("kubearmor_sink_queue", "Events in the queue of a sink");
        queued.sample(&[sink, kind], counts.waiting);
    }

    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
    ) -> &mut Family {
        self.0.entry(name).or_insert_with(|| Family { name, help, kind, samples: String::new() })
    }

    /// The page. Families without samples are left out.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for Family { name, help, kind, samples } in self.0.into_values() {
            if !samples.is_empty() {
                let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
            }
        }
        text
    }
}

impl Family {
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        self.line("", labels, value.into());
    }

    /// Of a histogram.
    pub fn distribution(&mut self, labels: &[(&str, &str)], distribution: &Distribution) {
        let mut sum = 0;
        for &(bound, count) in &distribution.buckets {
            sum += count;
            let bound = Number::Real(bound).to_string();
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.line("_bucket", &labels, sum.into());
        }
        self.line("_sum", labels, distribution.sum.as_secs_f64().into());
        self.line("_count", labels, sum.into());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: Number) {
        let _ = write!(self.samples, "{}{suffix}", self.name);
        for (number, (label, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.samples, "{before}{label}=\"{}\"", escaped(value));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.samples, "{after} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_are_whole_and_values_escaped() {
        let mut families = Families::default();
        families.counter("b_total", "Bs").sample(&[("x", "a\"b\\c\nd"), ("y", "")], 7_u64);
        families.gauge("a", "An a").sample(&[], 0.5);
        families.counter("b_total", "Bs").sample(&[("x", "z"), ("y", "")], u64::MAX);
        families.gauge("empty", "Nothing");
        assert_eq!(
            families.into_text(),
            "# HELP a An a\n# TYPE a gauge\na 0.5\n\
             # HELP b_total Bs\n# TYPE b_total counter\n\
             b_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 7\n\
             b_total{x=\"z\",y=\"\"} 18446744073709551615\n"
        );
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let histogram = Histogram::new(&[0.25, 0.5]);
        for millis in [250, 500, 750, 1000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut families = Families::default();
        let family = families.histogram("wait_seconds", "Waiting");
        family.distribution(&[("way", "grpc")], &histogram.snapshot());
        assert_eq!(
            families.into_text(),
            "# HELP wait_seconds Waiting\n# TYPE wait_seconds histogram\n\
             wait_seconds_bucket{way=\"grpc\",le=\"0.25\"} 1\n\
             wait_seconds_bucket{way=\"grpc\",le=\"0.5\"} 2\n\
             wait_seconds_bucket{way=\"grpc\",le=\"+Inf\"} 4\n\
             wait_seconds_sum{way=\"grpc\"} 2.5\n\
             wait_seconds_count{way=\"grpc\"} 4\n"
        );
    }
}
