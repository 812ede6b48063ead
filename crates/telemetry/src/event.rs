//! [`Log`] and [`Alert`]: the fields of the `feeder` messages, and the JSON of the agent's own log file.

use std::collections::BTreeMap;

use serde::Serialize;

/// One thing that a process did. Serialises as a line of the agent's `logPath`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Seconds since 1970.
    pub timestamp: i64,
    /// UTC with microseconds, `2006-01-02T15:04:05.000000Z`.
    pub updated_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    pub host_name: String,
    #[serde(rename = "nodeID", skip_serializing_if = "String::is_empty")]
    pub node_id: String,
    /// Known for host events only.
    #[serde(rename = "username", skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_name: String,
    /// `k=v,k=v`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    #[serde(rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_image: String,
    #[serde(rename = "hostPPid")]
    pub host_ppid: u32,
    pub host_pid: u32,
    pub ppid: u32,
    pub pid: u32,
    /// Real user, as the initial user namespace numbers it.
    pub uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_event: Option<ExecEvent>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent_process_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub process_name: String,
    /// `MatchedPolicy`, `MatchedHostPolicy`, `SystemEvent`, `ContainerLog` or `HostLog`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    pub operation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tty: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub event_data: BTreeMap<String, String>,
    pub result: String,
    /// The executables that the acting program descends from, its parent's first, as far as they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
}

/// Something a process did that a policy or a posture has a word about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    #[serde(flatten)]
    pub event: Log,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub enforcer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_name: String,
    #[serde(rename = "kubeArmorVersion")]
    pub version: String,
    /// Decimal; empty if the policy gives none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// The `atags` joined by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    #[serde(rename = "atags", skip_serializing_if = "Vec::is_empty")]
    pub tag_list: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Of a threshold event; 0 otherwise.
    #[serde(rename = "MaxAlertsPerSec", skip_serializing_if = "is_zero")]
    pub max_alerts_per_sec: u32,
    /// Of a threshold event, seconds; 0 otherwise.
    #[serde(rename = "DroppingAlertsInterval", skip_serializing_if = "is_zero")]
    pub dropping_alerts_interval: u32,
    /// `KubeArmorPolicy`, ...; empty for what no policy decided.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_namespace: String,
    /// Where in the policy the rule stands: `spec.file.matchPaths[2]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_path: String,
    /// Alerts of the same rule and workload that were throttled since the last one that was told.
    #[serde(skip_serializing_if = "is_none")]
    pub suppressed_alerts: u64,
}

/// The controller that a pod belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its kind: `Deployment`, ...
    #[serde(rename = "ref")]
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// The program run that acted: all events of one run share the id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecEvent {
    #[serde(rename = "execID")]
    pub id: String,
    pub executable_name: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
