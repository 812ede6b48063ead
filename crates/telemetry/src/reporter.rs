//! [`Reporter`]: the way of one record through attribution, throttling and the accounts to a [`Sink`].

use std::{num::NonZeroUsize, sync::Arc};

use wire::{Record, RecordKind};

use crate::{
    Account, AccountKey, Alert, Counts, Limit, Log, Node, Occurrence, Subject, System,
    account::{Accounts, Fate, Marks},
    attribution::{Attributed, Attributor},
    tally::{FieldCounts, Published, Series},
    throttle::{Stream, Throttle, Verdict},
};

/// Programs remembered; about 200 bytes each.
const PROGRAMS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The action of the accounts of logs.
const LOG: &str = "Log";

/// Where alerts and logs go.
pub trait Sink {
    fn alert(&mut self, alert: Alert) -> Delivery;
    fn log(&mut self, log: Log) -> Delivery;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// Everyone who listens has it.
    Complete,
    /// Someone's queue was full.
    Incomplete,
}

/// Alerts that were throttled, of one rule in one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    pub account: AccountKey,
    /// Where in the policy the rule stands; of a posture, the class.
    pub rule: String,
    pub count: u64,
}

/// What may change while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub limit: Limit,
}

/// How much is remembered of what went by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Programs that events are attributed to; at most 16,384.
    pub programs: usize,
    /// Lines of the accounts.
    pub accounts: usize,
    /// Rules whose alerts are counted for throttling.
    pub streams: usize,
}

/// The one owner of all state between the ring buffers and the feed.
pub struct Reporter {
    attributor: Attributor,
    settings: Settings,
    throttle: Throttle,
    accounts: Accounts,
    published: Published,
}

impl Reporter {
    /// `enforcer` is the backend's name, as alerts name it: `BPFLSM`.
    pub fn new(
        node: Node,
        enforcer: &'static str,
        settings: Settings,
        system: Box<dyn System + Send>,
    ) -> Self {
        Self {
            attributor: Attributor::new(node, enforcer, system, PROGRAMS),
            settings,
            throttle: Throttle::default(),
            accounts: Accounts::default(),
            published: Published::default(),
        }
    }

    /// A changed limit ends all silences.
    pub fn set(&mut self, settings: Settings) {
        if settings.limit != self.settings.limit {
            self.throttle.clear();
        }
        self.settings = settings;
    }

    /// From here on events are of a cluster of this name.
    pub fn rename_cluster(&mut self, name: &str) {
        self.attributor.rename_cluster(name);
    }

    /// Reports one record of the workload that `subject` describes.
    pub fn report(&mut self, event: Occurrence<'_>, subject: Subject<'_>, sink: &mut dyn Sink) {
        match self.attributor.attribute(event, subject) {
            Attributed::Alert { alert, stream } => {
                self.alert(*alert, stream, event.record.time, sink);
            }
            Attributed::Logs(logs) => {
                for log in logs {
                    let (operation, namespace) =
                        (log.operation.clone(), log.namespace_name.clone());
                    let fate = match sink.log(log) {
                        Delivery::Complete => Fate::Delivered,
                        Delivery::Incomplete => Fate::Lost,
                    };
                    let marks = Marks { operation: &operation, namespace: &namespace };
                    self.accounts.add(unattributed(event.workload, LOG), marks, fate, 1);
                }
            }
            Attributed::Nothing => {}
        }
    }

    fn alert(&mut self, mut alert: Alert, stream: Stream, now: u64, sink: &mut dyn Sink) {
        let (operation, namespace) =
            (alert.event.operation.clone(), alert.event.namespace_name.clone());
        let fate = match self.throttle.admit(self.settings.limit, &stream, now) {
            Verdict::Deliver(suppressed) => {
                alert.suppressed_alerts = suppressed;
                match self.publish(alert, sink) {
                    Delivery::Complete => Fate::Delivered,
                    Delivery::Incomplete => Fate::Lost,
                }
            }
            Verdict::Announce => {
                // Of the threshold event itself there is no account: it is no policy's.
                let announced = self.attributor.threshold(&alert, self.settings.limit);
                let _ = self.publish(announced, sink);
                Fate::Throttled
            }
            Verdict::Drop => Fate::Throttled,
        };
        let marks = Marks { operation: &operation, namespace: &namespace };
        self.accounts.add(stream.account, marks, fate, 1);
    }

    fn publish(&mut self, alert: Alert, sink: &mut dyn Sink) -> Delivery {
        self.published.add(&alert);
        sink.alert(alert)
    }

    /// Counts records of a workload that the kernel could not hand over.
    pub fn lost(&mut self, workload: &Arc<str>, count: u64) {
        if count > 0 {
            self.accounts.add(unattributed(workload, ""), Marks::default(), Fate::Lost, count);
        }
    }

    /// Counts logs that the kernel could not hand over.
    pub fn lost_logs(&mut self, workload: &Arc<str>, count: u64) {
        if count > 0 {
            self.accounts.add(unattributed(workload, LOG), Marks::default(), Fate::Lost, count);
        }
    }

    /// Counts a record of a workload that nobody can name any more, with those of all that have ended: nobody would
    /// ever close an account of its own.
    pub fn nameless(&mut self, record: &Record) {
        let ended = Arc::from("");
        match record.kind {
            RecordKind::Alert => self.lost(&ended, 1),
            RecordKind::Log => self.lost_logs(&ended, 1),
            RecordKind::Exec => {}
        }
    }

    /// Forgets an ended workload; its counts go on under the empty workload name. Returns what it has left untold.
    pub fn forget(&mut self, workload: &str) -> Vec<Suppressed> {
        self.accounts.close(workload);
        suppressed(self.throttle.forget(workload))
    }

    /// Ends every silence: it was to spare listeners, and those it spared were not there.
    pub fn end_silences(&mut self) {
        self.throttle.clear();
    }

    /// Alerts that were throttled and that no later alert has told of. `now` in nanoseconds of the monotonic clock. Each
    /// is returned once; to be asked every second or so.
    pub fn untold(&mut self, now: u64) -> Vec<Suppressed> {
        suppressed(self.throttle.untold(now))
    }

    pub fn memory(&self) -> Memory {
        Memory {
            programs: self.attributor.programs(),
            accounts: self.accounts.len(),
            streams: self.throttle.len(),
        }
    }

    pub fn accounts(&self) -> Vec<Account> {
        self.accounts.lines()
    }

    /// The sums of the accounts, by what metrics tell apart.
    pub fn tally(&self) -> Vec<(Series, Counts)> {
        self.accounts.tally()
    }

    /// Published alerts by single fields.
    pub fn published(&self) -> Vec<FieldCounts> {
        self.published.lines()
    }
}

fn suppressed(streams: Vec<(Stream, u64)>) -> Vec<Suppressed> {
    streams
        .into_iter()
        .map(|(stream, count)| Suppressed { account: stream.account, rule: stream.place, count })
        .collect()
}

/// The account of what no policy speaks of.
fn unattributed(workload: &Arc<str>, action: &'static str) -> AccountKey {
    AccountKey {
        workload: Arc::clone(workload),
        kind: None,
        namespace: None,
        policy: String::new(),
        action,
    }
}
