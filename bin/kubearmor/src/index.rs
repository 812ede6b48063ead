//! What should hold on this node, and the one place where it changes.
//!
//! The index owns policies, workloads and postures. Every change computes the rule sets of the workloads it concerns
//! and hands those that differ to the enforcer, before anybody hears that the change is done.

mod again;
mod arrival;
mod governed;
mod objects;
mod overview;
mod pods;
mod shared;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cluster::{Mode, View};
use enforce::{EnforceError, Placement, Repair, WorkloadKey};
use policy::{Kind, Policy, PolicyId};
use ruleset::{Links, Postures, RuleSet, Workload};
use tracing::{debug, error, info, warn};
use wire::Visibility;
use workload::{OwnPlace, WorkloadEvent};

use self::{again::Pasts, governed::Governed, objects::Object, shared::Shared};
pub(crate) use self::{
    arrival::Unasked,
    overview::{Overview, POLICY_STATES, WorkloadState},
    writer::{Gone, IndexHandle, start},
};
use crate::{
    backend::{Backend, chain},
    filesystem::LinkSource,
    identities::Identities,
    store::{Store, StoreError},
};

/// What the configuration says about policies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one field for each key that says yes or no")]
pub(crate) struct Settings {
    pub(crate) container_policies: bool,
    pub(crate) host_policies: bool,
    pub(crate) containers: Postures,
    pub(crate) host: Postures,
    /// Classes of events that are logged though no policy speaks of them.
    pub(crate) visible: Visibility,
    pub(crate) host_visible: Visibility,
    /// Repeats of a log within this time are counted in the next one.
    pub(crate) merge_window: Duration,
    /// Objects that cannot be followed to the root are permitted.
    pub(crate) permit_unresolved: bool,
    /// Containers may start though their rules could not be put in force.
    pub(crate) start_ungoverned: bool,
    /// Namespaces that are left alone, as a comma list.
    pub(crate) untracked: String,
}

/// Who keeps a policy's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The agent, with the text that was accepted.
    Store,
    /// A file of the policy directory.
    Directory(PathBuf),
    /// The API server, and the agent while that is away.
    Cluster,
}

/// Why a policy was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{kind} {name}: the key `{key}` is false; set it to true and apply again")]
    NotEnabled { kind: Kind, name: String, key: &'static str },
    #[error("{kind} {name} is kept in {place}; change it there")]
    Kept { kind: Kind, name: String, place: String },
    #[error("{kind} {name} was not applied: {source}")]
    Store {
        kind: Kind,
        name: String,
        #[source]
        source: StoreError,
    },
    #[error("{kind} {name} was not applied: {}", chain(source))]
    Enforce {
        kind: Kind,
        name: String,
        #[source]
        source: EnforceError,
    },
}

struct Held {
    policy: Arc<Policy>,
    keeper: Keeper,
}

pub(crate) struct Index {
    backend: Box<dyn Backend>,
    links: Box<dyn LinkSource>,
    store: Store,
    /// For policies of the API server; `None` outside Kubernetes.
    cluster_store: Option<Store>,
    settings: Settings,
    /// Without what the cluster says of the node.
    bare_host: Workload,
    host: Workload,
    policies: BTreeMap<PolicyId, Held>,
    /// What is known of policies as objects of the API server.
    objects: BTreeMap<PolicyId, Object>,
    /// What is known of pods, namespaces and the node; nothing outside Kubernetes.
    view: View,
    workloads: BTreeMap<WorkloadKey, Governed>,
    /// Containers by their control groups.
    cgroups: HashMap<PathBuf, WorkloadKey>,
    rule_sets: Shared<RuleSet>,
    link_sets: Shared<Links>,
    identities: Arc<Identities>,
    /// Files of the policy directory that are not in force as they are.
    faulty_files: usize,
    pasts: Pasts,
    unasked: Unasked,
    /// Where the agent itself runs: a container that holds it is left out.
    own_place: Option<OwnPlace>,
    /// The id of that container, once it was told.
    own_container: Option<String>,
    /// The container runtime was asked, though it may not have answered.
    answered: bool,
    /// All containers are known, so nothing of an earlier run is left in force.
    scanned: bool,
}

