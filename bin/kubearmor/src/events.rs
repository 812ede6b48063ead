//! The thread between the kernel's records and the feed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use enforce::{Event, Events, Gap, Losses, Lost, News, WorkloadKey};
use feed::{Feed, Level, metrics::Histogram};
use telemetry::{
    Account, Alert, Counts, Delivery, FieldCounts, Log, Memory, Node, Occurrence, Reporter, Series,
    Settings, Sink, Subject, Suppressed,
};
use tracing::{info, warn};
use wire::RecordKind;

use crate::{
    identities::Identities,
    processes::{self, Processes},
};

/// How often it is looked whether a client has come back that should hear of the time without an agent.
const LOOKOUT: Duration = Duration::from_millis(100);
/// How often what has ended is forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The reporter, shared by the thread that feeds it and those who ask for its accounts.
pub(crate) struct Accounts {
    reporter: Mutex<Reporter>,
    /// What never became an event.
    losses: Option<Losses>,
    /// What is in the accounts and has not been told.
    lost: Mutex<Vec<(WorkloadKey, Lost)>>,
    pub(crate) delays: Delays,
}

/// From the event in the kernel until all listeners and sinks have been handed what there is to tell of it.
pub(crate) struct Delays {
    pub(crate) alerts: Histogram,
    pub(crate) logs: Histogram,
}

/// Seconds.
const DELAYS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

impl Delays {
    fn new() -> Self {
        Self { alerts: Histogram::new(&DELAYS), logs: Histogram::new(&DELAYS) }
    }
}

impl Accounts {
    pub(crate) fn new(
        node: Node,
        enforcer: &'static str,
        settings: Settings,
        losses: Option<Losses>,
    ) -> Self {
        let reporter = Reporter::new(node, enforcer, settings, Box::new(Processes::new()));
        Self {
            reporter: Mutex::new(reporter),
            losses,
            lost: Mutex::default(),
            delays: Delays::new(),
        }
    }

    /// As of this moment.
    pub(crate) fn lines(&self) -> Vec<Account> {
        self.enter_losses();
        self.reporter(|reporter| reporter.accounts())
    }

    /// For metrics, both at one moment, which is this one.
    pub(crate) fn counted(&self) -> (Vec<(Series, Counts)>, Vec<FieldCounts>) {
        self.enter_losses();
        self.reporter(|reporter| (reporter.tally(), reporter.published()))
    }

    /// How much the reporter remembers.
    pub(crate) fn memory(&self) -> Memory {
        self.reporter(|reporter| reporter.memory())
    }

    pub(crate) fn set(&self, settings: Settings, cluster: &str) {
        self.reporter(|reporter| {
            reporter.set(settings);
            reporter.rename_cluster(cluster);
        });
    }

    fn enter_losses(&self) {
        let Some(losses) = &self.losses else { return };
        // Held until all is entered, so that nobody sees accounts that lack what another is entering.
        let mut untold = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        for (workload, lost) in losses.take() {
            self.reporter(|reporter| {
                reporter.lost(&workload.0, lost.alerts);
                reporter.lost_logs(&workload.0, lost.logs);
            });
            untold.push((workload, lost));
        }
    }

    fn untold_losses(&self) -> Vec<(WorkloadKey, Lost)> {
        self.enter_losses();
        std::mem::take(&mut self.lost.lock().unwrap_or_else(PoisonError::into_inner))
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

    pub(crate) fn reporter<T>(&self, ask: impl FnOnce(&mut Reporter) -> T) -> T {
        ask(&mut self.reporter.lock().unwrap_or_else(PoisonError::into_inner))
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
        let mut audience = Audience::default();
        loop {
            let heard = sink.0.is_heard();
            if audience.has_come(heard) {
                accounts.reporter(Reporter::end_silences);
            }
            if gap_open && heard {
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
                keep_house(&accounts, &identities, &sink.0);
            }
        }
    })?;
    Ok(())
}

/// Whether anybody listened at the last look.
#[derive(Default)]
struct Audience(bool);

impl Audience {
    /// Who begins to listen where nobody did has heard of nothing yet, least of all why a rule is silent.
    fn has_come(&mut self, heard: bool) -> bool {
        let before = std::mem::replace(&mut self.0, heard);
        heard && !before
    }
}

/// Forgets what has ended, and tells what no alert and no log will tell.
fn keep_house(accounts: &Accounts, identities: &Identities, feed: &Feed) {
    let name = |workload: &str| match identities.get(&WorkloadKey(workload.into())) {
        Some(identity) => format!("container {}", identity.name),
        None if workload.is_empty() => "containers that have ended".to_owned(),
        None if workload == WorkloadKey::HOST => "the host".to_owned(),
        None => format!("container {workload}"),
    };
    for (workload, lost) in accounts.untold_losses() {
        feed.publish_message(Level::Warn, lost_text(&name(&workload.0), lost));
    }
    let mut suppressed = accounts.reporter(|reporter| reporter.untold(monotonic_now()));
    for key in identities.take_forgotten() {
        suppressed.extend(accounts.reporter(|reporter| reporter.forget(&key.0)));
    }
    for suppressed in suppressed {
        let text = suppressed_text(&name(&suppressed.account.workload), &suppressed);
        feed.publish_message(Level::Info, text);
    }
}

fn lost_text(whose: &str, lost: Lost) -> String {
    format!(
        "{} alerts and {} logs of {whose} are lost: the kernel's rings were full, or its share of them was",
        lost.alerts, lost.logs
    )
}

fn suppressed_text(whose: &str, suppressed: &Suppressed) -> String {
    let Suppressed { account, rule, count } = suppressed;
    format!(
        "{count} alerts of {} ({rule}) in {whose} were throttled and are not told",
        account.policy
    )
}

/// As the kernel's records count time.
fn monotonic_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default()
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
    let delay = match event.record.kind {
        RecordKind::Alert => &accounts.delays.alerts,
        RecordKind::Log => &accounts.delays.logs,
        RecordKind::Exec => return,
    };
    delay.observe(processes::age(event.record.time));
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
        Accounts::new(Node::default(), "TEST", Settings { limit }, None)
    }

    fn lost(accounts: &Accounts) -> u64 {
        accounts.lines().iter().map(|line| line.counts.lost).sum()
    }

    #[test]
    fn the_first_listener_after_nobody_is_told_apart() {
        let mut audience = Audience::default();
        let looks = [false, true, true, false, true].map(|heard| audience.has_come(heard));
        assert_eq!(looks, [false, true, false, false, true]);
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
