//! Policies that harden every workload. None of them is in force unless somebody asks for them.

use serde_json::{Value, json};

use crate::{Installation, Object, RecommendedPolicies, labels};

/// Their texts, by name.
pub const POLICIES: [(&str, &str); 17] = [
    ("harden-cronjob-cfg", include_str!("../../../policies/recommended/harden-cronjob-cfg.yaml")),
    (
        "harden-crypto-miners",
        include_str!("../../../policies/recommended/harden-crypto-miners.yaml"),
    ),
    (
        "harden-file-integrity-monitoring",
        include_str!("../../../policies/recommended/harden-file-integrity-monitoring.yaml"),
    ),
    (
        "harden-impair-defense",
        include_str!("../../../policies/recommended/harden-impair-defense.yaml"),
    ),
    (
        "harden-k8s-client-tool-exec",
        include_str!("../../../policies/recommended/harden-k8s-client-tool-exec.yaml"),
    ),
    (
        "harden-maint-tools-access",
        include_str!("../../../policies/recommended/harden-maint-tools-access.yaml"),
    ),
    (
        "harden-network-service-scanning",
        include_str!("../../../policies/recommended/harden-network-service-scanning.yaml"),
    ),
    (
        "harden-pkg-mngr-exec",
        include_str!("../../../policies/recommended/harden-pkg-mngr-exec.yaml"),
    ),
    (
        "harden-remote-services",
        include_str!("../../../policies/recommended/harden-remote-services.yaml"),
    ),
    (
        "harden-system-owner-discovery",
        include_str!("../../../policies/recommended/harden-system-owner-discovery.yaml"),
    ),
    (
        "harden-trusted-cert-mod",
        include_str!("../../../policies/recommended/harden-trusted-cert-mod.yaml"),
    ),
    (
        "harden-write-etc-dir",
        include_str!("../../../policies/recommended/harden-write-etc-dir.yaml"),
    ),
    (
        "harden-write-in-shm-dir",
        include_str!("../../../policies/recommended/harden-write-in-shm-dir.yaml"),
    ),
    (
        "harden-write-under-dev-dir",
        include_str!("../../../policies/recommended/harden-write-under-dev-dir.yaml"),
    ),
    ("preset-exec", include_str!("../../../policies/recommended/preset-exec.yaml")),
    ("preset-fileexec", include_str!("../../../policies/recommended/preset-fileexec.yaml")),
    ("preset-proc-env", include_str!("../../../policies/recommended/preset-proc-env.yaml")),
];

/// All of them, as they are in the repository.
pub fn policies() -> Vec<Object> {
    POLICIES.iter().filter_map(|(_, text)| serde_saphyr::from_str(text).ok()).collect()
}

/// Those that are asked for, selecting whom the configuration says.
pub(crate) fn wanted(installation: &Installation, asked: &RecommendedPolicies) -> Vec<Object> {
    if !asked.enable {
        return Vec::new();
    }
    let excluded = |policy: &Value| {
        asked.exclude_policy.iter().any(|name| policy["metadata"]["name"] == **name)
    };
    policies()
        .into_iter()
        .filter(|policy| !excluded(policy))
        .map(|mut policy| {
            policy["metadata"]["labels"] =
                json!({labels::PART_OF: labels::PRODUCT, labels::MANAGED_BY: labels::BY_OPERATOR});
            // The annotation by which the existing operator knows its own.
            policy["metadata"]["annotations"] = json!({labels::MANAGED_BY: labels::BY_OPERATOR});
            policy["spec"]["selector"] = if asked.match_expressions.is_empty() {
                json!({"matchExpressions": [{
                    "key": "namespace",
                    "operator": "NotIn",
                    "values": ["kube-system", installation.namespace],
                }]})
            } else {
                json!({"matchExpressions": asked.match_expressions})
            };
            policy
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MatchExpression;

    #[test]
    fn each_is_a_policy_without_complaints() {
        assert_eq!(policies().len(), POLICIES.len());
        for (name, text) in POLICIES {
            let read = policy::parse(text, name);
            assert!(read.diagnostics.is_empty(), "{name}: {:?}", read.diagnostics);
            assert_eq!(read.policies.len(), 1, "{name}");
            assert_eq!(read.policies[0].id.name, name);
        }
    }

    /// The behaviour cases show these policies, and no earlier ones.
    #[test]
    fn each_has_a_behaviour_case() {
        for policy in policies() {
            let name = policy["metadata"]["name"].as_str().unwrap();
            let path = format!(
                "{}/../../test/cases/own/recommended-{name}.yaml",
                env!("CARGO_MANIFEST_DIR")
            );
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let case: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(case["policies"], json!([policy]), "{path}");
        }
    }

    #[test]
    fn none_is_wanted_unless_asked_for() {
        let installation = Installation::default();
        assert_eq!(wanted(&installation, &RecommendedPolicies::default()), Vec::<Value>::new());
        let asked = RecommendedPolicies {
            enable: true,
            exclude_policy: vec!["harden-write-etc-dir".into()],
            ..RecommendedPolicies::default()
        };
        let policies =
            wanted(&Installation { namespace: "security".into(), ..installation }, &asked);
        assert_eq!(policies.len(), POLICIES.len() - 1);
        let selector = &policies[0]["spec"]["selector"]["matchExpressions"][0];
        assert_eq!(selector["values"], json!(["kube-system", "security"]));
    }

    #[test]
    fn the_configuration_says_whom_they_select() {
        let expression = MatchExpression {
            key: "label".into(),
            operator: "In".into(),
            values: vec!["app=web".into()],
        };
        let asked = RecommendedPolicies {
            enable: true,
            match_expressions: vec![expression],
            ..RecommendedPolicies::default()
        };
        let policies = wanted(&Installation::default(), &asked);
        assert_eq!(
            policies[3]["spec"]["selector"]["matchExpressions"][0]["values"],
            json!(["app=web"])
        );
    }
}
