//! The report of a running agent: its host, policies, protected containers and accounts.

use std::io::{self, Write};

use feed::{ProbeResponse, proto::policy::Policy};
use serde_json::{Map, Value, json};

use crate::table::titled;

pub(crate) struct Report {
    /// Keys and values of the agent's own file.
    pub agent: Map<String, Value>,
    pub answer: ProbeResponse,
}

impl Report {
    pub(super) fn json(&self) -> Value {
        let hosts: Map<_, _> = self
            .answer
            .host_map
            .iter()
            .map(|(host, data)| {
                let lists = json!({
                    "policyList": data.policy_list,
                    "policyDataList": texts(&data.policy_data_list),
                });
                (host.clone(), lists)
            })
            .collect();
        let containers: Map<_, _> =
            self.containers().map(|(name, policies)| (name.to_owned(), json!(policies))).collect();
        let policies: Vec<_> = self
            .answer
            .policies
            .iter()
            .map(|policy| {
                json!({
                    "kind": policy.kind,
                    "namespace": policy.namespace,
                    "name": policy.name,
                    "state": policy.state,
                    "notes": policy.notes,
                })
            })
            .collect();
        let accounts: Vec<_> = self
            .answer
            .accounts
            .iter()
            .map(|account| {
                json!({
                    "policy": account.policy,
                    "namespace": account.namespace,
                    "kind": account.kind,
                    "action": account.action,
                    "workload": account.workload,
                    "generated": account.generated,
                    "delivered": account.delivered,
                    "throttled": account.throttled,
                    "lost": account.lost,
                })
            })
            .collect();
        let usage: Map<_, _> =
            self.answer.usage.iter().map(|line| (line.what.clone(), json!(line.count))).collect();
        json!({"Probe Data": {
            "Host": self.agent,
            "HostPolicies": hosts,
            "ArmoredContainers": containers,
            "Policies": policies,
            "Accounts": accounts,
            "Usage": usage,
        }})
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.agent.is_empty() {
            let rows = self.agent.iter().map(|(key, value)| vec![key.clone(), plain(value)]);
            titled(out, "Host", &[], rows)?;
        }
        let hosts = self.answer.host_map.iter();
        let hosts = hosts.map(|(host, data)| vec![host.clone(), data.policy_list.join("\n")]);
        titled(out, "Host Policies", &["HOST NAME", "POLICY"], hosts)?;
        let containers =
            self.containers().map(|(name, policies)| vec![name.to_owned(), policies.join("\n")]);
        titled(out, "Armored Up Containers", &["CONTAINER NAME", "POLICY"], containers)?;
        let policies = self.answer.policies.iter().map(|policy| {
            vec![
                policy.kind.clone(),
                policy.namespace.clone(),
                policy.name.clone(),
                policy.state.clone(),
                policy.notes.join("\n"),
            ]
        });
        titled(out, "Policies", &["KIND", "NAMESPACE", "NAME", "STATE", "NOTES"], policies)
    }

    /// The protected containers and their policies.
    fn containers(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.answer.container_list.iter().filter_map(|name| {
            match self.answer.container_map.get(name) {
                Some(data) if data.policy_enabled != 1 => None,
                Some(data) => Some((name.as_str(), data.policy_list.as_slice())),
                None => Some((name.as_str(), [].as_slice())),
            }
        })
    }
}

fn texts(policies: &[Policy]) -> Vec<String> {
    policies.iter().map(|policy| String::from_utf8_lossy(&policy.policy).into_owned()).collect()
}

/// A value of the agent's file in one cell: `file: audit, network: block`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| format!("{key}: {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use feed::proto::policy::{ContainerData, HostSecurityPolicies, PolicyState};

    use super::*;

    fn report() -> Report {
        let container = |names: &[&str], enabled| ContainerData {
            policy_list: names.iter().map(|&name| name.to_owned()).collect(),
            policy_enabled: enabled,
            policy_data_list: Vec::new(),
        };
        Report {
            agent: serde_json::from_value(json!({
                "ActiveLSM": "BPFLSM",
                "HostDefaultPosture": {"file": "audit", "network": "block"},
            }))
            .unwrap(),
            answer: ProbeResponse {
                container_list: vec!["teller".into(), "off".into(), "bare".into()],
                container_map: [
                    ("teller".to_owned(), container(&["ledger"], 1)),
                    ("off".to_owned(), container(&[], 0)),
                ]
                .into(),
                host_map: [(
                    "node".to_owned(),
                    HostSecurityPolicies {
                        policy_list: vec!["hsp".into()],
                        policy_data_list: Vec::new(),
                    },
                )]
                .into(),
                policies: vec![PolicyState {
                    kind: "KubeArmorPolicy".into(),
                    namespace: "bank".into(),
                    name: "ledger".into(),
                    state: "Enforced".into(),
                    notes: Vec::new(),
                }],
                ..ProbeResponse::default()
            },
        }
    }

    #[test]
    fn json_has_the_keys_of_the_reference() {
        let json = report().json();
        let data = &json["Probe Data"];
        assert_eq!(data["Host"]["ActiveLSM"], "BPFLSM");
        assert_eq!(data["HostPolicies"]["node"]["policyList"], json!(["hsp"]));
        assert_eq!(data["ArmoredContainers"], json!({"teller": ["ledger"], "bare": []}));
        assert_eq!(data["Policies"][0]["state"], "Enforced");
    }

    #[test]
    fn text_has_a_table_for_each_subject() {
        let mut text = Vec::new();
        report().text(&mut anstream::StripStream::new(&mut text)).unwrap();
        let text = String::from_utf8(text).unwrap();
        for part in ["\nHost\n", "file: audit, network: block", "| teller ", "| hsp", "Enforced"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("off"), "{text}");
    }
}
