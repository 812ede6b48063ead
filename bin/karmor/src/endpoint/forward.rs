//! The relay of a cluster, through a port that the API server forwards to its pod.

use std::{env, io, path::Path, sync::Arc};

use anyhow::Context as _;
use feed::{ClientIdentity, Duplex, client::Opener};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{command::Cluster, failure::Advised};

const LABEL: &str = "kubearmor-app=kubearmor-relay";
const PORT: u16 = 32767;
/// The Secret that holds a client's certificate, and its keys.
const SECRET: &str = "kubearmor-client-certs";
const SECRET_KEYS: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];
/// Where it is looked for if no other namespace may be looked at.
const USUAL_NAMESPACE: &str = "kubearmor";

/// A cluster that this user has access to, as far as files and environment tell.
#[derive(Clone)]
pub(super) struct Reach {
    client: Client,
    /// The API server.
    pub(super) url: String,
}

impl Reach {
    /// `None`: no cluster is configured. Nothing is asked of it yet.
    pub(super) async fn find(cluster: &Cluster) -> anyhow::Result<Option<Self>> {
        let options =
            KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
        let config = match &cluster.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
                from_file(file, &options).await?
            }
            None if has_file() || cluster.context.is_some() => {
                let file = Kubeconfig::read().map_err(|error| unusable(&error))?;
                from_file(file, &options).await?
            }
            None if env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
                Config::incluster().map_err(|error| unusable(&error))?
            }
            None => return Ok(None),
        };
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Some(Self { client, url }))
    }

    /// The pod of the relay, as `NAMESPACE/NAME`.
    pub(super) async fn relay(&self) -> anyhow::Result<String> {
        self.pod().await.map(|pod| shown(&pod))
    }

    async fn pod(&self) -> anyhow::Result<Pod> {
        let wanted = ListParams::default().labels(LABEL);
        let everywhere: Api<Pod> = Api::all(self.client.clone());
        let pods = match everywhere.list(&wanted).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 403 => {
                let usual: Api<Pod> = Api::namespaced(self.client.clone(), USUAL_NAMESPACE);
                usual.list(&wanted).await.map_err(|error| {
                    Advised::new(
                        format!("pods may not be looked at in the cluster {}: {error}", self.url),
                        "the rights to list pods and to create pods/portforward are needed; or name the relay with --gRPC HOST:PORT",
                    )
                })?
            }
            other => other.map_err(|error| {
                Advised::new(
                    format!("the cluster {} does not answer: {}", self.url, chain(&error)),
                    "choose another with --context or --kubeconfig, or name an agent or a relay with --gRPC HOST:PORT",
                )
            })?,
        };
        pods.items.into_iter().filter(is_running).min_by_key(shown).ok_or_else(|| {
            let message = format!("no relay runs in the cluster {}: no pod is labelled {LABEL}", self.url);
            let hint = "`kubectl apply -f deploy/manifests/relay.yaml` installs one; or name an agent with --gRPC HOST:PORT";
            Advised::new(message, hint).into()
        })
    }

    /// The certificate that a cluster has for its clients, if this user may read it.
    pub(super) async fn identity(&self) -> anyhow::Result<ClientIdentity> {
        let pod = self.pod().await?;
        let namespace = pod.namespace().unwrap_or_else(|| USUAL_NAMESPACE.to_owned());
        let origin = format!("Secret {namespace}/{SECRET}");
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let secret = secrets.get(SECRET).await.with_context(|| origin.clone())?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| data.get(key).map(|text| text.0.as_slice()).unwrap_or_default();
        let [authority, certificate, key] = SECRET_KEYS.map(text);
        Ok(ClientIdentity::from_pem(Path::new(&origin), authority, certificate, key)?)
    }

    /// Looks for the pod anew each time: another may have taken its place.
    pub(super) fn opener(&self) -> Opener {
        let reach = self.clone();
        Arc::new(move || {
            let reach = reach.clone();
            Box::pin(async move { reach.open().await })
        })
    }

    async fn open(&self) -> io::Result<Box<dyn Duplex>> {
        let pod = self.pod().await.map_err(|error| io::Error::other(format!("{error:#}")))?;
        let namespace = pod.namespace().unwrap_or_else(|| USUAL_NAMESPACE.to_owned());
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut forwarder = api.portforward(&pod.name_any(), &[PORT]).await.map_err(|error| {
            let (pod, error) = (shown(&pod), chain(&error));
            io::Error::other(format!("no port of pod {pod} is forwarded: {error}"))
        })?;
        let stream = forwarder.take_stream(PORT);
        Ok(Box::new(stream.ok_or_else(|| io::Error::other("no port was forwarded"))?))
    }
}

async fn from_file(file: Kubeconfig, options: &KubeConfigOptions) -> anyhow::Result<Config> {
    let config = Config::from_custom_kubeconfig(file, options).await;
    config.map_err(|error| unusable(&error))
}

fn unusable(error: &dyn std::error::Error) -> anyhow::Error {
    let message = format!("the way to the cluster cannot be used: {}", chain(error));
    let hint = "choose another with --kubeconfig FILE or --context NAME, or name an agent or a relay with --gRPC HOST:PORT";
    Advised::new(message, hint).into()
}

/// Where clients of Kubernetes look.
fn has_file() -> bool {
    let named = env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
    named || env::home_dir().is_some_and(|home| home.join(Path::new(".kube/config")).exists())
}

fn is_running(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

fn shown(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
