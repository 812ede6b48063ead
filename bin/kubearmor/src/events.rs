//! The thread between the kernel's records and the feed.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use enforce::{Event, WorkloadKey};
use feed::Feed;
use telemetry::{
    Account, Alert, Delivery, Log, Node, Occurrence, Reporter, Settings, Sink, Subject,
};

use crate::{identities::Identities, processes::Processes};

/// How often what has ended is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The reporter, shared by the thread that feeds it and those who ask for its accounts.
pub(crate) struct Accounts(Mutex<Books>);

struct Books {
    reporter: Reporter,
    /// Of the alerts that the kernel could not hand over, those that are in the accounts.
    lost_in_kernel: u64,
}

impl Accounts {
    pub(crate) fn new(node: Node, enforcer: &'static str, settings: Settings) -> Self {
        let reporter = Reporter::new(node, enforcer, settings, Box::new(Processes::new()));
        Self(Mutex::new(Books { reporter, lost_in_kernel: 0 }))
    }

    pub(crate) fn lines(&self) -> Vec<Account> {
        self.reporter(|reporter| reporter.accounts())
    }

    pub(crate) fn set(&self, settings: Settings) {
        self.reporter(|reporter| reporter.set(settings));
    }

    /// Accounts for alerts that the kernel could not hand over; `total` is its counter. It does not tell whose they
    /// were.
    pub(crate) fn lost_in_kernel(&self, total: u64) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = total.saturating_sub(books.lost_in_kernel);
        if new > 0 {
            books.lost_in_kernel = total;
            books.reporter.lost(&Arc::from(""), new);
        }
    }

    fn reporter<T>(&self, ask: impl FnOnce(&mut Reporter) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).reporter)
    }
}

/// Reports `events` until the enforcer that sends them is gone.
pub(crate) fn start(
    events: Receiver<Event>,
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
        None => return accounts.reporter(|reporter| reporter.lost(&event.workload.0, 1)),
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
