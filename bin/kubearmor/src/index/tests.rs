//! The index without kernel and containerd: what is asked of the enforcer is what counts.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, MutexGuard},
};

use enforce::Enforcer;
use policy::PathObject;
use ruleset::{Posture, WantedLinks};

use super::*;
use crate::{backend::Lost, filesystem::LinkSource, restore, submissions::submit};

/// Remembers what it was asked, and refuses what it is told to refuse.
#[derive(Clone, Default)]
struct FakeEnforcer(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    /// By workload, the rules in force.
    rules: BTreeMap<String, Arc<RuleSet>>,
    placed: Vec<String>,
    visible: BTreeMap<String, Visibility>,
    window: Duration,
    applied: usize,
    taken_over: usize,
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
        let names: std::collections::BTreeSet<_> =
            rules.into_iter().map(|rule| rule.origin.policy).collect();
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

    fn observe(&mut self, key: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError> {
        self.asked().visible.insert(key.to_string(), visible);
        Ok(())
    }

    fn remove(&mut self, key: &WorkloadKey) -> Result<(), EnforceError> {
        self.asked().rules.remove(&*key.0);
        Ok(())
    }
}

impl Backend for FakeEnforcer {
    fn take_over(&mut self) -> Result<(), String> {
        self.asked().taken_over += 1;
        Ok(())
    }

    fn lost(&self) -> Lost {
        Lost::default()
    }

    fn merge_logs(&self, window: Duration) {
        self.asked().window = window;
    }
}

/// A root filesystem in which `/bin` leads to `/usr/bin`.
struct MergedRoot;

impl LinkSource for MergedRoot {
    fn links(&mut self, _: &Path, wanted: WantedLinks) -> Links {
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
        self.index.heard(WorkloadEvent::Started(container(id, labels)));
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
        labels: labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        image: "img".into(),
        pid: 7,
        cgroup: "/sys/fs/cgroup/x".into(),
        runtime_namespace: "default".into(),
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

#[test]
fn a_policy_reaches_the_containers_it_selects_and_no_other() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.start("db", &[("app", "db")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().applied, 1, "nothing was asked for the other one");

    node.start("web-2", &[("app", "web")]);
    assert_eq!(node.in_force("web-2"), ["p"], "a later container has its rules at once");
    assert!(node.delete(&on_app("p", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert!(!node.delete(&on_app("p", "web", "/usr/bin/id")));
}

#[test]
fn a_changed_policy_leaves_nothing_of_the_old_one() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.start("db", &[("app", "db")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap();
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert_eq!(node.in_force("db"), ["p"]);
    assert_eq!(node.stored(), 1);
}

#[test]
fn an_equal_rule_set_is_not_applied_again() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    assert_eq!(node.enforcer.asked().applied, 1);
}

#[test]
fn links_of_the_containers_root_are_part_of_its_rules() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/bin/id")).unwrap();
    let rules = Arc::clone(&node.enforcer.asked().rules["web"]);
    let ruleset::Object::Process(paths) = &rules.rules[0].object else { panic!() };
    assert_eq!(paths.linked, [PathObject::Path("/usr/bin/id".into())].into());
}

#[test]
fn a_container_that_starts_again_is_placed_and_governed_again() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.start("web", &[("app", "web")]);
    node.index.heard(WorkloadEvent::Stopped("web".into()));
    assert!(node.enforcer.asked().rules.is_empty());
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.enforcer.asked().placed, ["host", "web", "web"]);
}

#[test]
fn host_policies_concern_the_host_only_and_only_while_they_are_on() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_host("h")).unwrap();
    assert_eq!(node.in_force("host"), ["h"]);
    assert_eq!(node.in_force("web"), Vec::<String>::new());
    assert_eq!(node.enforcer.asked().rules["host"].postures.file, Posture::Allow);

    node.index.reconfigure(Settings { host_policies: false, ..ALL });
    assert_eq!(node.in_force("host"), Vec::<String>::new());
    let refusal = node.apply(&on_host("h2")).unwrap_err();
    assert!(matches!(refusal, Refusal::NotEnabled { key: "enableKubeArmorHostPolicy", .. }));
    node.index.reconfigure(ALL);
    assert_eq!(node.in_force("host"), ["h"]);
}

#[test]
fn a_changed_posture_reaches_running_containers() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let blocking = Postures { file: Posture::Block, ..ALL.containers };
    node.index.reconfigure(Settings { containers: blocking, ..ALL });
    assert_eq!(node.enforcer.asked().rules["web"].postures, blocking);
}

