//! The accounts are exact whatever happens: generated = delivered + throttled + lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use telemetry::{
    Alert, Counts, Delivery, Limit, Log, Node, Occurrence, Program, Reporter, Settings, Sink,
    Subject, Suppressed, System,
};
use wire::{Operation, RULE_POSTURE, Record, RecordKind};

struct Nowhere;

impl System for Nowhere {
    fn wall_clock(&self, monotonic: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(monotonic)
    }

    fn program(&self, _: u32) -> Option<Program> {
        None
    }

    fn user_name(&self, _: u32) -> Option<String> {
        None
    }
}

/// Takes what it gets, except every so many alerts.
struct Leaky {
    every: u64,
    seen: u64,
    thresholds: u64,
    complete: u64,
    /// Throttled alerts that later ones have told of.
    suppressed: u64,
}

impl Sink for Leaky {
    fn alert(&mut self, alert: Alert) -> Delivery {
        if alert.event.kind == "SystemEvent" {
            self.thresholds += 1;
            return Delivery::Complete;
        }
        self.seen += 1;
        self.suppressed += alert.suppressed_alerts;
        if self.seen.is_multiple_of(self.every) {
            return Delivery::Incomplete;
        }
        self.complete += 1;
        Delivery::Complete
    }

    fn log(&mut self, _: Log) -> Delivery {
        Delivery::Complete
    }
}

fn record(operation: Operation, result: i32, time: u64) -> Record {
    Record {
        kind: RecordKind::Alert,
        operation,
        flags: 0,
        time,
        exec: 0,
        parent_exec: 0,
        slot: 0,
        generation: 0,
        image: 0,
        rule: RULE_POSTURE,
        result,
        host_pid: 1,
        host_ppid: 1,
        pid: 1,
        ppid: 1,
        uid: 0,
        owner: 0,
        detail: [0; 4],
        address: [0; 16],
        comm: String::new(),
        tty: String::new(),
        syscall: None,
        descriptor: -1,
        repeats: 0,
        path: Vec::new(),
        cwd: Vec::new(),
        args: Vec::new(),
    }
}

fn reporter(limit: Limit) -> Reporter {
    let settings = Settings { limit };
    Reporter::new(Node::default(), "BPFLSM", settings, Box::new(Nowhere))
}

