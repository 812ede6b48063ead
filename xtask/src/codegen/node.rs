//! The definition of the objects in which agents tell what holds on their nodes.

use anyhow::{Context, Result};
use cluster::summary::KubeArmorNode;
use kube::CustomResourceExt as _;

const HEADER: &str = "# Written by `cargo xtask codegen` from crates/cluster/src/summary.rs.\n";

/// The definition as YAML.
pub(super) fn text() -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(&KubeArmorNode::crd(), options)
        .context("writing the definition of KubeArmorNode")?;
    Ok(format!("{HEADER}{yaml}"))
}

#[cfg(test)]
mod tests {
    use cluster::summary::PolicyState;
    use serde_json::Value;

    use super::*;
    use crate::codegen::status;

    #[test]
    fn the_states_of_a_policy_are_the_same_on_a_node_and_in_its_status() {
        let of_nodes = PolicyState::ALL.map(PolicyState::as_str);
        for state in status::STATES {
            assert!(of_nodes.contains(&state), "{state}");
        }
    }

    #[test]
    fn the_definition_has_each_field_of_a_summary() {
        let definition: Value = serde_saphyr::from_str(&text().unwrap()).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let policy = &schema["properties"]["status"]["properties"]["policies"]["items"];
        assert_eq!(policy["required"], serde_json::json!(["kind", "name", "state"]));
        let states = policy["properties"]["state"]["enum"].as_array().unwrap();
        assert_eq!(states.len(), PolicyState::ALL.len());
    }
}
