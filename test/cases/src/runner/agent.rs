//! The agent under test: its process, its configuration, its policies.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use feed::{PolicyStatus, client::Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    events::{Events, runtime},
    options::Choice,
};
use crate::{
    format::{Deleted, PolicyText},
    matcher::as_text,
};

/// Anyone may listen there.
pub(crate) const ADDRESS: &str = "127.0.0.1:32767";
/// Policies are taken there, from root.
const SOCKET: &str = "unix:/run/kubearmor/kubearmor.sock";
/// As runtimes call it: they look into no `PATH`.
const PROGRAM: &str = "/usr/local/bin/kubearmor";
/// Longer than a hook waits for the agent.
const HOOK_SECONDS: u32 = 60;
const WORK: &str = "/run/cases";
const STATE_DIR: &str = "/opt/kubearmor";
const RUN_DIR: &str = "/run/kubearmor";
/// Loading the programs takes long on an emulated processor.
const START: Duration = Duration::from_mins(2);
const STOP: Duration = Duration::from_secs(30);
const RELOAD: Duration = Duration::from_secs(20);
/// Keys that the agent takes over while it runs.
const RELOADED: [&str; 13] = [
    "sinks",
    "visibility",
    "hostVisibility",
    "defaultFilePosture",
    "defaultProcessPosture",
    "defaultNetworkPosture",
    "defaultCapabilitiesPosture",
    "hostDefaultFilePosture",
    "hostDefaultNetworkPosture",
    "hostDefaultCapabilitiesPosture",
    "alertThrottling",
    "maxAlertPerSec",
    "throttleSec",
];

type Keys = BTreeMap<String, Value>;

pub(crate) struct Agent {
    choice: Choice,
    pin_dir: PathBuf,
    child: Option<Child>,
    /// The pid of the running agent or of the last one.
    pid: u32,
    /// Keys of the case on top of the defaults.
    keys: Keys,
    applied: BTreeSet<(String, Option<String>, String)>,
    /// Something went wrong: the next case needs a new agent on an empty state.
    distrusted: bool,
    /// Where the present case begins in the console.
    console_from: u64,
    runtime: Option<Runtime>,
    pub(crate) events: Events,
}

/// What the agent answered to a policy.
pub(crate) enum Answer {
    Enforced,
    Refused(String),
}

impl Agent {
    pub(crate) fn new(choice: Choice, bpf_fs: &Path) -> Self {
        Self {
            choice,
            pin_dir: bpf_fs.join("kubearmor"),
            child: None,
            pid: 0,
            keys: Keys::new(),
            applied: BTreeSet::new(),
            distrusted: true,
            console_from: 0,
            runtime: None,
            events: Events::default(),
        }
    }

    /// An agent without policies and with just these keys in force.
    pub(crate) fn make_clean(&mut self, keys: &Keys) -> Result<()> {
        if self.choice == Choice::None {
            return Ok(());
        }
        self.console_from = fs::metadata(console()).map_or(0, |console| console.len());
        let reused = !self.distrusted && self.runs() && self.only_reloaded_keys_differ(keys);
        if !reused || !Self::stored_policies().is_empty() {
            self.stop();
            self.wipe()?;
            self.keys = keys.clone();
            self.start()?;
            self.distrusted = false;
            return Ok(());
        }
        if self.keys != *keys {
            self.keys = keys.clone();
            self.reload()?;
        }
        Ok(())
    }

    /// Makes the next case begin with a new agent.
    pub(crate) fn distrust(&mut self) {
        self.distrusted = true;
    }

    fn only_reloaded_keys_differ(&self, keys: &Keys) -> bool {
        self.keys
            .keys()
            .chain(keys.keys())
            .filter(|key| self.keys.get(*key) != keys.get(*key))
            .all(|key| RELOADED.contains(&key.as_str()))
    }

