//! `karmor install`: the operator and its configuration, without Helm.

use std::{fs, io::Write as _, path::PathBuf, time::Duration};

use anstream::println;
use anyhow::Context as _;
use cluster::apply::{self, Mode};
use kube::{
    Api, Client,
    runtime::{conditions::Condition, wait::await_condition},
};
use manifests::{
    Installation, KubeArmorConfig, KubeArmorConfigSpec, Object, base, crds, default_config, labels,
    operator, without_operator,
};
use serde_json::json;

use super::{FIELD_MANAGER, advised, progress};
use crate::{command::Cluster, failure::Advised};

/// For images to be pulled and nodes to be looked at.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag")]
pub(crate) struct InstallOptions {
    #[command(flatten)]
    cluster: Cluster,
    /// The namespace of everything
    #[arg(short, long, default_value = "kubearmor", value_name = "NAME")]
    namespace: String,
    /// The image with all programs, with or without a tag
    #[arg(short, long, value_name = "IMAGE")]
    image: Option<String>,
    /// Its tag
    #[arg(short, long, value_name = "TAG")]
    tag: Option<String>,
    /// The registry, in place of docker.io
    #[arg(short, long, value_name = "HOST")]
    registry: Option<String>,
    /// Pull policy of all pods
    #[arg(long = "image-pull-policy", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pull_policy: String,
    /// Postures that audit: all, file, network, capabilities
    #[arg(short, long, value_delimiter = ',', value_name = "CLASS", value_parser = ["all", "file", "network", "capabilities"])]
    audit: Vec<String>,
    /// Postures that block
    #[arg(short, long, value_delimiter = ',', value_name = "CLASS", value_parser = ["all", "file", "network", "capabilities"])]
    block: Vec<String>,
    /// What is logged of containers: process,file,network,capabilities or none
    #[arg(long, value_name = "CLASSES")]
    viz: Option<String>,
    /// Hold repeated alerts back
    #[arg(long = "alertThrottling", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    alert_throttling: Option<bool>,
    #[arg(long = "maxAlertPerSec", value_name = "N")]
    max_alert_per_sec: Option<u32>,
    #[arg(long = "throttleSec", value_name = "SECONDS")]
    throttle_sec: Option<u32>,
    /// TLS between clients, relay and agents
    #[arg(long)]
    tls: bool,
    /// Put the recommended policies in force
    #[arg(long)]
    recommended: bool,
    /// Everything at once, with the same agents on each node, and nobody who looks after it
    #[arg(long = "without-operator", conflicts_with_all = ["audit", "block", "viz", "alert_throttling", "max_alert_per_sec", "throttle_sec", "tls", "recommended", "skip_deploy"])]
    without_operator: bool,
    /// The operator alone, without a configuration: it waits for yours
    #[arg(long = "skip-deploy")]
    skip_deploy: bool,
    /// Write the objects to kubearmor.yaml and do nothing
    #[arg(long, conflicts_with = "dry_run")]
    save: bool,
    /// Have the API server judge each object, and keep none
    #[arg(long = "dry-run")]
    dry_run: bool,
    /// Wait until everything is applied
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", value_name = "BOOL")]
    verify: bool,
    /// Print one JSON object for each object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &InstallOptions) -> anyhow::Result<()> {
    let objects = objects(options);
    if options.save {
        return save(&objects);
    }
    let client = options.cluster.client().await?;
    let mode = if options.dry_run { Mode::DryRun } else { Mode::Keep };
    for object in &objects {
        put(&client, object, mode, options).await?;
    }
    if options.dry_run || !options.verify || options.skip_deploy || options.without_operator {
        return Ok(());
    }
    wait(&client, &options.namespace).await
}

async fn put(
    client: &Client,
    object: &Object,
    mode: Mode,
    options: &InstallOptions,
) -> anyhow::Result<()> {
    let called = apply::called(object);
    let done = apply::apply(client, FIELD_MANAGER, object, mode).await;
    let done = match done {
        // Nothing can be judged in a namespace, or of a kind, that is not there yet.
        Err(error) if mode == Mode::DryRun && error.is_not_found() => "not judged yet",
        Err(error) => return Err(advised(&error)),
        Ok(_) if mode == Mode::DryRun => "would be applied",
        Ok(_) => "applied",
    };
    if options.json {
        println!("{}", json!({"object": called, "state": done}));
    } else {
        progress(&format!("{called}: {done}"));
    }
    if mode == Mode::Keep && object["kind"] == "CustomResourceDefinition" {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = Api::all(client.clone());
        let there = kube::runtime::conditions::is_crd_established();
        let there = tokio::time::timeout(PATIENCE, await_condition(api, name, there)).await;
        there.with_context(|| format!("{called} is not served"))??;
    }
    Ok(())
}

