//! The thread between the kernel's records and the feed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use enforce::{Event, Events, WorkloadKey};
use feed::{Feed, metrics::Histogram};
use telemetry::{
    Account, Alert, Counts, Delivery, FieldCounts, Log, Node, Occurrence, Reporter, Series,
    Settings, Sink, Subject,
};
use wire::RecordKind;

use crate::{
    backend::Lost,
    identities::Identities,
    processes::{self, Processes},
};

/// How often what has ended is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The reporter, shared by the thread that feeds it and those who ask for its accounts.
pub(crate) struct Accounts {
    books: Mutex<Books>,
    pub(crate) delays: Delays,
}

/// From the event in the kernel until all listeners and sinks have been handed what there is to tell of it.
pub(crate) struct Delays {
    pub(crate) alerts: Histogram,
    pub(crate) logs: Histogram,
}

/// Seconds.
const DELAYS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

struct Books {
    reporter: Reporter,
    /// Of what the kernel could not hand over, what is in the accounts.
    lost_in_kernel: Lost,
}

impl Accounts {
    pub(crate) fn new(node: Node, enforcer: &'static str, settings: Settings) -> Self {
        let reporter = Reporter::new(node, enforcer, settings, Box::new(Processes::new()));
        Self {
            books: Mutex::new(Books { reporter, lost_in_kernel: Lost::default() }),
            delays: Delays { alerts: Histogram::new(&DELAYS), logs: Histogram::new(&DELAYS) },
        }
    }

    pub(crate) fn lines(&self) -> Vec<Account> {
        self.reporter(|reporter| reporter.accounts())
    }

    /// For metrics, both at one moment.
    pub(crate) fn counted(&self) -> (Vec<(Series, Counts)>, Vec<FieldCounts>) {
        self.reporter(|reporter| (reporter.tally(), reporter.published()))
    }

    pub(crate) fn set(&self, settings: Settings) {
        self.reporter(|reporter| reporter.set(settings));
    }

    /// Accounts for what the kernel could not hand over; `total` are its counters. They do not tell whose it was.
    pub(crate) fn lost_in_kernel(&self, total: Lost) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut books.lost_in_kernel, total);
        let nobody = Arc::from("");
        books.reporter.lost(&nobody, total.alerts.saturating_sub(before.alerts));
        books.reporter.lost_logs(&nobody, total.logs.saturating_sub(before.logs));
    }

    pub(crate) fn reporter<T>(&self, ask: impl FnOnce(&mut Reporter) -> T) -> T {
        ask(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner).reporter)
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
            return accounts
                .reporter(|reporter| reporter.nameless(&event.workload.0, &event.record));
        }
    };
    let occurrence = Occurrence {
        workload: &event.workload.0,
        record: &event.record,
        rules: event.rules.as_deref(),
    };
    accounts.reporter(|reporter| reporter.report(occurrence, subject, sink));
    let delay = match event.record.kind {
        RecordKind::Alert => &accounts.delays.alerts,
        RecordKind::Log => &accounts.delays.logs,
        RecordKind::Exec => return,
    };
    delay.observe(processes::age(event.record.time));
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