impl Index {
    pub(crate) fn new(
        backend: Box<dyn Backend>,
        links: Box<dyn LinkSource>,
        store: Store,
        settings: Settings,
        host: Workload,
        identities: Arc<Identities>,
    ) -> Self {
        let mut index = Self {
            backend,
            links,
            store,
            cluster_store: None,
            settings,
            bare_host: host.clone(),
            host,
            policies: BTreeMap::new(),
            objects: BTreeMap::new(),
            view: View::default(),
            workloads: BTreeMap::new(),
            cgroups: HashMap::new(),
            rule_sets: Shared::default(),
            link_sets: Shared::default(),
            identities,
            faulty_files: 0,
            pasts: Pasts::default(),
            unasked: Unasked::default(),
            own_place: None,
            own_container: None,
            answered: false,
            scanned: false,
        };
        index.backend.merge_logs(index.settings.merge_window);
        index.backend.permit_unresolved(index.settings.permit_unresolved);
        index.follow_host();
        index
    }

    /// Puts a policy in force, in place of the one of the same id. `text` is what a restart reads again. Nothing has
    /// changed if it is refused. Returns what of it is not in force.
    pub(crate) fn apply(
        &mut self,
        policy: Policy,
        text: &str,
        keeper: Keeper,
    ) -> Result<Vec<String>, Refusal> {
        let policy = with_namespace(policy);
        // An object of the API server is there whether it is wanted or not, and counts once it is.
        if keeper != Keeper::Cluster {
            self.check_enabled(&policy.id)?;
        }
        self.check_keeper(&policy.id, &keeper)?;
        let refused =
            |id: &PolicyId, source| Refusal::Store { kind: id.kind, name: id.name.clone(), source };
        let id = policy.id.clone();
        let store = self.store_of(&keeper).map(|store| store.stage(&id, text));
        let staged = store.transpose().map_err(|error| refused(&id, error))?;
        let kept_by = keeper.clone();
        let policy = Arc::new(policy);
        let before = self.policies.insert(id.clone(), Held { policy: Arc::clone(&policy), keeper });
        let concerned = self.reselect(before.as_ref().map(|held| &held.policy), Some(&policy));
        if let Err(source) = self.govern_all(&concerned) {
            self.put_back(&id, before, &policy);
            return Err(Refusal::Enforce { kind: id.kind, name: id.name, source });
        }
        if let Some(staged) = staged
            && let Some(store) = self.store_of(&kept_by)
            && let Err(source) = store.commit(&staged)
        {
            self.put_back(&id, before, &policy);
            return Err(refused(&id, source));
        }
        Ok(self.not_in_force(&id))
    }

    /// Takes a policy out of force and forgets it. False if there is none of this id.
    pub(crate) fn delete(&mut self, id: &PolicyId, keeper: &Keeper) -> Result<bool, Refusal> {
        let id = with_default_namespace(id.clone());
        if !self.policies.contains_key(&id) {
            return Ok(false);
        }
        self.check_keeper(&id, keeper)?;
        for store in [Some(&mut self.store), self.cluster_store.as_mut()].into_iter().flatten() {
            store.remove(&id).map_err(|source| Refusal::Store {
                kind: id.kind,
                name: id.name.clone(),
                source,
            })?;
        }
        let before = self.policies.remove(&id);
        let concerned = self.reselect(before.as_ref().map(|held| &held.policy), None);
        self.govern_all(&concerned).map_err(|source| Refusal::Enforce {
            kind: id.kind,
            name: id.name,
            source,
        })?;
        Ok(true)
    }

