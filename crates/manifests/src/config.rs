//! `KubeArmorConfig`: what a cluster's administrator wants of the operator, in the fields of the existing
//! implementation.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, Toleration};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What is left out means what the product does unless told otherwise. (The existing operator takes a truth value that is
/// left out for false, which switches throttling off in whatever cluster does not ask for it.)
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "operator.kubearmor.com",
    version = "v1",
    kind = "KubeArmorConfig",
    plural = "kubearmorconfigs",
    singular = "kubearmorconfig",
    namespaced,
    status = "KubeArmorConfigStatus",
    derive = "PartialEq",
    doc = "How KubeArmor is to run in this cluster. The operator heeds the oldest one of its own namespace.",
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.phase"}"#
)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeArmorConfigSpec {
    /// Policies that harden every workload; none unless enabled.
    pub recommended_policies: RecommendedPolicies,
    /// What becomes of files and programs that no rule of an allow-list names: audit or block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "posture")]
    pub default_file_posture: Option<String>,
    /// The same for capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "posture")]
    pub default_capabilities_posture: Option<String>,
    /// The same for sockets and DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "posture")]
    pub default_network_posture: Option<String>,
    /// Classes of events that are logged though no policy names them, such as process,network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_visibility: Option<String>,
    /// Pull secrets of every pod.
    #[schemars(schema_with = "objects")]
    pub global_image_pull_secrets: Vec<LocalObjectReference>,
    /// Tolerations of every pod. Agents tolerate everything in any case.
    #[schemars(schema_with = "objects")]
    pub global_tolerations: Vec<Toleration>,
    /// Node selector of every pod.
    pub global_node_selector: BTreeMap<String, String>,
    /// Environment variables of every pod.
    #[schemars(schema_with = "objects")]
    pub global_env: Vec<EnvVar>,
    /// Of the agents.
    pub kubearmor_image: ImageSpec,
    /// Accepted and not used: nothing is compiled on nodes.
    pub kubearmor_init_image: ImageSpec,
    /// Of the relay.
    pub kubearmor_relay_image: ImageSpec,
    /// Of the controller.
    pub kubearmor_controller_image: ImageSpec,
    /// Accepted and not used.
    pub kube_rbac_proxy_image: ImageSpec,
    /// TLS between clients, relay and agents.
    pub tls: Tls,
    /// The relay prints logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_std_out_logs: Option<bool>,
    /// The relay prints alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_std_out_alerts: Option<bool>,
    /// The relay prints messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_std_out_msgs: Option<bool>,
    /// Accepted and not used: agents bring a filter of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_enabled: Option<bool>,
    /// Whether repeated alerts of a rule are held back; true if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_throttling: Option<bool>,
    /// Alerts a second of one rule in one container; 10 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number")]
    pub max_alert_per_sec: Option<u32>,
    /// Seconds of silence once there were more; 30 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number")]
    pub throttle_sec: Option<u32>,
    /// Where the relay sends alerts besides.
    pub adapters: Adapters,
    /// Whether agents are asked by NRI before containers start; true if left out.
    #[serde(rename = "enableNRI", skip_serializing_if = "Option::is_none")]
    pub enable_nri: Option<bool>,
    /// The port of the controller's webhook; 9443 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number")]
    pub controller_port: Option<u16>,
    /// Whether command lines are left out of process logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_resource_from_process_logs: Option<bool>,
    /// Whether allowedArgs are matched; true if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_args: Option<bool>,
}

/// How one of the programs runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageSpec {
    /// Further arguments, behind the operator's own; the last one of a name counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects")]
    pub env: Vec<EnvVar>,
    /// The operator's own image if left out: it has all programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pull_policy")]
    pub image_pull_policy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "objects")]
    pub tolerations: Vec<Toleration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecommendedPolicies {
    pub enable: bool,
    /// Whom they select; namespaces other than kube-system and the operator's own if left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<MatchExpression>,
    /// Names of those that are not wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_policy: Vec<String>,
}

/// As in the selector of a `KubeArmorClusterPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MatchExpression {
    /// namespace or label.
    pub key: String,
    /// `In` or `NotIn`.
    pub operator: String,
    pub values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    pub enable: bool,
    /// Further host names that the relay's certificate is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_dns_names: Vec<String>,
    /// Further addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_ip_addresses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Adapters {
    pub elasticsearch: Elasticsearch,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Elasticsearch {
    pub enabled: bool,
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts_index: Option<String>,
    pub auth: ElasticsearchAuth,
}

