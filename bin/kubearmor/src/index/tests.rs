//! The index without kernel and containerd: what is asked of the enforcer is what counts.

mod arrivals;
mod keeping;
mod many;
mod pods;
mod telling;
mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Mutex, MutexGuard},
};

use enforce::{Enforcer, NotExpressed, Repair, Repairs};
use policy::PathObject;
use ruleset::{Posture, WantedLinks};
use workload::{Container, RootPlace};

use super::*;
use crate::{filesystem::LinkSource, restore, submissions::submit};

/// Remembers what it was asked, and refuses what it is told to refuse.
#[derive(Clone, Default)]
struct FakeEnforcer(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    /// By workload, the rules in force.
    rules: BTreeMap<String, Arc<RuleSet>>,
    placed: Vec<String>,
    removed: Vec<String>,
    /// Workloads that have executed a program.
    running: BTreeSet<String>,
    visible: BTreeMap<String, Visibility>,
    window: Duration,
    applied: usize,
    settled: usize,
    taken_over: usize,
    /// What the next comparison finds.
    damaged: Vec<Repair>,
    /// Rule sets with a rule of this policy are refused.
    refuse: Option<String>,
    /// Of the first rule of any set.
    not_expressed: Option<String>,
}

impl FakeEnforcer {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap()
    }

    /// Names of the policies whose rules are in force for the workload.
    fn in_force(&self, workload: &str) -> Vec<String> {
        let asked = self.asked();
        let rules = asked.rules.get(workload).map(|set| set.rules.clone()).unwrap_or_default();
        let names: BTreeSet<_> = rules.into_iter().map(|rule| rule.origin.policy).collect();
        names.into_iter().collect()
    }
}

impl Enforcer for FakeEnforcer {
    fn name(&self) -> &'static str {
        "FAKE"
    }

    fn place(&mut self, key: &WorkloadKey, _: &Placement) -> Result<(), EnforceError> {
        self.asked().placed.push(key.to_string());
        Ok(())
    }

    fn apply(
        &mut self,
        key: &WorkloadKey,
        rules: &Arc<RuleSet>,
    ) -> Result<Vec<NotExpressed>, EnforceError> {
        let mut asked = self.asked();
        if rules.rules.iter().any(|rule| Some(&rule.origin.policy) == asked.refuse.as_ref()) {
            return Err(EnforceError::TooLarge { workload: key.clone(), reason: "full".into() });
        }
        asked.applied += 1;
        asked.rules.insert(key.to_string(), Arc::clone(rules));
        let reason = asked.not_expressed.clone();
        Ok(reason.map(|reason| NotExpressed { rule: 0, reason }).into_iter().collect())
    }

    fn settle(&mut self) -> Result<(), EnforceError> {
        self.asked().settled += 1;
        Ok(())
    }

    fn observe(&mut self, key: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError> {
        self.asked().visible.insert(key.to_string(), visible);
        Ok(())
    }

    fn remove(&mut self, key: &WorkloadKey) -> Result<(), EnforceError> {
        let mut asked = self.asked();
        asked.removed.push(key.to_string());
        asked.rules.remove(&*key.0);
        Ok(())
    }
}

impl Backend for FakeEnforcer {
    fn take_over(&mut self) -> Result<(), String> {
        self.asked().taken_over += 1;
        Ok(())
    }

    fn compare(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.asked().damaged)
    }

    fn repairs(&self) -> Repairs {
        Repairs::default()
    }

    fn counters(&self) -> sensor::Counters {
        sensor::Counters::default()
    }

    fn held(&self) -> sensor::Held {
        sensor::Held::default()
    }

    fn in_use(&self) -> enforce::bpf::Use {
        enforce::bpf::Use::default()
    }

    fn let_go(&mut self) -> Result<(), String> {
        self.asked().rules.clear();
        Ok(())
    }

    fn has_entered(&self, workload: &WorkloadKey) -> bool {
        self.asked().running.contains(&*workload.0)
    }

    fn merge_logs(&mut self, window: Duration) {
        self.asked().window = window;
    }

    fn permit_unresolved(&mut self, _: bool) {}

    fn protect(&mut self, _: &[PathBuf]) -> Vec<String> {
        Vec::new()
    }
}

