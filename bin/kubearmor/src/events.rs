//! The thread between the kernel's records and the feed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use enforce::{Event, Events, Gap, News, WorkloadKey};
use feed::{Feed, Level};
use telemetry::{
    Account, Alert, Delivery, Log, Node, Occurrence, Reporter, Settings, Sink, Subject,
};

use tracing::{info, warn};

use crate::{backend::Lost, identities::Identities, processes::Processes};

/// How often it is looked whether a client has come back that should hear of the time without an agent.
const LOOKOUT: Duration = Duration::from_millis(100);
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

    pub(crate) fn set(&self, settings: Settings) {
        self.reporter(|reporter| reporter.set(settings));
    }

    /// Accounts for what the kernel could not hand over; `total` are its counters. They do not tell whose it was.
    pub(crate) fn lost_in_kernel(&self, total: Lost) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = books.lost_in_kernel;
        // Several ask for the counters, and who asked first may come last.
        let total =
            Lost { alerts: total.alerts.max(before.alerts), logs: total.logs.max(before.logs) };
        books.lost_in_kernel = total;
        let nobody = Arc::from("");
        books.reporter.lost(&nobody, total.alerts - before.alerts);
        books.reporter.lost_logs(&nobody, total.logs - before.logs);
    }

    /// Accounts for what of the time without an agent cannot be told.
    fn gap(&self, gap: &Gap) {
        self.reporter(|reporter| {
            for (workload, count) in &gap.changed {
                reporter.lost(&workload.0, *count);
            }
            reporter.lost(&Arc::from(""), gap.ended + gap.ring_full + gap.unreadable);
        });
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
        let mut gap_open = true;
        loop {
            if gap_open && sink.0.is_heard() {
                events.want_earlier();
            }
            match events.recv_timeout(if gap_open { LOOKOUT } else { HOUSEKEEPING }) {
                Ok(News::Event(event)) => report(&accounts, &identities, &event, &mut sink),
                Ok(News::Gap(gap)) => {
                    gap_open = false;
                    close(&accounts, &gap, &sink.0);
                }
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
}

/// What could be told of the time without an agent has been told.
fn close(accounts: &Accounts, gap: &Gap, feed: &Feed) {
    accounts.gap(gap);
    if gap.is_empty() {
        return;
    }
    if gap.lost() == 0 && gap.unknown.is_empty() {
        info!("{gap}");
        feed.publish_message(Level::Info, gap.to_string());
    } else {
        warn!("{gap}");
        feed.publish_message(Level::Warn, gap.to_string());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let limit = telemetry::Limit::default();
        Accounts::new(Node::default(), "TEST", Settings { limit })
    }

    fn lost(accounts: &Accounts) -> u64 {
        accounts.lines().iter().map(|line| line.counts.lost).sum()
    }

    #[test]
    fn what_the_kernel_lost_is_counted_once_whoever_asks() {
        let accounts = accounts();
        for alerts in [3, 7, 5, 7] {
            accounts.lost_in_kernel(Lost { alerts, logs: 0 });
        }
        assert_eq!(lost(&accounts), 7);
    }

    #[test]
    fn what_of_a_gap_is_lost_is_in_the_accounts() {
        let accounts = accounts();
        let web = WorkloadKey("web".into());
        let gap = Gap { reported: 9, ended: 1, ring_full: 2, ..Gap::default() };
        accounts.gap(&Gap { changed: [(web, 4)].into(), ..gap });
        assert_eq!(lost(&accounts), 7);
        let of_web = accounts.lines().into_iter().find(|line| &*line.key.workload == "web");
        assert_eq!(of_web.unwrap().counts.generated, 4);
    }
}