    fn runs(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        fs::create_dir_all(WORK)?;
        self.write_config()?;
        for name in ["ready", "agent.pid", "config-in-force.json"] {
            let _ = fs::remove_file(Path::new(RUN_DIR).join(name));
        }
        let log = File::options().create(true).append(true).open(console())?;
        let mut child = Command::new("kubearmor")
            .args(["agent", "--config"])
            .arg(config())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start `kubearmor agent`")?;
        self.pid = child.id();
        let ended = self.await_ready(&mut child);
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        } else {
            self.child = Some(child);
        }
        ended
    }

    /// Subscribes as early as the agent answers: under a loop of refusals its first alerts come before it is ready, and
    /// then throttling silences the rule.
    fn await_ready(&mut self, child: &mut Child) -> Result<()> {
        if self.runtime.is_none() {
            self.runtime = Some(runtime()?);
        }
        let since = Instant::now();
        let ready = Path::new(RUN_DIR).join("ready");
        let mut subscribed = false;
        while !(subscribed && ready.exists()) {
            if let Some(status) = child.try_wait()? {
                bail!("the agent ended while starting: {status}");
            }
            subscribed = subscribed || self.events.subscribe(self.runtime()?).is_ok();
            ensure!(since.elapsed() < START, "the agent was not ready within {START:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends the agent in good order.
    pub(crate) fn stop(&mut self) {
        self.signal_and_wait(Signal::TERM);
    }

    pub(crate) fn kill(&mut self) {
        self.signal_and_wait(Signal::KILL);
    }

    fn signal_and_wait(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = pid_of(&child) {
            let _ = kill_process(pid, signal);
        }
        let since = Instant::now();
        while let Ok(None) = child.try_wait() {
            if since.elapsed() > STOP {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the agent at the end of all cases.
    pub(crate) fn end(&mut self) {
        self.stop();
    }

    /// Removes what an agent leaves behind on purpose: stored policies and pinned programs.
    fn wipe(&mut self) -> Result<()> {
        self.applied.clear();
        for directory in [Path::new(STATE_DIR), &self.pin_dir] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("wipe {}", directory.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn stored_policies() -> Vec<PathBuf> {
        let directory = Path::new(STATE_DIR).join("policies");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn write_config(&self) -> Result<()> {
        let lsm = match self.choice {
            Choice::Bpf => "bpf",
            Choice::AppArmor => "apparmor",
            Choice::SeLinux => "selinux",
            Choice::None => "none",
        };
        let mut all = json!({"k8s": false, "lsm": lsm});
        for (key, value) in &self.keys {
            all[key] = value.clone();
        }
        fs::write(config(), format!("{all:#}\n")).context("cannot write the agent's configuration")
    }

    /// Changes keys of the running agent and waits until they are in force.
    pub(crate) fn change(&mut self, keys: &Keys) -> Result<()> {
        self.keys.extend(keys.clone());
        self.reload()
    }

    fn reload(&mut self) -> Result<()> {
        let path = Path::new(RUN_DIR).join("config-in-force.json");
        // The agent writes it anew once the new keys are in force.
        let _ = fs::remove_file(&path);
        self.write_config()?;
        let Some(child) = self.child.as_ref() else { return Ok(()) };
        if let Some(pid) = pid_of(child) {
            kill_process(pid, Signal::HUP)?;
        }
        let since = Instant::now();
        let mut difference = "no config-in-force.json".to_owned();
        while since.elapsed() < RELOAD {
            if let Ok(text) = fs::read_to_string(&path) {
                let in_force: Value = serde_json::from_str(&text).unwrap_or_default();
                match self.keys.iter().find(|(key, value)| !same(&in_force[key.as_str()], value)) {
                    None => return Ok(()),
                    Some((key, value)) => {
                        difference = format!("{key} is {}, not {value}", in_force[key.as_str()]);
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the configuration did not come into force: {difference}")
    }

    /// Hands a policy to the agent as `karmor` does; returns when the kernel enforces it.
    pub(crate) fn apply(&mut self, policy: &PolicyText) -> Result<Answer> {
        let file = Path::new(WORK).join("policy.yaml");
        fs::write(&file, &policy.0)?;
        let output = Command::new("karmor")
            .args(["vm", "policy", "add"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .context("cannot start `karmor`")?;
        if let Some(id) = id_of(&policy.0) {
            self.applied.insert(id);
        }
        if output.status.success() {
            return Ok(Answer::Enforced);
        }
        let said = [output.stdout, output.stderr].concat();
        Ok(Answer::Refused(String::from_utf8_lossy(&said).into_owned()))
    }

    pub(crate) fn delete(&mut self, policy: &Deleted) -> Result<()> {
        let Deleted { kind, name, namespace } = policy;
        let mut metadata = json!({"name": name});
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace);
        }
        let object = json!({"kind": kind, "metadata": metadata});
        let event = json!({"type": "DELETED", "object": object}).to_string().into_bytes();
        let service = match kind.as_str() {
            "KubeArmorHostPolicy" => policy::Kind::Host,
            "KubeArmorNetworkPolicy" => policy::Kind::Network,
            "KubeArmorClusterPolicy" => policy::Kind::Cluster,
            _ => policy::Kind::Container,
        };
        let answer = self.runtime()?.block_on(async {
            let client = Client::connect(SOCKET).await?;
            client.apply(service, event).await
        })?;
        self.applied.remove(&(kind.clone(), namespace.clone(), name.clone()));
        match answer.status {
            PolicyStatus::Deleted => Ok(()),
            other => {
                bail!("delete {name}: the agent answered {}: {}", other.word(), answer.message)
            }
        }
    }

    /// Events of each policy and action since the agent was started: delivered, throttled or lost.
    pub(crate) fn accounts(&self) -> Result<HashMap<(String, String), u64>> {
        let answer = self.runtime()?.block_on(async {
            let client = Client::connect(ADDRESS).await?;
            client.probe().await
        })?;
        let mut accounts = HashMap::new();
        for account in answer.accounts {
            *accounts.entry((account.policy, account.action)).or_default() += account.generated;
        }
        Ok(accounts)
    }

    /// Deletes what the case has applied. What goes wrong costs the next case a new agent.
    pub(crate) fn delete_all(&mut self) {
        if self.choice == Choice::None {
            return;
        }
        if !self.runs() {
            self.distrusted = true;
        }
        if self.distrusted {
            return;
        }
        for (kind, namespace, name) in std::mem::take(&mut self.applied) {
            // Refused policies were never there; what stays is found in the state directory.
            let _ = self.delete(&Deleted { kind, name, namespace });
        }
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("no agent was started yet")
    }

    /// The variables by which programs of a case find the agent.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("AGENT_PID", self.pid.to_string()),
            ("AGENT_STATE_DIR", format!("{STATE_DIR}/policies")),
            ("AGENT_PIN_DIR", self.pin_dir.display().to_string()),
        ]
    }

    /// What a container's specification says so that the agent is asked before its first program runs.
    pub(crate) fn hooks(&self) -> Value {
        if self.choice == Choice::None {
            return Value::Null;
        }
        let hook = json!([{
            "path": PROGRAM,
            "args": ["kubearmor", "hook", "--config", config()],
            "timeout": HOOK_SECONDS,
        }]);
        json!({"createRuntime": hook, "poststop": hook})
    }

    /// Copies the console of the present case.
    pub(crate) fn leave_evidence(&self, directory: &Path) {
        if self.choice == Choice::None {
            return;
        }
        let copy = || -> Result<()> {
            let mut console = File::open(console())?;
            console.seek(SeekFrom::Start(self.console_from))?;
            let mut text = Vec::new();
            console.read_to_end(&mut text)?;
            fs::create_dir_all(directory)?;
            Ok(fs::write(directory.join("agent.log"), text)?)
        };
        if let Err(error) = copy() {
            eprintln!("no console of the agent: {error:#}");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config() -> PathBuf {
    Path::new(WORK).join("kubearmor.yaml")
}

fn console() -> PathBuf {
    Path::new(WORK).join("agent.log")
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// The configuration may write a list as text and a number as a string. Of an object the agent also shows the keys that
/// were not written.
fn same(in_force: &Value, wanted: &Value) -> bool {
    match (in_force, wanted) {
        (Value::Array(all), Value::Array(wanted)) if wanted.iter().any(Value::is_object) => {
            all.len() == wanted.len() && all.iter().zip(wanted).all(|(one, other)| same(one, other))
        }
        (Value::Object(all), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| all.get(key).is_some_and(|found| same(found, value)))
        }
        _ => as_text(in_force) == as_text(wanted),
    }
}

/// Kind, namespace and name of a policy, if the text can be read at all.
fn id_of(text: &str) -> Option<(String, Option<String>, String)> {
    let parsed = policy::parse(text, "policy");
    let id = &parsed.policies.first()?.id;
    Some((id.kind.as_str().to_owned(), id.namespace.clone(), id.name.clone()))
}
