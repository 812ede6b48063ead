//! By which ways the agent hears of containers before they run, and what to tell the operator of it.

use std::{collections::BTreeSet, path::Path, time::Duration};

use sensor::Capabilities;
use tokio::sync::watch;
use tracing::{info, warn};
use workload::{Followed, Way};

use crate::{config::Config, index::Unasked, probe_file, runtimes};

/// What has been seen so long is written at once.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of how containers start here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The ways that work at present.
    ways: BTreeSet<Way>,
    unasked: Unasked,
}

/// The one place where that is kept.
#[derive(Debug, Default)]
pub(crate) struct Ways(watch::Sender<Known>);

impl Ways {
    pub(crate) fn set(&self, way: Way, open: bool) {
        self.0.send_if_modified(|known| {
            if open { known.ways.insert(way) } else { known.ways.remove(&way) }
        });
    }

    /// So many containers have started unasked, in all.
    pub(crate) fn started(&self, unasked: Unasked) {
        self.0.send_if_modified(|known| std::mem::replace(&mut known.unasked, unasked) != unasked);
    }

    /// For whoever tells the operator of changes.
    pub(crate) fn follow(&self) -> watch::Receiver<Known> {
        self.0.subscribe()
    }
}

/// Keeps the file up to date from which `karmor probe` reads, and logs what changes.
pub(crate) async fn tell(
    mut known: watch::Receiver<Known>,
    mut followed: watch::Receiver<Followed>,
    config: Config,
    capabilities: Capabilities,
    enforcing: bool,
) {
    let path = Path::new(probe_file::PATH);
    let mut told = "";
    loop {
        let now = known.borrow_and_update().clone();
        let start = account(&now.ways);
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
        if let Err(problem) = probe_file::write(path, &node, &in_full(&now)) {
            warn!("{}: {problem}; `karmor probe` shows less", path.display());
        }
        let changed = tokio::select! {
            changed = known.changed() => changed,
            changed = followed.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        if *told == *account(&known.borrow().ways) {
            // Where containers start all the time, not each is a reason to write.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The account, and what was seen of containers of which nobody asked.
fn in_full(known: &Known) -> String {
    let account = account(&known.ways);
    let Unasked { started, late } = known.unasked;
    if started == 0 {
        return account.to_owned();
    }
    format!(
        "{account}; of {started} containers nobody asked before they started, and {late} of them had begun to run when \
         their rules were in force"
    )
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
            || account(&followed.borrow_and_update().ways).split(':').next().unwrap_or_default();
        assert_eq!(told(), "gap");
        ways.set(Way::Nri, true);
        assert_eq!(told(), "no gap for pods");
        ways.set(Way::Hook, true);
        assert_eq!(told(), "no gap");
        ways.set(Way::Nri, false);
        ways.set(Way::Hook, false);
        assert_eq!(told(), "gap");
    }

    #[test]
    fn what_was_seen_is_told_as_well() {
        let ways = Ways::default();
        let followed = ways.follow();
        assert!(!in_full(&followed.borrow()).contains("of 0 containers"));
        ways.started(Unasked { started: 12, late: 3 });
        assert!(followed.has_changed().unwrap());
        let told = in_full(&followed.borrow());
        assert!(told.starts_with("gap: ") && told.contains("of 12 containers"), "{told}");
        assert!(told.contains("and 3 of them"), "{told}");
    }
}
