//! The connection to the API server, and where in the cluster the agent is.

use std::{collections::BTreeMap, time::Duration};

use kube::{Client, Config};

/// The API server is on the same network; whoever does not answer by then is away.
const CONNECTING: Duration = Duration::from_secs(10);
/// Where the kubelet tells a pod its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Of the existing implementation.
const DEFAULT_NAMESPACE: &str = "kubearmor";

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
#[error(
    "no way to the API server is known: {0}; run the agent in a pod with a service account, name a file in KUBECONFIG, or set `k8s: false`"
)]
pub struct Unreachable(String);

/// Prepares the connection that `KUBECONFIG`, or else the pod's service account, describes. Nothing is sent yet, so an
/// API server that is away is no error.
pub async fn connect() -> Result<Client, Unreachable> {
    let mut config = Config::infer().await.map_err(|problem| Unreachable(problem.to_string()))?;
    config.connect_timeout = Some(CONNECTING);
    Client::try_from(config).map_err(|problem| Unreachable(problem.to_string()))
}

/// Where in the cluster the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the node's object.
    pub node: String,
    /// The agent's own namespace, in which its configuration lies.
    pub namespace: String,
}

impl Place {
    /// As the environment tells it: `KUBEARMOR_NODENAME` (the pod's `spec.nodeName`), else `host`; `KUBEARMOR_NAMESPACE`,
    /// else the pod's namespace.
    pub fn find(environment: &BTreeMap<String, String>, host: &str) -> Self {
        let told = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let of_pod = || {
            let text = std::fs::read_to_string(NAMESPACE_FILE).ok()?;
            Some(text.trim().to_owned()).filter(|name| !name.is_empty())
        };
        Self {
            node: told("KUBEARMOR_NODENAME").unwrap_or_else(|| host.to_owned()),
            namespace: told("KUBEARMOR_NAMESPACE")
                .or_else(of_pod)
                .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_the_agent_is() {
        let environment = BTreeMap::from([
            ("KUBEARMOR_NODENAME".to_owned(), "worker-1".to_owned()),
            ("KUBEARMOR_NAMESPACE".to_owned(), "security".to_owned()),
        ]);
        let found = Place::find(&environment, "host");
        assert_eq!((found.node.as_str(), found.namespace.as_str()), ("worker-1", "security"));
        assert_eq!(Place::find(&BTreeMap::new(), "host").node, "host");
    }
}