    /// Takes over a policy that a file of the store or of the policy directory holds, at start.
    pub(crate) fn restore(&mut self, policy: Policy, keeper: Keeper, stored_in: Option<&Path>) {
        let policy = with_namespace(policy);
        if let Some(path) = stored_in
            && let Some(store) = self.store_of(&keeper)
        {
            if !store.holds(path, &policy.id) {
                return;
            }
            store.adopt(policy.id.clone(), path.to_owned());
        }
        let id = policy.id.clone();
        if let Some(Held { keeper: Keeper::Directory(file), .. }) = self.policies.get(&id) {
            warn!("{} {} is kept in {}; the stored one rests", id.kind, id.name, file.display());
            return;
        }
        let policy = Arc::new(policy);
        let before = self.policies.insert(id.clone(), Held { policy: Arc::clone(&policy), keeper });
        let concerned = self.reselect(before.as_ref().map(|held| &held.policy), Some(&policy));
        if let Err(problem) = self.govern_all(&concerned) {
            error!("{} {} is not fully in force: {}", id.kind, id.name, chain(&problem));
        }
    }

    /// The policies that files of the policy directory hold, and which file.
    pub(crate) fn of_directory(&self) -> Vec<(PolicyId, PathBuf)> {
        let file = |(id, held): (&PolicyId, &Held)| match &held.keeper {
            Keeper::Directory(file) => Some((id.clone(), file.clone())),
            Keeper::Store | Keeper::Cluster => None,
        };
        self.policies.iter().filter_map(file).collect()
    }

    /// Of the policy directory, as it was last read.
    pub(crate) fn note_faulty_files(&mut self, count: usize) {
        self.faulty_files = count;
    }

    /// Whether exactly this policy is known under the id already.
    pub(crate) fn is_held(&self, id: &PolicyId, policy: &Policy) -> bool {
        self.policies.get(id).is_some_and(|held| held.policy.spec == policy.spec)
    }

    /// Where the texts of such policies are kept, if the agent keeps them at all.
    pub(crate) fn store_of(&mut self, keeper: &Keeper) -> Option<&mut Store> {
        match keeper {
            Keeper::Store => Some(&mut self.store),
            Keeper::Cluster => self.cluster_store.as_mut(),
            Keeper::Directory(_) => None,
        }
    }

    pub(crate) fn heard(&mut self, event: WorkloadEvent) {
        match event {
            // Whoever waits for a container asks through `arrived`; what went wrong is logged.
            WorkloadEvent::Started(container) => self.found(*container),
            WorkloadEvent::Stopped { id, pid } => self.stopped(&id, |life| life.pid == pid),
            WorkloadEvent::Scanned => self.scanned(),
            WorkloadEvent::RuntimeAway => self.answered = true,
        }
    }

    /// Brings changed postures and switches into force.
    pub(crate) fn reconfigure(&mut self, settings: Settings) {
        if self.settings == settings {
            return;
        }
        self.settings = settings;
        self.backend.merge_logs(self.settings.merge_window);
        self.backend.permit_unresolved(self.settings.permit_unresolved);
        self.follow_host();
        let keys: Vec<_> = self.workloads.keys().cloned().collect();
        for key in &keys {
            self.identify_again(key);
            self.govern_or_report(key);
            self.observe(key);
        }
        self.settle_or_report();
    }

    /// Compares what is in the kernel with what should be there. Returns what was put right or could not be.
    pub(crate) fn compare(&mut self) -> Vec<Repair> {
        self.backend.compare()
    }

    /// Ends enforcement on purpose.
    pub(crate) fn let_go(&mut self) -> Result<(), String> {
        self.backend.let_go()
    }

    /// Keeps what is the agent's own from containers.
    pub(crate) fn protect(&mut self, own: &[PathBuf]) {
        for problem in self.backend.protect(own) {
            warn!("not protected from containers: {problem}");
        }
    }

    /// All that can be known has its rules.
    pub(crate) fn is_ready(&self) -> bool {
        self.answered
    }

