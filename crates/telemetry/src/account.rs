//! The accounts: for every policy, action and workload, what was generated and what became of it.
//!
//! `generated = delivered + throttled + lost` holds at every moment.

use std::{collections::BTreeMap, sync::Arc};

use policy::Kind;
use serde::Serialize;

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

#[derive(Default)]
pub(crate) struct Accounts {
    lines: BTreeMap<AccountKey, Counts>,
}

impl Accounts {
    pub(crate) fn add(&mut self, key: AccountKey, fate: Fate, count: u64) {
        let counts = self.lines.entry(key).or_default();
        counts.generated += count;
        match fate {
            Fate::Delivered => counts.delivered += count,
            Fate::Throttled => counts.throttled += count,
            Fate::Lost => counts.lost += count,
        }
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
