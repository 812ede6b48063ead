//! The configuration that all agents share, in the keys of the existing implementation.

use serde_json::json;

use super::{Installation, Object};
use crate::{KubeArmorConfigSpec, labels};

/// What is logged of containers unless told otherwise.
const VISIBILITY: &str = "process,network,capabilities";

/// The `ConfigMap`; agents heed its changes as they happen.
pub fn config_map(installation: &Installation, spec: &KubeArmorConfigSpec) -> Object {
    let posture = |told: &Option<String>| told.clone().unwrap_or_else(|| "audit".to_owned());
    let truth = |told: Option<bool>, otherwise: bool| told.unwrap_or(otherwise).to_string();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": installation.named(labels::CONFIG_MAP_NAME, labels::CONFIG_MAP),
        "data": {
            "gRPC": "32767",
            "cluster": "default",
            "visibility": spec.default_visibility.as_deref().unwrap_or(VISIBILITY),
            "defaultFilePosture": posture(&spec.default_file_posture),
            "defaultCapabilitiesPosture": posture(&spec.default_capabilities_posture),
            "defaultNetworkPosture": posture(&spec.default_network_posture),
            "defaultPostureLogs": "true",
            "alertThrottling": truth(spec.alert_throttling, true),
            "maxAlertPerSec": spec.max_alert_per_sec.unwrap_or(10).to_string(),
            "throttleSec": spec.throttle_sec.unwrap_or(30).to_string(),
            "dropResourceFromProcessLogs": truth(spec.drop_resource_from_process_logs, false),
            "matchArgs": truth(spec.match_args, true),
            "enableNRI": truth(spec.enable_nri, true),
        },
    })
}
