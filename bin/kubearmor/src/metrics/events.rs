//! Alerts, denials and logs, and what became of them.

use std::collections::BTreeMap;

use feed::metrics::Families;
use telemetry::{Counts, FieldCounts, Series};

use crate::events::Delays;

/// The action of the accounts of logs.
const LOG: &str = "Log";
const BLOCK: &str = "Block";

/// For each field the name and label that dashboards know, and the name of the exporters before.
const KNOWN: [(&str, &str, &str); 9] = [
    ("HostName", "kubearmor_alerts_in_host_total", "kubearmor_relay_logs_in_host_total"),
    (
        "NamespaceName",
        "kubearmor_alerts_in_namespace_total",
        "kubearmor_relay_logs_in_namespace_total",
    ),
    ("PodName", "kubearmor_alerts_in_pod_total", "kubearmor_relay_logs_in_pod_total"),
    (
        "ContainerName",
        "kubearmor_alerts_in_container_total",
        "kubearmor_relay_logs_in_container_total",
    ),
    ("PolicyName", "kubearmor_alerts_with_policy_total", "kubearmor_relay_policy_logs_total"),
    (
        "Severity",
        "kubearmor_alerts_with_severity_total",
        "kubearmor_relay_logs_with_severity_total",
    ),
    ("Type", "kubearmor_alerts_with_type_total", "kubearmor_relay_logs_with_type_total"),
    (
        "Operation",
        "kubearmor_alerts_with_operation_total",
        "kubearmor_relay_logs_with_operation_total",
    ),
    ("Action", "kubearmor_alerts_with_action_total", "kubearmor_relay_logs_with_action_total"),
];

/// Everything that the accounts count, each event once.
pub(super) fn counted(families: &mut Families, series: &[(Series, Counts)]) {
    let mut logs = BTreeMap::<(&str, &str), Counts>::new();
    for (series, counts) in series {
        if series.action == LOG {
            let sum = logs.entry((&series.namespace, &series.operation)).or_default();
            sum.delivered += counts.delivered;
            sum.throttled += counts.throttled;
            sum.lost += counts.lost;
            continue;
        }
        alerts(families, series, counts);
        if series.action == BLOCK {
            denials(families, series, counts.generated);
        }
    }
    let family = families.counter("kubearmor_logs_total", "Logs by what became of them");
    for ((namespace, operation), counts) in logs {
        for (fate, count) in fates(&counts) {
            let labels = [("namespace", namespace), ("operation", operation), ("fate", fate)];
            family.sample(&labels, count);
        }
    }
}

fn alerts(families: &mut Families, series: &Series, counts: &Counts) {
    let family = families.counter(
        "kubearmor_alerts_total",
        "Alerts by what became of them; without a policy: lost before anyone could read whose they were",
    );
    for (fate, count) in fates(counts) {
        let labels = [
            ("policy", series.policy.as_str()),
            ("policy_namespace", &series.policy_namespace),
            ("policy_kind", series.kind.map_or("", |kind| kind.as_str())),
            ("namespace", &series.namespace),
            ("operation", &series.operation),
            ("action", series.action),
            ("fate", fate),
        ];
        family.sample(&labels, count);
    }
}

fn denials(families: &mut Families, series: &Series, count: u64) {
    let labels = [
        ("policy", series.policy.as_str()),
        ("policy_namespace", &series.policy_namespace),
        ("policy_kind", series.kind.map_or("", |kind| kind.as_str())),
        ("namespace", &series.namespace),
        ("operation", &series.operation),
    ];
    families
        .counter("kubearmor_denials_total", "Accesses that were denied, told or not")
        .sample(&labels, count);
}

fn fates(counts: &Counts) -> [(&'static str, u64); 3] {
    [("delivered", counts.delivered), ("throttled", counts.throttled), ("lost", counts.lost)]
}

/// Published alerts by single fields, as exporters that watch alerts count them.
pub(super) fn published(families: &mut Families, published: &[FieldCounts]) {
    for FieldCounts { field, values } in published {
        let Some((_, name, older)) = KNOWN.iter().find(|(known, ..)| known == field) else {
            continue;
        };
        for name in [name, older] {
            let family = families.counter(name, "Published alerts by one of their fields");
            for (value, &count) in values {
                family.sample(&[(field, value)], count);
            }
        }
    }
}

pub(super) fn delays(families: &mut Families, delays: &Delays) {
    let family = families.histogram(
        "kubearmor_event_delivery_seconds",
        "From an event in the kernel until listeners and sinks were handed it, or it was throttled",
    );
    family.distribution(&[("event", "alert")], &delays.alerts.snapshot());
    family.distribution(&[("event", "log")], &delays.logs.snapshot());
}
