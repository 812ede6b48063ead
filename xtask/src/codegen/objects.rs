//! The objects of a cluster as YAML: the definition of the operator's configuration, and plain manifests.

use anyhow::{Context, Result};
use kube::CustomResourceExt as _;
use manifests::{
    Installation, KubeArmorConfig, KubeArmorConfigSpec, Object, agent_capabilities, base,
    default_config, operator, without_operator,
};
use serde_json::Value;

use super::{Generated, crds, node};

const HEADER: &str = "# Written by `cargo xtask codegen` from crates/manifests.\n";

/// The definition of `KubeArmorConfig`.
pub(super) fn definition() -> Result<String> {
    Ok(format!("{HEADER}{}", yaml(&serde_json::to_value(KubeArmorConfig::crd())?)?))
}

/// All definitions, in the order of their files.
pub(super) fn definitions() -> Result<Vec<Object>> {
    use policy::Kind;
    let config = serde_json::to_value(KubeArmorConfig::crd())?;
    let node: Value = serde_saphyr::from_str(&node::text()?)?;
    let of = crds::definition;
    Ok(vec![
        of(Kind::Cluster),
        config,
        of(Kind::Host),
        of(Kind::Network),
        node,
        of(Kind::Container),
    ])
}

/// Manifests for `kubectl apply`.
pub(super) fn plain() -> Result<Vec<Generated>> {
    let installation = Installation::default();
    let mut with_operator = base(&installation, definitions()?);
    with_operator.push(operator(&installation));
    let config = default_config(&installation, &KubeArmorConfigSpec::default());
    let without = without_operator(&installation, definitions()?);
    let file = |name: &str, about: &str, objects: &[Object]| -> Result<Generated> {
        let text = format!("{HEADER}# {about}\n{}", documents(objects)?);
        Ok(Generated { path: format!("deploy/manifests/{name}").into(), text })
    };
    Ok(vec![
        file(
            "kubearmor.yaml",
            "The operator, which waits for a KubeArmorConfig. kubectl apply --server-side -f FILE",
            &with_operator,
        )?,
        file(
            "kubearmorconfig.yaml",
            "What the operator is to do; to be applied once kubearmor.yaml is. kubectl explain kubearmorconfig.spec",
            &[config],
        )?,
        file(
            "without-operator.yaml",
            "Everything at once, with the same agents on each node. kubectl apply --server-side -f FILE",
            &without,
        )?,
    ])
}

/// One document for each object.
pub(super) fn documents(objects: &[Object]) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&yaml(object)?);
    }
    Ok(text)
}

fn yaml(object: &Object) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(object, options)
        .with_context(|| format!("writing {} {}", object["kind"], object["metadata"]["name"]))?;
    if object["kind"] != "DaemonSet" {
        return Ok(text);
    }
    Ok(text.lines().flat_map(|line| [with_reason(line), "\n".to_owned()]).collect())
}

/// A capability with what it is for.
fn with_reason(line: &str) -> String {
    let named = line.trim_start().strip_prefix("- ");
    let known = agent_capabilities().iter().find(|(name, _)| named == Some(name));
    known.map_or_else(|| line.to_owned(), |(_, reason)| format!("{line} # {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_objects() {
        let installation = Installation::default();
        let objects = without_operator(&installation, definitions().unwrap());
        let text = documents(&objects).unwrap();
        let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(read, objects);
        assert!(text.contains("- SYS_PTRACE # roots"), "a reason for each capability");
    }

    /// The programs bring the definitions as files.
    #[test]
    fn the_files_are_what_is_written() {
        let mut marked = base(&Installation::default(), definitions().unwrap());
        marked.retain(|object| object["kind"] == "CustomResourceDefinition");
        let mut of_files = base(&Installation::default(), manifests::crds());
        of_files.retain(|object| object["kind"] == "CustomResourceDefinition");
        assert_eq!(marked.len(), of_files.len());
        for (written, of_file) in marked.iter().zip(&of_files) {
            assert!(written == of_file, "stale: {}", written["metadata"]["name"]);
        }
    }
}
