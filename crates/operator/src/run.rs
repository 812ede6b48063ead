//! Watching, and bringing the cluster to what the plan says.

use std::{collections::BTreeMap, future::Future, time::Duration};

use anyhow::{Context as _, Result};
use cluster::apply::{self, Mode};
use k8s_openapi::{
    ByteString,
    api::{apps::v1::Deployment, core::v1::Secret as ApiSecret},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use manifests::{
    Installation, KubeArmorConfig, KubeArmorConfigSpec, Object, Phase, crds, labels, secrets,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tracing::{error, info};

use crate::{
    FIELD_MANAGER,
    certificates::{self, Secret, Secrets, Wanted},
    plan::{Plan, plan},
    watched::Watched,
};

/// Nothing may have happened, and somebody may have changed what was applied.
const AGAIN: Duration = Duration::from_mins(1);
/// What comes at once is taken together.
const TOGETHER: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Options {
    pub installation: Installation,
    /// The operator's own deployment, with which everything goes; empty for none.
    pub deployment: String,
}

/// Runs until `ending` is.
pub async fn run(mut options: Options, ending: impl Future<Output = ()>) -> Result<()> {
    let client = Client::try_default()
        .await
        .context("there is no way to an API server: neither a service account nor a kubeconfig")?;
    let namespace = options.installation.namespace.clone();
    options.installation.owner = owner(&client, &namespace, &options.deployment).await?;
    options.installation.by_operator = true;
    let installation = options.installation;
    for definition in crds() {
        let definition = marked(definition);
        apply::apply(&client, FIELD_MANAGER, &definition, Mode::Keep).await?;
    }
    let watched = Watched::begin(&client, &namespace);
    info!("looking after KubeArmor in namespace {namespace}, with image {}", installation.image);
    let mut ending = std::pin::pin!(ending);
    tokio::select! {
        () = watched.complete() => {}
        () = &mut ending => return Ok(()),
    }
    let mut last = String::new();
    loop {
        let wanted = plan(&installation, &watched.now());
        let problem = reconcile(&client, &installation, &wanted).await.err();
        tell(&client, &namespace, &wanted, problem.as_ref()).await;
        let said = problem.map_or_else(
            || {
                wanted
                    .status
                    .first()
                    .map_or_else(|| "no KubeArmorConfig".to_owned(), |s| s.2.clone())
            },
            |problem| format!("{problem:#}"),
        );
        if said != last {
            info!("{said}");
            last = said;
        }
        tokio::select! {
            () = watched.changed() => tokio::time::sleep(TOGETHER).await,
            () = tokio::time::sleep(AGAIN) => {}
            () = &mut ending => return Ok(()),
        }
    }
}

/// As an installation marks them, so that an uninstallation finds them.
fn marked(mut definition: Object) -> Object {
    definition["metadata"]["labels"][labels::PART_OF] = json!(labels::PRODUCT);
    definition
}

/// With what everything goes.
async fn owner(client: &Client, namespace: &str, deployment: &str) -> Result<Option<Value>> {
    if deployment.is_empty() {
        return Ok(None);
    }
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let own = api.get(deployment).await.with_context(|| {
        format!(
            "deployment {namespace}/{deployment}, which --deploymentName says is the operator's own"
        )
    })?;
    Ok(Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment,
        "uid": own.uid().unwrap_or_default(),
    })))
}

async fn reconcile(client: &Client, installation: &Installation, wanted: &Plan) -> Result<()> {
    for (node, (told, boot)) in &wanted.labels {
        label(client, node, told, boot).await?;
    }
    if let Some(spec) = wanted.spec.as_ref().filter(|spec| spec.tls.enable) {
        issue(client, installation, spec).await?;
    }
    for object in &wanted.objects {
        apply::apply(client, FIELD_MANAGER, object, Mode::Keep).await?;
    }
    prune(client, installation, &wanted.objects).await
}

/// What of the node's labels is ours is what was told, and no more.
async fn label(
    client: &Client,
    node: &str,
    told: &BTreeMap<String, String>,
    boot: &str,
) -> Result<()> {
    let mut all: BTreeMap<&str, Value> =
        labels::OF_NODES.into_iter().map(|label| (label, Value::Null)).collect();
    all.extend(told.iter().map(|(label, value)| (label.as_str(), json!(value))));
    let patch = json!({"metadata": {"labels": all, "annotations": {labels::LOOKED_AT: boot}}});
    let api: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    let how =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(node, &how, &Patch::Merge(&patch))
        .await
        .with_context(|| format!("labels of node {node}"))?;
    info!("node {node}: {told:?}");
    Ok(())
}

