//! The messages as compiled from `proto/`. The `feeder` messages serialise as Go clients print them.

use telemetry::{Account, Alert, ExecEvent, Log, Owner};

pub mod feeder {
    #![allow(clippy::pedantic, unused_qualifications, missing_docs)]
    tonic::include_proto!("feeder");
}

pub mod policy {
    #![allow(clippy::pedantic, unused_qualifications, missing_docs)]
    tonic::include_proto!("policy");
}

/// Descriptors of both packages, for reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Go's `omitempty`.
pub(crate) fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A line of JSON exactly as Go's `encoding/json` writes it: it also escapes what HTML would stumble over. These
/// characters stand only inside of strings.
pub fn go_json(message: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(message).map(|json| escape_like_go(&json))
}

/// [`go_json`] over several lines, indented by two spaces.
pub fn go_json_pretty(message: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(message).map(|json| escape_like_go(&json))
}

fn escape_like_go(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    out
}

/// Process and user ids fit; what does not is shown as the largest number there is.
fn number(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}

impl From<Owner> for feeder::Podowner {
    fn from(owner: Owner) -> Self {
        Self { r#ref: owner.kind, name: owner.name, namespace: owner.namespace }
    }
}

impl From<ExecEvent> for feeder::ExecEvent {
    fn from(exec: ExecEvent) -> Self {
        Self { exec_id: exec.id, executable_name: exec.executable_name }
    }
}

impl From<Log> for feeder::Log {
    fn from(log: Log) -> Self {
        Self {
            timestamp: log.timestamp,
            updated_time: log.updated_time,
            cluster_name: log.cluster_name,
            host_name: log.host_name,
            namespace_name: log.namespace_name,
            owner: log.owner.map(Into::into),
            pod_name: log.pod_name,
            labels: log.labels,
            container_id: log.container_id,
            container_name: log.container_name,
            container_image: log.container_image,
            host_ppid: number(log.host_ppid),
            host_pid: number(log.host_pid),
            ppid: number(log.ppid),
            pid: number(log.pid),
            uid: number(log.uid),
            parent_process_name: log.parent_process_name,
            process_name: log.process_name,
            r#type: log.kind,
            source: log.source,
            operation: log.operation,
            resource: log.resource,
            data: log.data,
            event_data: log.event_data,
            result: log.result,
            cwd: log.cwd,
            tty: log.tty,
            exec_event: log.exec_event.map(Into::into),
            node_id: log.node_id,
            user_name: log.user_name,
            ancestors: log.ancestors,
            ..Self::default()
        }
    }
}

impl From<Alert> for feeder::Alert {
    fn from(alert: Alert) -> Self {
        let log = alert.event;
        Self {
            timestamp: log.timestamp,
            updated_time: log.updated_time,
            cluster_name: log.cluster_name,
            host_name: log.host_name,
            namespace_name: log.namespace_name,
            owner: log.owner.map(Into::into),
            pod_name: log.pod_name,
            labels: log.labels,
            container_id: log.container_id,
            container_name: log.container_name,
            container_image: log.container_image,
            host_ppid: number(log.host_ppid),
            host_pid: number(log.host_pid),
            ppid: number(log.ppid),
            pid: number(log.pid),
            uid: number(log.uid),
            parent_process_name: log.parent_process_name,
            process_name: log.process_name,
            policy_name: alert.policy_name,
            severity: alert.severity,
            tags: alert.tags,
            a_tags: alert.tag_list,
            message: alert.message,
            r#type: log.kind,
            source: log.source,
            operation: log.operation,
            resource: log.resource,
            data: log.data,
            event_data: log.event_data,
            enforcer: alert.enforcer,
            action: alert.action,
            result: log.result,
            cwd: log.cwd,
            tty: log.tty,
            max_alerts_per_sec: number(alert.max_alerts_per_sec),
            dropping_alerts_interval: number(alert.dropping_alerts_interval),
            exec_event: log.exec_event.map(Into::into),
            kube_armor_version: alert.version,
            node_id: log.node_id,
            user_name: log.user_name,
            ancestors: log.ancestors,
            policy_kind: alert.policy_kind,
            policy_namespace: alert.policy_namespace,
            rule_path: alert.rule_path,
            suppressed_alerts: alert.suppressed_alerts,
            ..Self::default()
        }
    }
}

impl From<Account> for policy::PolicyAccount {
    fn from(Account { key, counts }: Account) -> Self {
        Self {
            policy: key.policy,
            namespace: key.namespace.unwrap_or_default(),
            kind: key.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            action: key.action.to_owned(),
            workload: key.workload.to_string(),
            generated: counts.generated,
            delivered: counts.delivered,
            throttled: counts.throttled,
            lost: counts.lost,
        }
    }
}

#[cfg(test)]
mod tests;