#[test]
fn visibility_follows_the_settings() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let asked = |enforcer: &FakeEnforcer| {
        let asked = enforcer.asked();
        (asked.visible.clone(), asked.window)
    };
    let visible = |web, host| BTreeMap::from([("web".to_owned(), web), ("host".to_owned(), host)]);
    let before = (visible(Visibility::FILE, Visibility::PROCESS), ALL.merge_window);
    assert_eq!(asked(&node.enforcer), before);
    let settings = Settings { visible: Visibility::empty(), merge_window: Duration::ZERO, ..ALL };
    node.index.reconfigure(settings);
    let after = (visible(Visibility::empty(), Visibility::PROCESS), Duration::ZERO);
    assert_eq!(asked(&node.enforcer), after);
}

#[test]
fn what_the_enforcer_refuses_changes_nothing() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("good", "web", "/usr/bin/id")).unwrap();
    node.enforcer.asked().refuse = Some("huge".into());
    let refusal = node.apply(&on_app("huge", "web", "/usr/bin/env")).unwrap_err();
    assert!(refusal.to_string().contains("do not fit: full"), "{refusal}");
    assert_eq!(node.in_force("web"), ["good"]);
    assert_eq!(node.stored(), 1);
    node.enforcer.asked().refuse = None;
    node.start("web-2", &[("app", "web")]);
    assert_eq!(node.in_force("web-2"), ["good"]);
}

#[test]
fn a_full_disk_refuses_the_policy_and_keeps_the_old_one() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let unfinished = "policies/KubeArmorPolicy_default_p.yaml.unfinished";
    std::os::unix::fs::symlink("/dev/full", node.state.path().join(unfinished)).unwrap();
    let refusal = node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap_err();
    assert!(refusal.to_string().contains("make room there"), "{refusal}");
    assert_eq!(node.in_force("web"), ["p"]);
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
}

#[test]
fn policies_outlive_the_agent() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    node.apply(&on_host("p")).unwrap();
    let event = r#"{"type":"ADDED","object":{"metadata":{"name":"event"},"spec":{"nodeSelector":
        {"matchLabels":{"kubearmor.io/hostname":"*"}},"file":{"matchPaths":[{"path":"/etc/x"}]}}}}"#;
    for parsed in policy::parse_event(event.as_bytes(), Kind::Host).events {
        let answer = submit(&mut node.index, parsed, event);
        assert_eq!(answer.status, feed::PolicyStatus::Applied, "{answer:?}");
    }
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.in_force("host"), ["event", "p"], "kinds do not shadow each other");
    node.delete(&on_host("p"));
    let node = node.restarted();
    assert_eq!(node.in_force("host"), ["event"]);
}

#[test]
fn one_text_of_several_policies_is_restored_policy_by_policy() {
    let mut node = Fixture::new();
    let text = format!("{}---\n{}", on_app("a", "web", "/a"), on_app("b", "web", "/b"));
    for event in policy::parse_event(text.as_bytes(), Kind::Container).events {
        submit(&mut node.index, event, &text);
    }
    node.delete(&on_app("a", "web", "/a"));
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["b"]);
}

#[test]
fn a_corrupt_file_is_set_aside_and_the_rest_restored() {
    let mut node = Fixture::new();
    node.apply(&on_app("p", "web", "/usr/bin/id")).unwrap();
    let policies = node.state.path().join("policies");
    fs::write(policies.join("KubeArmorPolicy_default_bad.yaml"), "kind: [").unwrap();
    let mut node = node.restarted();
    node.start("web", &[("app", "web")]);
    assert_eq!(node.in_force("web"), ["p"]);
    assert!(policies.join("KubeArmorPolicy_default_bad.yaml.corrupt").exists());
}

