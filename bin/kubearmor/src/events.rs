//! The thread between the kernel's records and the feed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use enforce::{Event, Events, WorkloadKey};
use feed::Feed;
use telemetry::{
    Account, Alert, Delivery, Log, Memory, Node, Occurrence, Reporter, Settings, Sink, Subject,
};

use crate::{backend::Lost, identities::Identities, processes::Processes};

/// How often what has ended is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The reporter, shared by the thread that feeds it and those who ask for its accounts.
pub(crate) struct Accounts(Mutex<Books>);

struct Books {
    reporter: Reporter,
    /// Of what the kernel could not hand over, what is in the accounts.
    lost_in_kernel: Lost,
}

impl Accounts {
    pub(crate) fn new(node: Node, enforcer: &'static str, settings: Settings) -> Self {
        let reporter = Reporter::new(node, enforcer, settings, Box::new(Processes::new()));
        Self(Mutex::new(Books { reporter, lost_in_kernel: Lost::default() }))
    }

    pub(crate) fn lines(&self) -> Vec<Account> {
        self.reporter(|reporter| reporter.accounts())
    }

    /// How much the reporter remembers.
    pub(crate) fn memory(&self) -> Memory {
        self.reporter(|reporter| reporter.memory())
    }

    pub(crate) fn set(&self, settings: Settings) {
        self.reporter(|reporter| reporter.set(settings));
    }

    /// Accounts for what the kernel could not hand over; `total` are its counters. They do not tell whose it was.
    pub(crate) fn lost_in_kernel(&self, total: Lost) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut books.lost_in_kernel, total);
        let nobody = Arc::from("");
        books.reporter.lost(&nobody, total.alerts.saturating_sub(before.alerts));
        books.reporter.lost_logs(&nobody, total.logs.saturating_sub(before.logs));
    }

    fn reporter<T>(&self, ask: impl FnOnce(&mut Reporter) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).reporter)
    }
}

/// Reports `events` until the enforcer that sends them is gone.
pub(crate) fn start(
    events: Events,
    accounts: Arc<Accounts>,
    identities: Arc<Identities>,
    feed: Feed,
) -> io::Result<()> {
    thread::Builder::new().name("events".to_owned()).spawn(move || {
        let mut sink = ToFeed(feed);
        let mut kept = Instant::now();
        loop {
            match events.recv_timeout(HOUSEKEEPING) {
                Ok(event) => report(&accounts, &identities, &event, &mut sink),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if kept.elapsed() >= HOUSEKEEPING {
                kept = Instant::now();
                for key in identities.take_forgotten() {
                    accounts.reporter(|reporter| reporter.forget(&key.0));
                }
            }
        }
    })?;
    Ok(())
}

fn report(accounts: &Accounts, identities: &Identities, event: &Event, sink: &mut ToFeed) {
    let identity = identities.get(&event.workload);
    let subject = match &identity {
        Some(identity) => Subject::Container(identity),
        None if &*event.workload.0 == WorkloadKey::HOST => Subject::Host,
        // Forgotten long ago; nobody could make sense of an event without a name.
        None => {
            return accounts.reporter(|reporter| reporter.nameless(&event.record));
        }
    };
    let occurrence = Occurrence {
        workload: &event.workload.0,
        record: &event.record,
        rules: event.rules.as_deref(),
    };
    accounts.reporter(|reporter| reporter.report(occurrence, subject, sink));
}

struct ToFeed(Feed);

impl Sink for ToFeed {
    fn alert(&mut self, alert: Alert) -> Delivery {
        self.0.publish_alert(alert)
    }

    fn log(&mut self, log: Log) -> Delivery {
        self.0.publish_log(log)
    }
}