#[derive(Clone, Debug)]
enum Step {
    Alert { workload: u8, operation: Operation, denied: bool, pause: u64 },
    Lost { workload: u8, count: u64 },
    Forget { workload: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let operation =
        prop_oneof![Just(Operation::Open), Just(Operation::Exec), Just(Operation::Capable)];
    prop_oneof![
        20 => (0..3_u8, operation, any::<bool>(), 0..400_000_000_u64).prop_map(
            |(workload, operation, denied, pause)| Step::Alert { workload, operation, denied, pause }
        ),
        1 => (0..3_u8, 1..50_u64).prop_map(|(workload, count)| Step::Lost { workload, count }),
        1 => (0..3_u8).prop_map(|workload| Step::Forget { workload }),
    ]
}

/// Generated, delivered, throttled and lost, by policy and action.
fn sums(
    lines: impl Iterator<Item = ((String, &'static str), Counts)>,
) -> BTreeMap<(String, &'static str), [u64; 4]> {
    let mut sums = BTreeMap::new();
    for (key, Counts { generated, delivered, throttled, lost }) in lines {
        let sum: &mut [u64; 4] = sums.entry(key).or_default();
        for (sum, count) in sum.iter_mut().zip([generated, delivered, throttled, lost]) {
            *sum += count;
        }
    }
    sums
}

proptest! {
    #[test]
    fn nothing_is_miscounted(
        steps in prop::collection::vec(step(), 0..300),
        on in any::<bool>(),
        per_second in 0..4_u32,
        silence_seconds in 0..4_u32,
        every in 2..9_u64,
    ) {
        let workloads: [Arc<str>; 3] = ["a".into(), "b".into(), "host".into()];
        let mut reporter = reporter(Limit { on, per_second, silence_seconds });
        let mut sink = Leaky { every, seen: 0, thresholds: 0, complete: 0, suppressed: 0 };
        let (mut now, mut generated, mut lost_in_kernel, mut told) = (0, 0, 0, 0);
        let count = |all: Vec<Suppressed>| all.iter().map(|one| one.count).sum::<u64>();
        for step in steps {
            match step {
                Step::Alert { workload, operation, denied, pause } => {
                    now += pause;
                    generated += 1;
                    let record = record(operation, if denied { -13 } else { 0 }, now);
                    let workload = &workloads[usize::from(workload)];
                    let occurrence = Occurrence { workload, record: &record, rules: None };
                    reporter.report(occurrence, Subject::Host, &mut sink);
                }
                Step::Lost { workload, count } => {
                    generated += count;
                    lost_in_kernel += count;
                    reporter.lost(&workloads[usize::from(workload)], count);
                }
                Step::Forget { workload } => {
                    told += count(reporter.forget(&workloads[usize::from(workload)]));
                }
            }
            told += count(reporter.untold(now));
        }
        told += count(reporter.untold(u64::MAX));
        let mut sum = HashMap::<_, u64>::new();
        for account in reporter.accounts() {
            let counts = account.counts;
            prop_assert_eq!(counts.generated, counts.delivered + counts.throttled + counts.lost);
            *sum.entry("generated").or_default() += counts.generated;
            *sum.entry("delivered").or_default() += counts.delivered;
            *sum.entry("lost").or_default() += counts.lost;
            *sum.entry("throttled").or_default() += counts.throttled;
        }
        let of = |what| sum.get(what).copied().unwrap_or_default();
        prop_assert_eq!(of("generated"), generated);
        prop_assert_eq!(of("delivered"), sink.complete);
        prop_assert_eq!(of("throttled"), sink.suppressed + told, "each is told of once");
        prop_assert_eq!(of("lost"), lost_in_kernel + sink.seen - sink.complete);
        let accounts = reporter.accounts();
        let accounts = accounts.iter().map(|a| ((a.key.policy.clone(), a.key.action), a.counts));
        let series = reporter.tally();
        let series = series.iter().map(|(s, counts)| ((s.policy.clone(), s.action), *counts));
        prop_assert_eq!(sums(accounts), sums(series));
        for field in reporter.published() {
            prop_assert_eq!(field.values.values().sum::<u64>(), sink.seen + sink.thresholds);
        }
    }
}

#[test]
fn beyond_the_limit_a_threshold_event_is_published_once() {
    let mut reporter = reporter(Limit { on: true, per_second: 3, silence_seconds: 300 });
    let mut sink = Leaky { every: u64::MAX, seen: 0, thresholds: 0, complete: 0, suppressed: 0 };
    let workload: Arc<str> = "noisy".into();
    for now in 0..200 {
        let record = record(Operation::Open, -13, now);
        let occurrence = Occurrence { workload: &workload, record: &record, rules: None };
        reporter.report(occurrence, Subject::Host, &mut sink);
    }
    assert_eq!((sink.seen, sink.thresholds), (3, 1));
    let [account] = reporter.accounts().try_into().unwrap();
    assert_eq!(account.counts.generated, 200);
    assert_eq!(account.counts.delivered, 3);
    assert_eq!(account.counts.throttled, 197);
}

#[test]
fn who_begins_to_listen_is_told_at_once_and_of_what_was_dropped() {
    let mut reporter = reporter(Limit { on: true, per_second: 2, silence_seconds: 300 });
    let mut sink = Leaky { every: u64::MAX, seen: 0, thresholds: 0, complete: 0, suppressed: 0 };
    let workload: Arc<str> = "noisy".into();
    let mut report = |reporter: &mut Reporter, now| {
        let record = record(Operation::Open, -13, now);
        let occurrence = Occurrence { workload: &workload, record: &record, rules: None };
        reporter.report(occurrence, Subject::Host, &mut sink);
        (sink.seen, sink.suppressed)
    };
    let unheard = (0..10).map(|now| report(&mut reporter, now)).last();
    assert_eq!(unheard, Some((2, 0)));
    reporter.end_silences();
    assert_eq!(report(&mut reporter, 10), (3, 8));
}

#[test]
fn workloads_that_nobody_can_name_have_one_account_together() {
    let mut reporter = reporter(Limit::default());
    for _ in 0..1000 {
        reporter.nameless(&record(Operation::Open, -13, 1));
    }
    let [account] = reporter.accounts().try_into().unwrap();
    assert_eq!((&*account.key.workload, account.counts.lost), ("", 1000));
    assert_eq!(reporter.memory().accounts, 1);
}
