//! `karmor install`, `uninstall` and `rotate-tls`: what is done to a cluster, and how it is reached.

mod install;
mod rotate;
mod uninstall;

use anstream::eprintln;
use cluster::apply::ApplyError;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

pub(crate) use self::{
    install::{InstallOptions, run as install},
    rotate::{RotateOptions, run as rotate},
    uninstall::{UninstallOptions, run as uninstall},
};
use crate::{command::Cluster, failure::Advised};

/// Whose fields ours are in objects.
const FIELD_MANAGER: &str = "karmor";
const HINT: &str = "choose a cluster with --kubeconfig FILE, --context NAME or the environment variable KUBECONFIG; `kubectl get nodes` tells whether it answers";

impl Cluster {
    /// The cluster that this user has access to.
    async fn client(&self) -> anyhow::Result<Client> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let unusable = |problem: &dyn std::fmt::Display| {
            anyhow::Error::from(Advised::new(
                format!("there is no way to a cluster: {problem}"),
                HINT,
            ))
        };
        let config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|problem| unusable(&problem))?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(|problem| unusable(&problem))?
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|problem| unusable(&problem))?
            }
            None => Config::infer().await.map_err(|problem| unusable(&problem))?,
        };
        Client::try_from(config).map_err(|problem| unusable(&problem))
    }
}

/// What the API server did not take, with the way out.
fn advised(error: &ApplyError) -> anyhow::Error {
    let hint = match &error.source {
        kube::Error::Api(status) if status.code == 403 => {
            "installing needs the rights of an administrator of the cluster: it gives rights to the programs"
        }
        kube::Error::Api(_) => "nothing was undone: mend what is named, then run this again",
        _ => HINT,
    };
    Advised::new(error.to_string(), hint).into()
}

/// One line of progress, for people.
fn progress(line: &str) {
    eprintln!("{line}");
}
