//! [`Reporter`]: the way of one record through attribution, throttling and the accounts to a [`Sink`].

use std::{num::NonZeroUsize, sync::Arc};

use crate::{
    Account, AccountKey, Alert, Limit, Log, Node, Occurrence, Subject, System, Visibility,
    account::{Accounts, Fate},
    attribution::{Attributed, Attributor},
    throttle::{Stream, Throttle, Verdict},
};

/// Programs remembered; about 200 bytes each.
const PROGRAMS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

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

/// What may change while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub limit: Limit,
    pub containers: Visibility,
    pub host: Visibility,
}

/// The one owner of all state between the ring buffers and the feed.
pub struct Reporter {
    attributor: Attributor,
    settings: Settings,
    throttle: Throttle,
    accounts: Accounts,
    lost_logs: u64,
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
            lost_logs: 0,
        }
    }

    /// A changed limit ends all silences.
    pub fn set(&mut self, settings: Settings) {
        if settings.limit != self.settings.limit {
            self.throttle.clear();
        }
        self.settings = settings;
    }

    /// Reports one record of the workload that `subject` describes.
    pub fn report(&mut self, event: Occurrence<'_>, subject: Subject<'_>, sink: &mut dyn Sink) {
        let visible = match subject {
            Subject::Container(_) => self.settings.containers,
            Subject::Host => self.settings.host,
        };
        match self.attributor.attribute(event, subject, visible) {
            Attributed::Alert { alert, stream } => {
                self.alert(*alert, stream, event.record.time, sink);
            }
            Attributed::Log(log) => {
                if sink.log(*log) == Delivery::Incomplete {
                    self.lost_logs += 1;
                }
            }
            Attributed::Nothing => {}
        }
    }

    fn alert(&mut self, alert: Alert, stream: Stream, now: u64, sink: &mut dyn Sink) {
        let fate = match self.throttle.admit(self.settings.limit, &stream, now) {
            Verdict::Deliver => match sink.alert(alert) {
                Delivery::Complete => Fate::Delivered,
                Delivery::Incomplete => Fate::Lost,
            },
            Verdict::Announce => {
                // Of the threshold event itself there is no account: it is no policy's.
                let _ = sink.alert(self.attributor.threshold(&alert, self.settings.limit));
                Fate::Throttled
            }
            Verdict::Drop => Fate::Throttled,
        };
        self.accounts.add(stream.account, fate, 1);
    }

    /// Counts records of a workload that the kernel could not hand over.
    pub fn lost(&mut self, workload: &Arc<str>, count: u64) {
        let key = AccountKey {
            workload: Arc::clone(workload),
            kind: None,
            namespace: None,
            policy: String::new(),
            action: "",
        };
        self.accounts.add(key, Fate::Lost, count);
    }

    /// Forgets an ended workload; its counts go on under the empty workload name.
    pub fn forget(&mut self, workload: &str) {
        self.throttle.forget(workload);
        self.accounts.close(workload);
    }

    pub fn accounts(&self) -> Vec<Account> {
        self.accounts.lines()
    }

    /// Logs that at least one listener missed.
    pub fn lost_logs(&self) -> u64 {
        self.lost_logs
    }
}