/// Which secrets of the operator's namespace say who the relay is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ElasticsearchAuth {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password_key: String,
    #[serde(rename = "allowInsecureTLS")]
    pub allow_insecure_tls: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_cert_secret_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_cert_key: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KubeArmorConfigStatus {
    /// Created, Pending, Running, Updating or Error.
    pub phase: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nodes have to be looked at before agents can run there.
    Pending,
    /// All that is wanted is applied.
    Running,
    /// It is not, and the message says why.
    Error,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn posture(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["audit", "block"]})
}

/// API servers know no numbers without a sign.
fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 0})
}

fn pull_policy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Always", "IfNotPresent", "Never"]})
}

/// Objects of the API server's own, which it checks where they are used.
fn objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::{Value, json};

    use super::*;

    /// The fields of the existing definition, from its documentation.
    const FIELDS: [&str; 26] = [
        "recommendedPolicies",
        "defaultFilePosture",
        "defaultCapabilitiesPosture",
        "defaultNetworkPosture",
        "defaultVisibility",
        "globalImagePullSecrets",
        "globalTolerations",
        "globalNodeSelector",
        "globalEnv",
        "kubearmorImage",
        "kubearmorInitImage",
        "kubearmorRelayImage",
        "kubearmorControllerImage",
        "kubeRbacProxyImage",
        "tls",
        "enableStdOutLogs",
        "enableStdOutAlerts",
        "enableStdOutMsgs",
        "seccompEnabled",
        "alertThrottling",
        "maxAlertPerSec",
        "throttleSec",
        "adapters",
        "enableNRI",
        "controllerPort",
        "dropResourceFromProcessLogs",
    ];

    #[test]
    fn the_definition_has_the_fields_of_the_existing_one() {
        let definition = serde_json::to_value(KubeArmorConfig::crd()).unwrap();
        assert_eq!(definition["metadata"]["name"], "kubearmorconfigs.operator.kubearmor.com");
        let version = &definition["spec"]["versions"][0];
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let mut known: Vec<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
        known.retain(|field| *field != "matchArgs");
        let mut expected = FIELDS.to_vec();
        known.sort_unstable();
        expected.sort_unstable();
        assert_eq!(known, expected);
        assert_eq!(version["additionalPrinterColumns"][0]["jsonPath"], ".status.phase");
        let auth = &spec["adapters"]["properties"]["elasticsearch"]["properties"]["auth"];
        assert!(auth["properties"]["allowInsecureTLS"].is_object(), "{auth}");
    }

    #[test]
    fn a_configuration_of_the_existing_operator_is_read() {
        let spec: KubeArmorConfigSpec = serde_json::from_value(json!({
            "defaultFilePosture": "block",
            "enableStdOutLogs": false,
            "kubearmorImage": {"image": "kubearmor/kubearmor:stable", "imagePullPolicy": "Always"},
            "tls": {"enable": true, "extraDnsNames": ["localhost"], "extraIpAddresses": ["127.0.0.1"]},
            "globalTolerations": [{"operator": "Exists"}],
            "recommendedPolicies": {"enable": true, "excludePolicy": ["harden-write-etc-dir"]},
            "enableNRI": true,
        }))
        .unwrap();
        assert_eq!(spec.tls.extra_ip_addresses, ["127.0.0.1"]);
        assert_eq!(spec.enable_nri, Some(true));
        assert_eq!(spec.alert_throttling, None);
        let empty: KubeArmorConfigSpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(empty, KubeArmorConfigSpec::default());
    }

    /// API servers refuse a definition whose schema is not structural: one type for each value, no `$ref`.
    #[test]
    fn the_schema_is_structural() {
        fn look(schema: &Value, place: &str) {
            assert!(schema["$ref"].is_null() && schema["type"] != json!(null), "{place}: {schema}");
            assert!(schema["type"].is_string(), "{place}: {schema}");
            let format = schema["format"].as_str().unwrap_or_default();
            assert!(!format.starts_with("uint"), "{place}: API servers do not know {format}");
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                look(inner, &format!("{place}.{name}"));
            }
            for inner in ["items", "additionalProperties"] {
                if schema[inner].is_object() {
                    look(&schema[inner], &format!("{place}.{inner}"));
                }
            }
        }
        let definition = serde_json::to_value(KubeArmorConfig::crd()).unwrap();
        look(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "");
    }
}
