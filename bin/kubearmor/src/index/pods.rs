//! What the cluster says of workloads: whose they are, which labels they have by now, how far policies hold in them.

use cluster::{Change, Mode, View};
use enforce::{Placement, WorkloadKey};
use ruleset::Workload;
use telemetry::{ContainerIdentity, Owner};
use tracing::warn;
use wire::Visibility;
use workload::Container;

use super::{Governed, Index};

impl Index {
    /// Begins with what an earlier run knew of the cluster.
    pub(crate) fn remember_cluster(&mut self, view: View) {
        self.view = view;
        self.name_host();
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Takes over what has changed in the cluster, and has the rules that follow in force when it returns.
    pub(crate) fn learn(&mut self, change: Change) {
        if let Change::Policies(kind, told) = change {
            return self.learn_policies(kind, told);
        }
        let concerned = self.view.learn(change);
        for namespace in &concerned.namespaces {
            for (annotation, value) in self.view.misspelt(namespace) {
                warn!(
                    "namespace {namespace}: `{annotation}: {value}` is no posture and does nothing; use audit or block"
                );
            }
        }
        if concerned.is_empty() {
            return;
        }
        if concerned.node {
            self.name_host();
        }
        let is_concerned = |governed: &Governed| match &governed.container {
            Some(container) => concerned.is_of(&governed.workload.namespace, &container.pod),
            None => concerned.node,
        };
        let workloads = self.workloads.iter().filter(|(_, governed)| is_concerned(governed));
        let keys: Vec<WorkloadKey> = workloads.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.identify_again(key);
            self.govern_or_report(key);
            self.observe(key);
        }
        self.settle_or_report();
    }

    /// The host has the labels of its node as well.
    fn name_host(&mut self) {
        self.host = self.bare_host.clone();
        if let Some(node) = self.view.node() {
            self.host.labels.extend(node.labels.clone());
        }
    }

    /// What policies and events call a container, and how far policies hold in it. A pod that the API server has not told
    /// of yet goes by what its runtime says, under rules.
    pub(super) fn identified(&self, container: &Container) -> (Workload, Mode, ContainerIdentity) {
        let mut workload = container.workload();
        let mut identity = ContainerIdentity {
            id: container.id.clone(),
            pod: container.pod.clone(),
            image: container.image.clone(),
            ..ContainerIdentity::default()
        };
        let pod = if container.pod.is_empty() {
            self.view.by_container(&container.id).map(|(pod, name)| {
                name.clone_into(&mut workload.name);
                pod.namespace.clone_into(&mut workload.namespace);
                pod
            })
        } else {
            self.view.pod(&container.namespace, &container.pod, &container.pod_uid)
        };
        if let Some(pod) = pod {
            workload.labels.clone_from(&pod.labels);
            identity.pod.clone_from(&pod.name);
            identity.owner = Some(Owner {
                kind: pod.owner.kind.clone(),
                name: pod.owner.name.clone(),
                namespace: pod.namespace.clone(),
            });
        }
        let mode = if self.is_untracked(&workload) {
            Mode::Disabled
        } else if identity.pod.is_empty() {
            Mode::Enforced
        } else {
            let annotation = pod.and_then(|pod| pod.policy.as_deref());
            Mode::of(&workload.namespace, &workload.labels, annotation)
        };
        identity.name.clone_from(&workload.name);
        identity.namespace.clone_from(&workload.namespace);
        identity.labels.clone_from(&workload.labels);
        (workload, mode, identity)
    }

    /// Finds out anew who a workload is; what follows for its rules is the caller's to do.
    pub(super) fn identify_again(&mut self, key: &WorkloadKey) {
        let Some(governed) = self.workloads.get(key) else { return };
        let (workload, mode) = match &governed.container {
            Some(container) => {
                let (workload, mode, identity) = self.identified(container);
                self.identities.insert(key, identity);
                (workload, mode)
            }
            None => (self.host.clone(), self.view.node_mode()),
        };
        let selecting = self.selecting(&workload);
        if let Some(governed) = self.workloads.get_mut(key) {
            governed.workload = workload;
            governed.mode = mode;
            governed.selecting = selecting;
        }
    }

    fn is_untracked(&self, workload: &Workload) -> bool {
        workload::is_listed(&workload.namespace, &self.settings.untracked)
    }

    /// The classes of events that are logged of it.
    pub(super) fn visible(&self, governed: &Governed) -> Visibility {
        let workload = &governed.workload;
        let (asked, default) = match governed.placement {
            Placement::Host => (self.view.node_visibility(), self.settings.host_visible),
            Placement::Container { .. } if self.is_untracked(workload) => {
                return Visibility::empty();
            }
            Placement::Container { .. } => {
                (self.view.visibility(&workload.namespace), self.settings.visible)
            }
        };
        let Some(asked) = asked else { return default };
        asked.parse().unwrap_or_else(|problem| {
            let whose =
                if workload.namespace.is_empty() { "the node" } else { &workload.namespace };
            warn!("kubearmor-visibility of {whose}: {problem}");
            default
        })
    }
}