/// Takes away what the operator has applied and nobody wants any more.
async fn prune(client: &Client, installation: &Installation, wanted: &[Object]) -> Result<()> {
    let ours = format!("{}={}", labels::MANAGED_BY, labels::BY_OPERATOR);
    let inside = Some(installation.namespace.as_str());
    for (api_version, kind, namespace) in [
        ("apps/v1", "DaemonSet", inside),
        ("apps/v1", "Deployment", inside),
        ("v1", "Service", inside),
        ("v1", "ConfigMap", inside),
        ("policy/v1", "PodDisruptionBudget", inside),
        ("security.kubearmor.com/v1", "KubeArmorClusterPolicy", None),
    ] {
        for object in apply::labelled(client, api_version, kind, namespace, &ours).await? {
            let kept = wanted.iter().any(|wanted| {
                wanted["kind"] == kind && wanted["metadata"]["name"] == object["metadata"]["name"]
            });
            if !kept && apply::delete(client, &object).await? {
                info!("removed {}", apply::called(&object));
            }
        }
    }
    Ok(())
}

/// Brings the certificates to where they should be by now.
async fn issue(
    client: &Client,
    installation: &Installation,
    spec: &KubeArmorConfigSpec,
) -> Result<()> {
    let api: Api<ApiSecret> = Api::namespaced(client.clone(), &installation.namespace);
    let mut seen = Secrets::new();
    for name in secrets() {
        if let Some(secret) = api.get_opt(name).await.with_context(|| format!("secret {name}"))? {
            seen.insert(name.to_owned(), kept(&secret));
        }
    }
    let extra = spec.tls.extra_dns_names.iter().chain(&spec.tls.extra_ip_addresses);
    let wanted =
        Wanted { namespace: installation.namespace.clone(), extra: extra.cloned().collect() };
    let next = certificates::advance(&seen, &wanted, OffsetDateTime::now_utc())?;
    // The authority first: nothing may be issued by one that was lost.
    let (first, rest): (Vec<_>, Vec<_>) =
        next.into_iter().partition(|(name, _)| name == labels::CA_SECRET);
    for (name, secret) in first.into_iter().chain(rest) {
        if seen.get(&name) == Some(&secret) {
            continue;
        }
        write(client, installation, &name, &secret).await?;
        info!("secret {name} is renewed");
    }
    Ok(())
}

async fn write(
    client: &Client,
    installation: &Installation,
    name: &str,
    secret: &Secret,
) -> Result<()> {
    let mut metadata = json!({
        "name": name,
        "namespace": installation.namespace,
        "labels": {labels::PART_OF: labels::PRODUCT},
    });
    // When the rotation was asked for is somebody else's to say.
    let annotations: BTreeMap<_, _> =
        secret.annotations.iter().filter(|(key, _)| *key != certificates::ASKED).collect();
    metadata["annotations"] = json!(annotations);
    let data: BTreeMap<_, _> = secret
        .data
        .iter()
        .map(|(key, text)| (key, ByteString(text.clone().into_bytes())))
        .collect();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": metadata,
        "data": data,
    });
    apply::apply(client, FIELD_MANAGER, &object, Mode::Keep).await?;
    Ok(())
}

fn kept(secret: &ApiSecret) -> Secret {
    let ours = |key: &String| key.starts_with("kubearmor.io/");
    let annotations = secret.annotations().iter().filter(|(key, _)| ours(key));
    let data =
        secret.data.iter().flatten().filter_map(|(key, value)| {
            Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))
        });
    Secret {
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
        data: data.collect(),
    }
}

/// The phase of each configuration. Who asked for it may have deleted it by now.
async fn tell(client: &Client, namespace: &str, wanted: &Plan, problem: Option<&anyhow::Error>) {
    let api: Api<KubeArmorConfig> = Api::namespaced(client.clone(), namespace);
    for (number, (name, phase, message)) in wanted.status.iter().enumerate() {
        let (phase, message) = match problem {
            Some(problem) if number == 0 => (Phase::Error, format!("{problem:#}")),
            _ => (*phase, message.clone()),
        };
        let status = json!({
            "apiVersion": "operator.kubearmor.com/v1",
            "kind": "KubeArmorConfig",
            "status": {"phase": phase.to_string(), "message": message},
        });
        let how = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(name, &how, &Patch::Apply(&status)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(problem) => error!("status of KubeArmorConfig {namespace}/{name}: {problem}"),
        }
    }
}
