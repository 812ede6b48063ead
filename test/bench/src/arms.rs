//! One arm after another, in one boot: first without our programs, then with them.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use enforce::{EnforceError, Enforcer, bpf::BpfEnforcer};
use guest::bench::{APPARMOR_RULES, Arm, Measured, Operation, RULES, Report, Share};
use sensor::Options;
use serde::de::DeserializeOwned;
use wire::Visibility;

use crate::{
    apparmor,
    container::{Container, ROOT, inside, make_root},
    rules,
    shares::count_programs,
    tree::Tree,
};

/// The root of what is in no container.
const HOST: &str = "/";
/// Repeats of a log within this time are merged, as the agent does by default.
const MERGE: Duration = Duration::from_secs(1);
/// Real-time tasks may have all of the processor: nothing shall run between a measured process
/// and its children.
const REAL_TIME: &str = "/proc/sys/kernel/sched_rt_runtime_us";

/// Measures every arm that this machine can.
pub(crate) fn measure_all() -> Result<Report> {
    fs::write(REAL_TIME, "-1").context(REAL_TIME)?;
    make_root()?;
    let (host, root) = (Path::new(HOST), Path::new(ROOT));
    let mut report = Report { arms: Vec::new(), shares: Vec::new(), left_out: Vec::new() };

    let tree = Tree::make(0, host)?;
    report.add(Arm::Plain, measure(&tree, "measure", command(), |_| Ok(None))?)?;
    let tree = Tree::make(1, host)?;
    match apparmor::load(&rules::profile(APPARMOR_RULES, &tree.neighbour())) {
        Ok(()) => {
            let costs = measure(&tree, "measure", apparmor::confined(), |child| {
                check_confined(child, tree.neighbour())
            })?;
            report.add(Arm::AppArmor, costs)?;
        }
        Err(error) => report.left_out.push((Arm::AppArmor, format!("{error:#}"))),
    }

    let (mut enforcer, rings) = BpfEnforcer::start(&Options { bpffs: None, pin: false })?;
    let _events = rings.read()?;
    ensure!(enforcer.loaded().missing.is_empty(), "missing: {:?}", enforcer.loaded().missing);
    let tree = Tree::make(2, host)?;
    report.add(Arm::Unlabelled, measure(&tree, "measure", command(), |_| Ok(None))?)?;
    let tree = Tree::make(3, root)?;
    let costs = contained(&mut enforcer, &tree, "measure", &Treatment::default())?;
    report.add(Arm::Unprotected, costs)?;
    let tree = Tree::make(4, root)?;
    enforcer.merge_logs(MERGE);
    let logged = Treatment { visible: Visibility::all(), ..Treatment::default() };
    report.add(Arm::Logged, contained(&mut enforcer, &tree, "measure", &logged)?)?;
    let mut most = None;
    for (number, count) in RULES.into_iter().enumerate() {
        let tree = Tree::make(5 + number, root)?;
        // Rules that are refused are a finding about the product; all else ends the measurement.
        match contained(&mut enforcer, &tree, "measure", &Treatment::rules(Some(count))) {
            Ok(costs) => {
                report.add(Arm::Governed(count), costs)?;
                most = Some(count);
            }
            Err(error) if error.is::<EnforceError>() => {
                report.left_out.push((Arm::Governed(count), format!("{error:#}")));
            }
            Err(error) => return Err(error),
        }
    }

    count_programs(true)?;
    let tree = Tree::make(5 + RULES.len(), root)?;
    report.shares = contained::<Share>(&mut enforcer, &tree, "shares", &Treatment::rules(most))?;
    Ok(report)
}

trait Add {
    fn add(&mut self, arm: Arm, costs: Vec<guest::bench::Cost>) -> Result<()>;
}

impl Add for Report {
    fn add(&mut self, arm: Arm, costs: Vec<guest::bench::Cost>) -> Result<()> {
        ensure!(costs.len() == Operation::ALL.len(), "{arm:?}: {} results", costs.len());
        println!("measured: {arm:?}");
        self.arms.push(Measured { arm, costs });
        Ok(())
    }
}

/// How a container is treated.
#[derive(Debug)]
struct Treatment {
    /// Of rules; `None`: unprotected.
    rules: Option<u32>,
    visible: Visibility,
}

impl Default for Treatment {
    fn default() -> Self {
        Self::rules(None)
    }
}

impl Treatment {
    fn rules(rules: Option<u32>) -> Self {
        Self { rules, visible: Visibility::empty() }
    }
}

/// Measures in a container.
fn contained<T: DeserializeOwned>(
    enforcer: &mut BpfEnforcer,
    tree: &Tree,
    wish: &str,
    treatment: &Treatment,
) -> Result<Vec<T>> {
    let name = format!("bench-{wish}-{}", treatment.rules.unwrap_or(0));
    let container = Container::make(&name)?;
    let lines = measure(tree, wish, inside(), |child| {
        container.take_in(enforcer, child.id())?;
        enforcer.observe(&container.workload, treatment.visible)?;
        let Some(count) = treatment.rules else { return Ok(None) };
        let rules = rules::rule_set(count, &tree.neighbour())?;
        let not_expressed = enforcer.apply(&container.workload, &rules)?;
        enforcer.settle()?;
        ensure!(not_expressed.is_empty(), "not expressed: {:?}", not_expressed[0]);
        Ok(Some(tree.neighbour()))
    });
    container.end(enforcer)?;
    lines
}

/// In no container and under nobody's rules.
fn command() -> Command {
    Command::new("chrt")
}

fn check_confined(child: &Child, neighbour: PathBuf) -> Result<Option<PathBuf>> {
    let path = format!("/proc/{}/attr/apparmor/current", child.id());
    let label = fs::read_to_string(&path).context(path)?;
    ensure!(label.starts_with(rules::PROFILE), "the measured process is {label}");
    Ok(Some(neighbour))
}

/// Starts the process to be measured, `prepare`s it, lets it begin and reads its results. Preparing
/// tells which file the rules now deny it: a process that can open it is not measured.
fn measure<T: DeserializeOwned>(
    tree: &Tree,
    wish: &str,
    mut command: Command,
    prepare: impl FnOnce(&Child) -> Result<Option<PathBuf>>,
) -> Result<Vec<T>> {
    // Above everything else, so that neither our own readers nor a daemon run in between.
    command.args(["--fifo", "1"]).arg(env::current_exe()?).arg(wish).arg(tree.root());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut begin = child.stdin.take().context("the child's input")?;
    let mut lines = BufReader::new(child.stdout.take().context("the child's output")?).lines();
    // From here on the process is what it will be: no exec comes in between.
    let ready = lines.next().context("the measured process ended before it began")??;
    ensure!(ready == crate::measurer::READY, "the measured process says {ready}");
    let denied = match prepare(&child) {
        Ok(denied) => denied.unwrap_or_default(),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    writeln!(begin, "{}", denied.display())?;
    let results = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<T>>>();
    let status = child.wait()?;
    if !status.success() {
        bail!("the measured process ended with {status}");
    }
    results
}