    fn scanned(&mut self) {
        self.answered = true;
        if self.scanned {
            return;
        }
        self.scanned = true;
        if let Err(reason) = self.backend.take_over() {
            // Two sets of rules are in force, so nothing is less protected than it should be.
            error!("rules of an earlier run stay in force beside the new ones: {reason}");
        }
        info!(
            "{} containers and {} policies under {}",
            self.workloads.keys().filter(|key| &*key.0 != WorkloadKey::HOST).count(),
            self.policies.len(),
            self.backend.name()
        );
    }

    /// The host is a workload only while host policies are on.
    fn follow_host(&mut self) {
        let key = WorkloadKey(WorkloadKey::HOST.into());
        match (self.settings.host_policies, self.workloads.contains_key(&key)) {
            (true, false) => {
                let governed = Governed::host(self.host.clone(), self.view.node_mode());
                self.follow(&key, governed);
            }
            (false, true) => {
                self.workloads.remove(&key);
                if let Err(error) = self.backend.remove(&key) {
                    error!("host policies are off: {}", chain(&error));
                }
                self.settle_or_report();
            }
            _ => {}
        }
    }

    fn follow(&mut self, key: &WorkloadKey, governed: Governed) {
        let placed = self.backend.place(key, &governed.placement);
        let mut problem = placed.err().map(|error| chain(&error));
        if problem.is_some()
            && let Placement::Container { cgroup, .. } = &governed.placement
            && !cgroup.exists()
        {
            debug!("container {} ended at once", governed.workload.name);
            problem = None;
        }
        if let Some(problem) = &problem {
            error!("{} is not protected: {problem}", governed.workload.name);
        }
        let unplaced = problem.is_some();
        let selecting = self.selecting(&governed.workload);
        self.workloads.insert(key.clone(), Governed { selecting, problem, ..governed });
        if !unplaced {
            self.govern_or_report(key);
            self.settle_or_report();
            self.observe(key);
        }
    }

    /// Has the events logged that the settings say, now that its rules are in force.
    fn observe(&mut self, key: &WorkloadKey) {
        let Some(governed) = self.workloads.get(key) else { return };
        let visible = self.visible(governed);
        if let Err(error) = self.backend.observe(key, visible) {
            warn!("{}: its events are not logged: {}", governed.workload.name, chain(&error));
        }
    }

    fn govern_or_report(&mut self, key: &WorkloadKey) {
        let Err(error) = self.govern(key) else { return };
        let problem = chain(&error);
        error!("{problem}");
        if let Some(governed) = self.workloads.get_mut(key) {
            governed.problem = Some(problem);
        }
    }

    fn govern_all(&mut self, keys: &[WorkloadKey]) -> Result<(), EnforceError> {
        keys.iter().try_for_each(|key| self.govern(key))?;
        self.backend.settle()
    }

    fn settle_or_report(&mut self) {
        if let Err(error) = self.backend.settle() {
            error!("{}", chain(&error));
        }
    }

    /// Makes the rules of one workload the ones that should hold; `settle` is to follow.
    fn govern(&mut self, key: &WorkloadKey) -> Result<(), EnforceError> {
        let Some(governed) = self.workloads.get_mut(key) else { return Ok(()) };
        let settings = &self.settings;
        let selecting = governed.selecting.iter().map(|policy| &**policy);
        let mode = governed.mode;
        let selecting: Vec<&Policy> = selecting
            .filter(|policy| is_enabled(settings, policy.id.kind) && mode != Mode::Disabled)
            .collect();
        let postures = match governed.placement {
            Placement::Host => settings.host,
            Placement::Container { .. } => {
                self.view.wanted(&governed.workload.namespace).over(settings.containers)
            }
        };
        let wanted = ruleset::wanted_links(selecting.iter().copied());
        if wanted == ruleset::WantedLinks::default() {
            governed.links = self.link_sets.shared(Links::default());
        } else if !governed.foreseen {
            governed.links = self.link_sets.shared(self.links.links(&governed.root, wanted));
        }
        let mut rules = ruleset::build(selecting, &governed.workload, postures, &governed.links);
        // Sets without rules are all one.
        rules.audited = mode == Mode::Audited && !rules.rules.is_empty();
        let unchanged = match &governed.rules {
            Some(before) => **before == rules,
            // A placed workload without rules is what the enforcer starts from.
            None => rules.rules.is_empty(),
        };
        if unchanged && governed.problem.is_none() {
            return Ok(());
        }
        let rules = self.rule_sets.shared(rules);
        governed.not_expressed = self.backend.apply(key, &rules)?;
        governed.rules = Some(rules);
        governed.problem = None;
        Ok(())
    }

