//! Containers as a runtime hook tells of them. A control group with nobody in it or below is that of a container that
//! has ended, so many control groups lie in one another, and one process in the deepest keeps them all.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use scale::{
    node::APPLICATIONS,
    rules::{label, namespace},
};
use workload::{
    Newcomer,
    hook::{Request, ask, socket},
};

const CGROUPS: &str = "/sys/fs/cgroup/scale";
/// Control groups in one another.
const DEPTH: u32 = 100;
/// Where each has its root prepared: the rules mean nothing that is in there.
const ROOT: &str = "/srv/scale/root";
const PATIENCE: Duration = Duration::from_mins(1);

/// Has the rules of so many containers put in force; returns the processes that keep them.
pub(crate) fn start(count: u32) -> Result<Vec<Child>> {
    fs::create_dir_all(ROOT).context(ROOT)?;
    fs::create_dir_all(CGROUPS).context(CGROUPS)?;
    let socket = socket(Path::new("/run/kubearmor"));
    let mut keepers = Vec::new();
    let mut group = PathBuf::new();
    for number in 0..count {
        if number % DEPTH == 0 {
            keepers.push(keeper()?);
            group = PathBuf::from(CGROUPS).join(format!("chain-{number}"));
        } else {
            group.push("in");
        }
        let pid = keepers.last().map(Child::id).context("no keeper")?;
        fs::create_dir(&group).with_context(|| group.display().to_string())?;
        let members = group.join("cgroup.procs");
        fs::write(&members, pid.to_string()).with_context(|| members.display().to_string())?;
        let request = Request::Starting(newcomer(number, pid));
        ask(&socket, &request, PATIENCE, true).with_context(|| format!("container {number}"))?;
        if (number + 1) % 1_000 == 0 {
            println!("{} containers are protected", number + 1);
        }
    }
    Ok(keepers)
}

fn keeper() -> Result<Child> {
    let mut command = Command::new("sleep");
    command.arg("infinity").stdin(Stdio::null()).spawn().context("cannot start sleep")
}

fn newcomer(number: u32, pid: u32) -> Newcomer {
    let application = number % APPLICATIONS;
    let labels = BTreeMap::from([
        ("app".to_owned(), label(application)),
        ("pod-template-hash".to_owned(), format!("{application:010x}")),
        ("io.kubernetes.pod.namespace".to_owned(), namespace(application)),
        ("io.kubernetes.pod.name".to_owned(), format!("{}-{number}", label(application))),
        ("io.kubernetes.container.name".to_owned(), "main".to_owned()),
    ]);
    Newcomer {
        id: format!("{number:064x}"),
        pid,
        labels,
        image: format!("registry.example/{}:1.0", label(application)),
        prepared_root: Some(ROOT.into()),
        ..Newcomer::default()
    }
}