/// Until the operator says that it has applied what the configuration wants.
async fn wait(client: &Client, namespace: &str) -> anyhow::Result<()> {
    progress("waiting for the operator");
    let api: Api<KubeArmorConfig> = Api::namespaced(client.clone(), namespace);
    let settled = |config: Option<&KubeArmorConfig>| {
        let phase = config.and_then(|config| config.status.as_ref()).map(|status| &*status.phase);
        matches!(phase, Some("Running" | "Error"))
    };
    let settled = await_condition(api, labels::CONFIG_NAME, settled.or(|_: Option<&_>| false));
    let hint = format!(
        "kubectl -n {namespace} get pods,kubearmorconfigs; kubectl -n {namespace} logs deployment/{}",
        labels::OPERATOR
    );
    let Ok(config) = tokio::time::timeout(PATIENCE, settled).await else {
        let message = format!(
            "the operator has not applied everything within {} minutes",
            PATIENCE.as_secs() / 60
        );
        return Err(Advised::new(message, hint).into());
    };
    let status = config?.and_then(|config| config.status).unwrap_or_default();
    if status.phase == "Error" {
        return Err(Advised::new(status.message, hint).into());
    }
    progress(&format!("KubeArmor runs: {}", status.message));
    Ok(())
}

fn save(objects: &[Object]) -> anyhow::Result<()> {
    let path = PathBuf::from("kubearmor.yaml");
    let shown = path.display().to_string();
    let mut file = fs::File::create(&path).with_context(|| shown.clone())?;
    for object in objects {
        writeln!(file, "---\n{}", serde_saphyr::to_string(object)?)
            .with_context(|| shown.clone())?;
    }
    println!("{shown}");
    Ok(())
}

fn objects(options: &InstallOptions) -> Vec<Object> {
    let installation = Installation {
        namespace: options.namespace.clone(),
        image: image(options),
        pull_policy: options.pull_policy.clone(),
        ..Installation::default()
    };
    if options.without_operator {
        return without_operator(&installation, crds());
    }
    let mut objects = base(&installation, crds());
    objects.push(operator(&installation));
    if !options.skip_deploy {
        objects.push(default_config(&installation, &spec(options)));
    }
    objects
}

fn image(options: &InstallOptions) -> String {
    let default = Installation::default().image;
    let mut image = options.image.clone().unwrap_or(default);
    if let Some(tag) = &options.tag {
        // A colon before a slash is a port.
        let end = image.rfind(':').filter(|at| !image[*at..].contains('/')).unwrap_or(image.len());
        image = format!("{}:{tag}", &image[..end]);
    }
    match &options.registry {
        Some(registry) => {
            let inner = image.split_once('/').filter(|(host, _)| host.contains(['.', ':']));
            format!("{registry}/{}", inner.map_or(&*image, |(_, inner)| inner))
        }
        None => image,
    }
}

fn spec(options: &InstallOptions) -> KubeArmorConfigSpec {
    let posture = |class: &str| {
        let named = |list: &[String]| list.iter().any(|name| name == class || name == "all");
        let posture = if named(&options.block) {
            "block"
        } else if named(&options.audit) {
            "audit"
        } else {
            return None;
        };
        Some(posture.to_owned())
    };
    let mut spec = KubeArmorConfigSpec {
        default_file_posture: posture("file"),
        default_network_posture: posture("network"),
        default_capabilities_posture: posture("capabilities"),
        default_visibility: options.viz.clone(),
        alert_throttling: options.alert_throttling,
        max_alert_per_sec: options.max_alert_per_sec,
        throttle_sec: options.throttle_sec,
        ..KubeArmorConfigSpec::default()
    };
    spec.tls.enable = options.tls;
    spec.recommended_policies.enable = options.recommended;
    spec
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: InstallOptions,
    }

    fn given(line: &str) -> InstallOptions {
        Line::try_parse_from(std::iter::once("install").chain(line.split_whitespace()))
            .unwrap()
            .options
    }

    #[test]
    fn the_image_is_put_together() {
        for (line, expected) in [
            ("-i a/b", "a/b"),
            ("-i a/b:1 -t 2", "a/b:2"),
            ("-i host:5000/a/b -t 2", "host:5000/a/b:2"),
            ("-i docker.io/a/b:1 -r host:5000", "host:5000/a/b:1"),
            ("-i a/b:1 -r host", "host/a/b:1"),
        ] {
            assert_eq!(image(&given(line)), expected, "{line}");
        }
    }

    #[test]
    fn what_blocks_wins_over_what_audits() {
        let spec = spec(&given("-a all -b network --maxAlertPerSec 3 --recommended"));
        assert_eq!(spec.default_file_posture.as_deref(), Some("audit"));
        assert_eq!(spec.default_network_posture.as_deref(), Some("block"));
        assert_eq!((spec.max_alert_per_sec, spec.alert_throttling), (Some(3), None));
        assert!(spec.recommended_policies.enable);
    }

    #[test]
    fn the_operator_comes_with_its_configuration_unless_told_otherwise() {
        let kinds = |line: &str| -> Vec<String> {
            let objects = objects(&given(line)).into_iter();
            objects.map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
        };
        let all = kinds("-n security");
        assert_eq!(all.last().map(String::as_str), Some("KubeArmorConfig"));
        assert!(all.iter().any(|kind| kind == "Deployment"));
        assert!(!kinds("--skip-deploy").iter().any(|kind| kind == "KubeArmorConfig"));
        assert!(kinds("--without-operator").iter().any(|kind| kind == "DaemonSet"));
        for object in objects(&given("-n security")) {
            let namespace = &object["metadata"]["namespace"];
            assert!(namespace.is_null() || namespace == "security", "{object}");
        }
    }
}