    /// Undoes a change that could not be completed.
    fn put_back(&mut self, id: &PolicyId, before: Option<Held>, refused: &Arc<Policy>) {
        let policy = before.as_ref().map(|held| Arc::clone(&held.policy));
        match before {
            Some(before) => self.policies.insert(id.clone(), before),
            None => self.policies.remove(id),
        };
        for key in self.reselect(Some(refused), policy.as_ref()) {
            self.govern_or_report(&key);
        }
        self.settle_or_report();
    }

    /// Puts one version of a policy in the other's place wherever they select; the workloads that either selects.
    fn reselect(
        &mut self,
        before: Option<&Arc<Policy>>,
        after: Option<&Arc<Policy>>,
    ) -> Vec<WorkloadKey> {
        let mut concerned = Vec::new();
        for (key, governed) in &mut self.workloads {
            let count = governed.selecting.len();
            if let Some(before) = before {
                governed.selecting.retain(|policy| !Arc::ptr_eq(policy, before));
            }
            let gone = governed.selecting.len() < count;
            let come = after.filter(|policy| ruleset::select(policy, &governed.workload));
            governed.selecting.extend(come.cloned());
            if gone || come.is_some() {
                concerned.push(key.clone());
            }
        }
        concerned
    }

    fn selecting(&self, workload: &Workload) -> Vec<Arc<Policy>> {
        let policies = self.policies.values().map(|held| &held.policy);
        policies.filter(|policy| ruleset::select(policy, workload)).cloned().collect()
    }

    fn check_enabled(&self, id: &PolicyId) -> Result<(), Refusal> {
        if is_enabled(&self.settings, id.kind) {
            return Ok(());
        }
        let key = match id.kind {
            Kind::Host => "enableKubeArmorHostPolicy",
            _ => "enableKubeArmorPolicy",
        };
        Err(Refusal::NotEnabled { kind: id.kind, name: id.name.clone(), key })
    }

    fn check_keeper(&self, id: &PolicyId, keeper: &Keeper) -> Result<(), Refusal> {
        let place = match (self.policies.get(id).map(|held| &held.keeper), keeper) {
            (Some(Keeper::Directory(file)), Keeper::Store | Keeper::Cluster) => {
                file.display().to_string()
            }
            (Some(Keeper::Cluster), Keeper::Store) => "the API server".to_owned(),
            _ => return Ok(()),
        };
        Err(Refusal::Kept { kind: id.kind, name: id.name.clone(), place })
    }
}

fn is_enabled(settings: &Settings, kind: Kind) -> bool {
    match kind {
        Kind::Container | Kind::Cluster => settings.container_policies,
        Kind::Host => settings.host_policies,
        Kind::Network => true,
    }
}

/// A namespaced policy that names no namespace is one of `default`.
pub(crate) fn with_default_namespace(mut id: PolicyId) -> PolicyId {
    if id.kind.is_namespaced() {
        id.namespace.get_or_insert_with(|| "default".to_owned());
    }
    id
}

fn with_namespace(policy: Policy) -> Policy {
    Policy { id: with_default_namespace(policy.id), ..policy }
}

#[cfg(test)]
mod tests;