/// A root filesystem in which `/bin` leads to `/usr/bin`.
struct MergedRoot;

impl LinkSource for MergedRoot {
    fn links(&mut self, _: &RootPlace, wanted: WantedLinks) -> Links {
        let mut links = Links::default();
        for object in wanted.processes {
            if let PathObject::Path(path) = &object
                && let Some(name) = path.strip_prefix("/bin/")
            {
                let target = PathObject::Path(format!("/usr/bin/{name}"));
                links.objects.insert(object.clone(), [target].into());
            }
        }
        links
    }
}

struct Fixture {
    state: tempfile::TempDir,
    enforcer: FakeEnforcer,
    index: Index,
}

const ALL: Settings = Settings {
    visible: Visibility::FILE,
    host_visible: Visibility::PROCESS,
    merge_window: Duration::from_secs(1),
    permit_unresolved: false,
    start_ungoverned: false,
    untracked: String::new(),
    container_policies: true,
    host_policies: true,
    containers: Postures {
        process: Posture::Audit,
        file: Posture::Audit,
        network: Posture::Audit,
        capabilities: Posture::Audit,
    },
    host: Postures {
        process: Posture::Allow,
        file: Posture::Allow,
        network: Posture::Allow,
        capabilities: Posture::Allow,
    },
};

fn index(state: &Path, enforcer: &FakeEnforcer, settings: Settings) -> Index {
    Index::new(
        Box::new(enforcer.clone()),
        Box::new(MergedRoot),
        Store::open(state).unwrap(),
        settings,
        workload::host("node-1"),
        Arc::new(Identities::default()),
    )
}

impl Fixture {
    fn new() -> Self {
        Self::with(ALL)
    }

    fn with(settings: Settings) -> Self {
        let state = tempfile::tempdir().unwrap();
        let enforcer = FakeEnforcer::default();
        let index = index(state.path(), &enforcer, settings);
        Self { state, enforcer, index }
    }

    /// Another agent on the same state.
    fn restarted(self) -> Self {
        let enforcer = FakeEnforcer::default();
        let mut index = index(self.state.path(), &enforcer, ALL);
        restore::restore(&mut index).unwrap();
        Self { state: self.state, enforcer, index }
    }

    fn start(&mut self, id: &str, labels: &[(&str, &str)]) {
        self.index.heard(WorkloadEvent::Started(Box::new(container(id, labels))));
    }

    fn apply(&mut self, text: &str) -> Result<Vec<String>, Refusal> {
        self.index.apply(parse(text), text, Keeper::Store)
    }

    fn delete(&mut self, text: &str) -> bool {
        self.index.delete(&parse(text).id, &Keeper::Store).unwrap()
    }

    fn in_force(&self, workload: &str) -> Vec<String> {
        self.enforcer.in_force(workload)
    }

    fn stored(&self) -> usize {
        fs::read_dir(self.state.path().join("policies")).unwrap().count()
    }
}

fn container(id: &str, labels: &[(&str, &str)]) -> Container {
    Container {
        id: id.into(),
        name: id.into(),
        namespace: ruleset::CONTAINER_NAMESPACE.into(),
        pod: String::new(),
        pod_uid: String::new(),
        labels: labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        image: "img".into(),
        pid: 7,
        cgroup: "/sys/fs/cgroup/x".into(),
        runtime_namespace: "default".into(),
        prepared_root: None,
    }
}

fn parse(text: &str) -> Policy {
    let parsed = policy::parse(text, "test.yaml");
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    parsed.policies.into_iter().next().unwrap()
}

fn blocking(kind: &str, name: &str, selector: &str, path: &str) -> String {
    format!(
        "apiVersion: security.kubearmor.com/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  \
         {selector}\n  process:\n    matchPaths:\n    - path: {path}\n  action: Block\n"
    )
}

fn on_app(name: &str, app: &str, path: &str) -> String {
    blocking("KubeArmorPolicy", name, &format!("selector: {{matchLabels: {{app: {app}}}}}"), path)
}

fn on_host(name: &str) -> String {
    let selector = "nodeSelector: {matchLabels: {kubearmor.io/hostname: node-1}}";
    blocking("KubeArmorHostPolicy", name, selector, "/usr/bin/id")
}
