//! `karmor rotate-tls`: asks for new certificates and tells how far they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
    runtime::wait::await_condition,
};
use manifests::labels;
use serde_json::json;

use super::{FIELD_MANAGER, progress};
use crate::{command::Cluster, failure::Advised};

/// The operator waits twice for kubelets to bring secrets to pods.
const PATIENCE: Duration = Duration::from_mins(20);
const ASKED: &str = "kubearmor.io/rotation-asked";
const DONE: &str = "kubearmor.io/rotation-done";
/// The controller makes its own anew where they are gone.
const WEBHOOK_SECRET: &str = "kubearmor-controller-webhook-server-cert";

#[derive(Debug, clap::Args)]
pub(crate) struct RotateOptions {
    #[command(flatten)]
    cluster: Cluster,
    /// The namespace of the installation
    #[arg(short, long, default_value = "kubearmor", value_name = "NAME")]
    namespace: String,
    /// Do not wait until the old authority is trusted no more
    #[arg(long = "no-wait")]
    no_wait: bool,
}

pub(crate) async fn run(options: &RotateOptions) -> anyhow::Result<()> {
    let client = options.cluster.client().await?;
    let secrets: Api<Secret> = Api::namespaced(client, &options.namespace);
    match secrets.delete(WEBHOOK_SECRET, &DeleteParams::default()).await {
        Ok(_) => progress("the controller makes new certificates for its webhook"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(problem) => return Err(refused(WEBHOOK_SECRET, &problem).into()),
    }
    let authority = secrets.get_opt(labels::CA_SECRET).await;
    if authority.map_err(|problem| refused(labels::CA_SECRET, &problem))?.is_none() {
        progress("clients, relay and agents use no TLS: there is nothing more to renew");
        return Ok(());
    }
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let asked = json!({"metadata": {"annotations": {ASKED: now}}});
    let how =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let asked = secrets.patch(labels::CA_SECRET, &how, &Patch::Merge(&asked)).await;
    asked.map_err(|problem| refused(labels::CA_SECRET, &problem))?;
    progress(
        "asked the operator for a new authority; it is trusted before anything is issued by it",
    );
    if options.no_wait {
        return Ok(());
    }
    let wanted = now.clone();
    let done = await_condition(secrets, labels::CA_SECRET, move |secret: Option<&Secret>| {
        secret.is_some_and(|secret| secret.annotations().get(DONE) == Some(&wanted))
    });
    let Ok(done) = tokio::time::timeout(PATIENCE, done).await else {
        let message = "the operator has not finished; what was begun goes on".to_owned();
        let hint = format!("kubectl -n {} logs deployment/{}", options.namespace, labels::OPERATOR);
        return Err(Advised::new(message, hint).into());
    };
    done?;
    progress("done: everything is issued by the new authority, and the old one is trusted no more");
    Ok(())
}

fn refused(secret: &str, problem: &kube::Error) -> Advised {
    let hint = "the rights to read and change Secrets of the installation's namespace are needed; --namespace names it";
    Advised::new(format!("secret {secret}: {problem}"), hint)
}
