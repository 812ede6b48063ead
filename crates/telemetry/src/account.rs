//! The accounts: for every policy, action and workload, what was generated and what became of it.
//!
//! `generated = delivered + throttled + lost` holds at every moment.

use std::{collections::BTreeMap, sync::Arc};

use policy::Kind;
use serde::Serialize;

use crate::tally::{Series, Tally};

/// What alerts are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    /// A container's full id, `host`, or empty for the sum of ended workloads.
    pub workload: Arc<str>,
    /// `None` for a posture and for what no policy is known of.
    pub kind: Option<Kind>,
    pub namespace: Option<String>,
    /// As alerts name it, `DefaultPosture` included; empty for logs, and for records that were lost before anyone read
    /// them.
    pub policy: String,
    /// `Block`, `Audit` or `Log`; empty for records that were lost before anyone read them.
    pub action: &'static str,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub generated: u64,
    /// Taken by every listener and sink there was.
    pub delivered: u64,
    pub throttled: u64,
    /// Missed by at least one listener or sink, or never read from the kernel.
    pub lost: u64,
}

/// One line of the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub key: AccountKey,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Throttled,
    Lost,
}

impl Counts {
    pub(crate) fn add(&mut self, fate: Fate, count: u64) {
        self.generated += count;
        match fate {
            Fate::Delivered => self.delivered += count,
            Fate::Throttled => self.throttled += count,
            Fate::Lost => self.lost += count,
        }
    }
}

/// What metrics tell of an event beside what its account does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks<'a> {
    pub operation: &'a str,
    /// The workload's.
    pub namespace: &'a str,
}

/// One entry, two views of it: their sums are equal.
#[derive(Default)]
pub(crate) struct Accounts {
    lines: BTreeMap<AccountKey, Counts>,
    tally: Tally,
}

impl Accounts {
    pub(crate) fn add(&mut self, key: AccountKey, marks: Marks<'_>, fate: Fate, count: u64) {
        let series = Series {
            policy: key.policy.clone(),
            policy_namespace: key.namespace.clone().unwrap_or_default(),
            kind: key.kind,
            action: key.action,
            operation: marks.operation.to_owned(),
            namespace: marks.namespace.to_owned(),
        };
        self.tally.add(series, fate, count);
        self.lines.entry(key).or_default().add(fate, count);
    }

    pub(crate) fn tally(&self) -> Vec<(Series, Counts)> {
        self.tally.lines()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn lines(&self) -> Vec<Account> {
        self.lines.iter().map(|(key, &counts)| Account { key: key.clone(), counts }).collect()
    }

    /// Carries the sums of an ended workload over to the nameless one, so that the accounts stay exact and small.
    pub(crate) fn close(&mut self, workload: &str) {
        let ended: Vec<_> =
            self.lines.keys().filter(|key| *key.workload == *workload).cloned().collect();
        for key in ended {
            let Some(counts) = self.lines.remove(&key) else { continue };
            let sum = self.lines.entry(AccountKey { workload: "".into(), ..key }).or_default();
            sum.generated += counts.generated;
            sum.delivered += counts.delivered;
            sum.throttled += counts.throttled;
            sum.lost += counts.lost;
        }
    }
}
