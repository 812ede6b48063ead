//! Agents as the cluster has them: the pods with the agents' label, followed.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tracing::{info, warn};

use crate::agents::{Agent, Agents};

/// What the pods of agents bear, those of the existing implementation as well.
const LABEL: &str = "kubearmor-app=kubearmor";

/// Where to look for agents.
#[derive(Clone)]
pub struct Pods {
    pub client: Client,
    /// `None`: in all.
    pub namespace: Option<String>,
    /// That agents listen on.
    pub port: u16,
}

impl Pods {
    /// Tells all agents that there are, from the first complete list on and after each change.
    pub(crate) async fn follow(self, agents: Arc<watch::Sender<Option<Agents>>>) {
        let api: Api<Pod> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let config = watcher::Config::default().labels(LABEL);
        let mut events = pin!(watcher(api, config).default_backoff());
        let (mut known, mut complaint) = (Known::default(), String::new());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if !complaint.is_empty() {
                        info!("pods of agents: the API server answers again");
                        complaint.clear();
                    }
                    if known.hear(event, self.port) {
                        agents.send_if_modified(|agents| {
                            let changed = agents.as_ref() != Some(&known.now);
                            if changed {
                                *agents = Some(known.now.clone());
                            }
                            changed
                        });
                    }
                }
                Err(problem) => {
                    let problem = problem.to_string();
                    if problem != complaint {
                        warn!("pods of agents: {problem}; those that are known are kept");
                    }
                    complaint = problem;
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    now: Agents,
    /// A list that is not complete yet.
    coming: Agents,
}

impl Known {
    /// Whether what is known now is complete.
    fn hear(&mut self, event: Event<Pod>, port: u16) -> bool {
        match event {
            Event::Init => self.coming = BTreeMap::new(),
            Event::InitApply(pod) => {
                enter(&mut self.coming, &pod, port);
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.coming);
                return true;
            }
            Event::Apply(pod) => {
                enter(&mut self.now, &pod, port);
                return true;
            }
            Event::Delete(pod) => {
                self.now.remove(&key(&pod));
                return true;
            }
        }
        false
    }
}

fn enter(agents: &mut Agents, pod: &Pod, port: u16) {
    match agent(pod, port) {
        Some(agent) => drop(agents.insert(key(pod), agent)),
        None => drop(agents.remove(&key(pod))),
    }
}

/// A pod that takes another's place has another uid.
fn key(pod: &Pod) -> String {
    pod.uid()
        .unwrap_or_else(|| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()))
}

/// `None` while it has no address. One that is about to end has last words.
fn agent(pod: &Pod, port: u16) -> Option<Agent> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") {
        return None;
    }
    let ip = status.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
    let address = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Some(Agent { node: node.unwrap_or_else(|| pod.name_any()), address })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, node: &str, phase: &str, ip: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("agent-{uid}"), "namespace": "kubearmor", "uid": uid},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase, "podIP": ip},
        }))
        .unwrap()
    }

    fn shown(known: &Known) -> Vec<String> {
        known.now.values().map(|agent| format!("{} {}", agent.node, agent.address)).collect()
    }

    #[test]
    fn pods_become_agents_once_they_have_an_address() {
        let mut known = Known::default();
        assert!(!known.hear(Event::Init, 32767));
        assert!(!known.hear(Event::InitApply(pod("1", "n1", "Running", "10.0.0.1")), 32767));
        assert!(!known.hear(Event::InitApply(pod("2", "n2", "Pending", "")), 32767));
        assert!(known.now.is_empty(), "not before all are told");
        assert!(known.hear(Event::InitDone, 32767));
        assert_eq!(shown(&known), ["n1 10.0.0.1:32767"]);
        known.hear(Event::Apply(pod("2", "n2", "Running", "fd00::2")), 32767);
        assert_eq!(shown(&known), ["n1 10.0.0.1:32767", "n2 [fd00::2]:32767"]);
        known.hear(Event::Apply(pod("1", "n1", "Succeeded", "10.0.0.1")), 32767);
        assert_eq!(shown(&known), ["n2 [fd00::2]:32767"]);
        // A list after a break: whoever is not in it is gone.
        known.hear(Event::Init, 32767);
        known.hear(Event::InitApply(pod("3", "n3", "Running", "10.0.0.3")), 32767);
        assert_eq!(shown(&known), ["n2 [fd00::2]:32767"]);
        known.hear(Event::InitDone, 32767);
        assert_eq!(shown(&known), ["n3 10.0.0.3:32767"]);
        known.hear(Event::Delete(pod("3", "n3", "Running", "10.0.0.3")), 32767);
        assert!(shown(&known).is_empty());
    }
}
