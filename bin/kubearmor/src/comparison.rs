//! What is in the kernel is compared with what should be there, again and again, and what differs is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use enforce::Repair;
use feed::{Feed, Level};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::index::{Gone, Index, IndexHandle};

const EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Comparison {
    index: IndexHandle,
    feed: Feed,
    /// What could not be put right the last time: it is told once.
    failing: Mutex<BTreeSet<String>>,
}

impl Comparison {
    pub(crate) fn new(index: IndexHandle, feed: Feed) -> Self {
        Self { index, feed, failing: Mutex::default() }
    }

    /// Compares until the agent goes down.
    pub(crate) async fn go_on(self: Arc<Self>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.now().await.is_err() {
                return;
            }
        }
    }

    /// Compares once.
    pub(crate) async fn now(&self) -> Result<(), Gone> {
        let repairs = self.index.call(Index::compare).await?;
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        for (level, text) in news(&repairs, &mut failing) {
            if level == Level::Error {
                error!("{text}");
            } else {
                warn!("{text}");
            }
            self.feed.publish_message(level, text);
        }
        Ok(())
    }
}

/// What is to be told of a comparison. `failing` is what could not be put right, the last time and this time.
fn news(repairs: &[Repair], failing: &mut BTreeSet<String>) -> Vec<(Level, String)> {
    let mut told = Vec::new();
    let mut fails = BTreeSet::new();
    let mut repaired: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Repair { kind, what, failed } in repairs {
        let Some(reason) = failed else {
            repaired.entry(kind.name()).or_default().push(what);
            continue;
        };
        let text = format!("not repaired in the kernel ({}): {what}: {reason}", kind.name());
        if !failing.contains(&text) {
            told.push((Level::Error, text.clone()));
        }
        fails.insert(text);
    }
    for (kind, what) in repaired {
        let mut text = format!("repaired in the kernel ({kind}): {}", what[0]);
        if what.len() > 1 {
            text = format!("{text}, and {} more", what.len() - 1);
        }
        told.push((Level::Warn, text));
    }
    *failing = fails;
    told
}

#[cfg(test)]
mod tests {
    use enforce::RepairKind;

    use super::*;

    #[test]
    fn what_cannot_be_repaired_is_told_once_until_it_could() {
        let mut failing = BTreeSet::new();
        let bad = Repair::tried(RepairKind::Link, "`egress` was detached", Err("no"));
        let good = Repair::done(RepairKind::Pin, "the pin was gone");
        let told = news(&[good.clone(), bad.clone()], &mut failing);
        assert_eq!(
            told,
            [
                (
                    Level::Error,
                    "not repaired in the kernel (link): `egress` was detached: no".to_owned()
                ),
                (Level::Warn, "repaired in the kernel (pin): the pin was gone".to_owned()),
            ]
        );
        assert_eq!(news(std::slice::from_ref(&bad), &mut failing), []);
        assert_eq!(news(&[], &mut failing), []);
        assert_eq!(news(&[bad], &mut failing).len(), 1, "it went and came again");
        let many = [good.clone(), good.clone(), good];
        let told = news(&many, &mut failing);
        let text = "repaired in the kernel (pin): the pin was gone, and 2 more";
        assert_eq!(told, [(Level::Warn, text.to_owned())]);
    }
}
