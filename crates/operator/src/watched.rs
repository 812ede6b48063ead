//! What the operator follows in the cluster: configurations, nodes, and the pods in which snitch has looked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Node as ApiNode, Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use manifests::{KubeArmorConfig, labels};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio_stream::StreamExt as _;
use tracing::warn;

use crate::plan::{Node, Seen, Told, labels_told};

/// Filled by tasks that run as long as the program does.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    seen: Arc<Mutex<Seen>>,
    changed: Arc<Notify>,
    /// How many kinds have been listed as a whole.
    listed: Arc<watch::Sender<usize>>,
}

/// Configurations, nodes, pods.
const KINDS: usize = 3;

impl Watched {
    pub(crate) fn begin(client: &Client, namespace: &str) -> Self {
        let watched = Self::default();
        let inside = client.clone();
        let ours =
            watcher::Config::default().labels(&format!("{}={}", labels::APP, labels::SNITCH));
        watched.follow(
            Api::<KubeArmorConfig>::namespaced(inside.clone(), namespace),
            watcher::Config::default(),
            |config| Some((config.name_any(), config.clone())),
            |seen, all| {
                // What the operator itself writes there is no news.
                let same = seen.configs.len() == all.len()
                    && seen.configs.iter().zip(all.values()).all(|(one, other)| {
                        one.spec == other.spec && one.metadata.uid == other.metadata.uid
                    });
                seen.configs = all.values().cloned().collect();
                !same
            },
        );
        watched.follow(
            Api::<ApiNode>::all(client.clone()),
            watcher::Config::default(),
            |node| Some((node.name_any(), seen_node(node))),
            |seen, all| replace(&mut seen.nodes, all),
        );
        watched.follow(
            Api::<Pod>::namespaced(inside, namespace),
            ours,
            |pod| Some((pod.name_any(), told(pod)?)),
            |seen, all| {
                let by_node: BTreeMap<_, _> = all.values().cloned().collect();
                replace(&mut seen.told, &by_node)
            },
        );
        watched
    }

    /// Everything as it is now.
    pub(crate) fn now(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until everything has been listed once. What is seen before would look as if nothing were wanted.
    pub(crate) async fn complete(&self) {
        let mut listed = self.listed.subscribe();
        // The sender is ours.
        drop(listed.wait_for(|kinds| *kinds >= KINDS).await);
    }

    /// Until something has changed since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// `of` is what matters of an object, `put` brings all of them in and says whether they differ from before.
    fn follow<K, V>(
        &self,
        api: Api<K>,
        config: watcher::Config,
        of: impl Fn(&K) -> Option<(String, V)> + Send + 'static,
        put: impl Fn(&mut Seen, &BTreeMap<String, V>) -> bool + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        K::DynamicType: Default,
        V: Send + 'static,
    {
        let (seen, changed) = (Arc::clone(&self.seen), Arc::clone(&self.changed));
        let listed = Arc::clone(&self.listed);
        tokio::spawn(async move {
            let mut events = Box::pin(watcher(api, config).default_backoff());
            // Nothing is known before the first list is whole.
            let (mut all, mut listing, mut first) = (BTreeMap::new(), true, true);
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Init) => {
                        all.clear();
                        listing = true;
                    }
                    Ok(Event::InitDone) => listing = false,
                    Ok(Event::Apply(object) | Event::InitApply(object)) => match of(&object) {
                        Some((name, value)) => drop(all.insert(name, value)),
                        None => drop(all.remove(&object.name_any())),
                    },
                    Ok(Event::Delete(object)) => drop(all.remove(&object.name_any())),
                    Err(problem) => warn!("watching: {problem}"),
                }
                if listing {
                    continue;
                }
                if put(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &all) {
                    changed.notify_one();
                }
                if std::mem::take(&mut first) {
                    listed.send_modify(|kinds| *kinds += 1);
                }
            }
        });
    }
}

fn replace<V: Clone + PartialEq>(
    ours: &mut BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
) -> bool {
    let differ = ours != theirs;
    if differ {
        ours.clone_from(theirs);
    }
    differ
}

fn seen_node(node: &ApiNode) -> Node {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    let text = |of: fn(&k8s_openapi::api::core::v1::NodeSystemInfo) -> &String| {
        info.map(|info| of(info).clone()).unwrap_or_default()
    };
    let runtime = text(|info| &info.container_runtime_version);
    Node {
        labels: node.labels().clone(),
        boot: text(|info| &info.boot_id),
        looked_at: node.annotations().get(labels::LOOKED_AT).cloned().unwrap_or_default(),
        runtime: runtime.split("://").next().unwrap_or_default().to_owned(),
        linux: text(|info| &info.operating_system) == "linux",
    }
}

/// The node and what was told of it, once the pod has ended.
fn told(pod: &Pod) -> Option<(String, Told)> {
    let node = pod.spec.as_ref()?.node_name.clone()?;
    let boot = pod.annotations().get(labels::LOOKED_AT)?.clone();
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = statuses.first()?.state.as_ref()?.terminated.as_ref()?;
    let message = ended.message.as_deref().unwrap_or_default();
    let labels = if ended.exit_code == 0 {
        labels_told(message)
    } else {
        Err(format!("snitch ended with exit status {} {message}", ended.exit_code))
    };
    Some((node, Told { boot, labels }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(state: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "annotations": {"kubearmor.io/looked-at-boot": "boot-1"}},
            "spec": {"nodeName": "a", "containers": []},
            "status": {"containerStatuses": [{
                "name": "s", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state,
            }]},
        }))
        .unwrap()
    }

    #[test]
    fn last_words_count_once_the_pod_has_ended() {
        assert_eq!(told(&pod(&json!({"running": {}}))), None);
        let message = r#"{"kubearmor.io/enforcer": "bpf", "kubearmor.io/runtime": "containerd"}"#;
        let ended = json!({"terminated": {"exitCode": 0, "message": message}});
        let (node, heard) = told(&pod(&ended)).unwrap();
        assert_eq!((node.as_str(), heard.boot.as_str()), ("a", "boot-1"));
        assert_eq!(heard.labels.unwrap()["kubearmor.io/enforcer"], "bpf");
        let failed = json!({"terminated": {"exitCode": 1, "message": "no root"}});
        assert!(told(&pod(&failed)).unwrap().1.labels.unwrap_err().contains("no root"));
    }

    #[test]
    fn a_node_is_told_by_its_start_and_its_runtime() {
        let node: ApiNode = serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": {"kubearmor.io/looked-at-boot": "b0"}},
            "status": {"nodeInfo": {
                "architecture": "amd64", "bootID": "b1", "containerRuntimeVersion": "containerd://1.7.24",
                "kernelVersion": "6.12", "kubeProxyVersion": "", "kubeletVersion": "v1.33.0",
                "machineID": "", "operatingSystem": "linux", "osImage": "Debian", "systemUUID": "",
            }},
        }))
        .unwrap();
        let seen = seen_node(&node);
        assert_eq!((&*seen.boot, &*seen.looked_at, &*seen.runtime), ("b1", "b0", "containerd"));
        assert!(seen.linux);
    }
}
