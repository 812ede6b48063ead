//! By which ways the agent hears of containers before they run, and what to tell the operator of it.

use std::{collections::BTreeSet, path::Path};

use sensor::Capabilities;
use tokio::sync::watch;
use tracing::{info, warn};
use workload::{Followed, Way};

use crate::{config::Config, probe_file, runtimes};

/// The ways that work at present.
#[derive(Debug)]
pub(crate) struct Ways(watch::Sender<BTreeSet<Way>>);

impl Default for Ways {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeSet::new()))
    }
}

impl Ways {
    pub(crate) fn set(&self, way: Way, open: bool) {
        self.0.send_if_modified(|ways| if open { ways.insert(way) } else { ways.remove(&way) });
    }

    /// For whoever tells the operator of changes.
    pub(crate) fn follow(&self) -> watch::Receiver<BTreeSet<Way>> {
        self.0.subscribe()
    }
}

/// Keeps the file up to date from which `karmor probe` reads, and logs what changes.
pub(crate) async fn tell(
    mut ways: watch::Receiver<BTreeSet<Way>>,
    mut followed: watch::Receiver<Followed>,
    config: Config,
    capabilities: Capabilities,
    enforcing: bool,
) {
    let path = Path::new(probe_file::PATH);
    let mut told = "";
    loop {
        let start = account(&ways.borrow_and_update());
        if start != told {
            info!("container starts: {start}");
            told = start;
        }
        let runtimes = runtimes::line(&followed.borrow_and_update());
        let node = probe_file::Node {
            config: &config,
            capabilities: &capabilities,
            enforcing,
            runtimes: &runtimes,
        };
        if let Err(problem) = probe_file::write(path, &node, start) {
            warn!("{}: {problem}; `karmor probe` shows less", path.display());
        }
        let changed = tokio::select! {
            changed = ways.changed() => changed,
            changed = followed.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// What holds for a container's start, and what would make it better.
fn account(ways: &BTreeSet<Way>) -> &'static str {
    match (ways.contains(&Way::Nri), ways.contains(&Way::Hook)) {
        (_, true) => "no gap: a runtime hook asks before a container's first program runs",
        (true, false) => {
            "no gap for pods: NRI asks before their containers' first programs run; for what is started without \
             Kubernetes install the runtime hook"
        }
        (false, false) => {
            "gap: a container's first program may run before its rules hold, since nobody has asked so far; enable NRI \
             in containerd, or install the runtime hook (`kubearmor hook`)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_follows_what_works() {
        let ways = Ways::default();
        let mut followed = ways.follow();
        let mut told =
            || account(&followed.borrow_and_update()).split(':').next().unwrap_or_default();
        assert_eq!(told(), "gap");
        ways.set(Way::Nri, true);
        assert_eq!(told(), "no gap for pods");
        ways.set(Way::Hook, true);
        assert_eq!(told(), "no gap");
        ways.set(Way::Nri, false);
        ways.set(Way::Hook, false);
        assert_eq!(told(), "gap");
    }
}
