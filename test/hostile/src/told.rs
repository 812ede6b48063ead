//! From a record to the alert or log that is made of it, as the agent does it.

use std::{
    cell::RefCell,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policy::parse;
use ruleset::{Links, RuleSet, rules_of};
use telemetry::{
    Alert, Delivery, Limit, Log, Node, Occurrence, Program, Reporter, Settings, Sink, Subject,
    System,
};
use wire::Record;

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

struct Nobody;

impl Sink for Nobody {
    fn alert(&mut self, _: Alert) -> Delivery {
        Delivery::Complete
    }

    fn log(&mut self, _: Log) -> Delivery {
        Delivery::Complete
    }
}

/// By whose rules the record may have been decided: it names one by its number.
static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let text = "kind: KubeArmorPolicy\nmetadata: {name: a}\nspec:\n  file: {matchPaths: [{path: /etc/passwd}]}\n  \
                process: {matchPaths: [{path: /bin/sh}]}\n  presets: [{name: filelessExec}]\n  action: Block\n";
    let parsed = parse(text, "told");
    let rules = parsed.policies.iter().flat_map(|policy| rules_of(policy, &Links::default()));
    RuleSet { rules: rules.collect(), ..RuleSet::default() }
});

thread_local! {
    /// One for all records, as in the agent: it remembers programs.
    static REPORTER: RefCell<Reporter> = RefCell::new(Reporter::new(
        Node::default(),
        "BPFLSM",
        Settings { limit: Limit { on: false, per_second: 10, silence_seconds: 30 } },
        Box::new(Nowhere),
    ));
}

pub(crate) fn tell(record: &Record) {
    let workload: Arc<str> = Arc::from("host");
    REPORTER.with_borrow_mut(|reporter| {
        for rules in [None, Some(&*RULES)] {
            let occurrence = Occurrence { workload: &workload, record, rules };
            reporter.report(occurrence, Subject::Host, &mut Nobody);
        }
    });
}