#[test]
fn what_the_existing_implementation_stored_is_restored() {
    let node = Fixture::new();
    let policies = node.state.path().join("policies");
    let stored = r#"{"kind":"KubeArmorHostPolicy","metadata":{"name":"old"},"spec":{"nodeSelector":
        {"matchLabels":{"kubearmor.io/hostname":"node-1"}},"process":{"matchPaths":[{"path":"/usr/bin/id"}]},
        "action":"Block"}}"#;
    fs::write(policies.join("old.yaml"), stored).unwrap();
    let mut node = node.restarted();
    assert_eq!(node.in_force("host"), ["old"]);
    assert!(node.delete(&on_host("old")));
    assert_eq!(node.stored(), 0);
}

#[test]
fn the_policy_directory_is_followed() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let follow = |node: &mut Fixture, text: Option<&str>| {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        restore::follow_directory(&mut node.index, restore::read_directory(directory.path()));
    };
    follow(&mut node, Some(&on_app("p", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), ["p"]);
    assert_eq!(node.stored(), 0);
    let refusal = node.apply(&on_app("p", "db", "/usr/bin/id")).unwrap_err().to_string();
    assert!(refusal.contains("a.yaml; change it there"), "{refusal}");

    follow(&mut node, Some("kind: ["));
    assert_eq!(node.in_force("web"), ["p"], "a typing error lifts no rule");
    follow(&mut node, Some(&on_app("q", "web", "/usr/bin/id")));
    assert_eq!(node.in_force("web"), ["q"]);
    follow(&mut node, None);
    assert_eq!(node.in_force("web"), Vec::<String>::new());
}

#[test]
fn what_is_not_in_force_is_told() {
    let mut node = Fixture::new();
    node.start("web", &[("app", "web")]);
    let with_native = on_app("p", "web", "/usr/bin/id") + "  apparmor: deny /srv/** w,\n";
    node.enforcer.asked().not_expressed = Some("no such hook".into());
    let notes = node.apply(&with_native).unwrap();
    assert_eq!(
        notes,
        [
            "not enforced: spec.apparmor: only AppArmor enforces its native rules",
            "not enforced: spec.process.matchPaths[0]: no such hook"
        ]
    );
    let overview = node.index.overview();
    assert_eq!((overview.policies[0].state, &overview.policies[0].notes), ("Partial", &notes));
    let web = overview.workloads.iter().find(|workload| workload.name == "web").unwrap();
    assert_eq!(web.policies, ["p".to_owned()].into());
}

#[test]
fn a_policy_of_which_nothing_is_enforced_says_so() {
    let mut node = Fixture::new();
    let native = "apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: native}
spec:
  apparmor: deny /srv/** w,
";
    let firewall = "apiVersion: security.kubearmor.com/v1
kind: KubeArmorNetworkPolicy
metadata: {name: firewall}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: '*'}}
  ingress:
  - from: [{ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: '22', protocol: TCP}]
";
    let notes = node.apply(native).unwrap();
    assert_eq!(notes, ["not enforced: spec.apparmor: only AppArmor enforces its native rules"]);
    let notes = node.apply(firewall).unwrap();
    assert_eq!(notes, ["not enforced: spec.ingress[0]: network policies are not enforced yet"]);
    let overview = node.index.overview();
    let states: Vec<_> = overview.policies.iter().map(|policy| policy.state).collect();
    assert_eq!(states, ["NotEnforced", "NotEnforced"]);
}

#[test]
fn an_earlier_runs_rules_end_once_when_all_containers_have_theirs() {
    let mut node = Fixture::new();
    assert!(!node.index.is_ready());
    node.index.heard(WorkloadEvent::RuntimeAway);
    assert!(node.index.is_ready(), "nothing waits for a runtime that is away");
    assert_eq!(node.enforcer.asked().taken_over, 0, "containers may be there all the same");
    for event in [WorkloadEvent::Scanned, WorkloadEvent::Scanned] {
        node.index.heard(event);
    }
    assert_eq!(node.enforcer.asked().taken_over, 1);
}
