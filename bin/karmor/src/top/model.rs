//! Rules and workloads with what they raise: events in, sorted lines out. Memory is bounded, and what has no line is
//! counted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use feed::ProbeResponse;

use super::window::{Clock, Recent};
use crate::event::{Event, Place};

/// Rules, and workloads, that are kept.
const MOST: usize = 5_000;

#[derive(Clone, Debug)]
pub(super) struct Top {
    pub(super) clock: Clock,
    rules: HashMap<RuleKey, Counted>,
    workloads: HashMap<Place, Counted>,
    accounts: BTreeMap<RuleKey, Account>,
    pub(super) events: u64,
    /// Events that their rule or their workload has no line for.
    pub(super) left_out: u64,
}

/// An event names its rule by these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RuleKey {
    pub(super) policy: String,
    pub(super) action: String,
}

#[derive(Clone, Debug, Default)]
struct Counted {
    alerts: Recent,
    logs: Recent,
    total_alerts: u64,
    total_logs: u64,
    denied: u64,
    operations: BTreeSet<String>,
    last: String,
}

/// What the agent itself says about a rule since it has started, in all workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) generated: u64,
    pub(super) delivered: u64,
    pub(super) throttled: u64,
    pub(super) lost: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct RuleLine {
    pub(super) rule: RuleKey,
    /// Of the alerts that were seen.
    pub(super) operations: Vec<String>,
    pub(super) per_second: f64,
    /// Within the window.
    pub(super) recent: u64,
    pub(super) seen: u64,
    pub(super) account: Option<Account>,
    pub(super) last: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct WorkloadLine {
    pub(super) place: Place,
    pub(super) alerts_per_second: f64,
    pub(super) logs_per_second: f64,
    pub(super) alerts: u64,
    pub(super) denied: u64,
    pub(super) logs: u64,
    pub(super) last: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Rate,
    Total,
    Name,
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Total => "total",
            Self::Name => "name",
        }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Rate => Self::Total,
            Self::Total => Self::Name,
            Self::Name => Self::Rate,
        }
    }
}

impl Top {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            clock: Clock { window },
            rules: HashMap::new(),
            workloads: HashMap::new(),
            accounts: BTreeMap::new(),
            events: 0,
            left_out: 0,
        }
    }

    /// `at` is the time since the beginning.
    pub(super) fn take(&mut self, event: &Event, at: Duration) {
        self.events += event.times;
        let mut counted = add(&mut self.workloads, event.place(), event, self.clock, at);
        if let Some(verdict) = &event.alert {
            let rule = RuleKey { policy: verdict.policy.clone(), action: verdict.action.clone() };
            counted &= add(&mut self.rules, rule, event, self.clock, at);
        }
        if !counted {
            self.left_out += event.times;
        }
    }

    /// Takes the agent's accounts in place of those of before.
    pub(super) fn settle(&mut self, accounts: BTreeMap<RuleKey, Account>) {
        self.accounts = accounts;
    }

    pub(super) fn rules(&self, order: Order, at: Duration) -> Vec<RuleLine> {
        let known = self.rules.keys().chain(self.accounts.keys()).collect::<BTreeSet<_>>();
        let mut lines: Vec<RuleLine> = known.into_iter().map(|rule| self.rule(rule, at)).collect();
        // They are sorted by name already.
        match order {
            Order::Rate => lines.sort_by_key(|line| std::cmp::Reverse((line.recent, line.total()))),
            Order::Total => lines.sort_by_key(|line| std::cmp::Reverse(line.total())),
            Order::Name => {}
        }
        lines
    }

    fn rule(&self, rule: &RuleKey, at: Duration) -> RuleLine {
        let none = Counted::default();
        let counted = self.rules.get(rule).unwrap_or(&none);
        let recent = counted.alerts.count(self.clock, at);
        RuleLine {
            rule: rule.clone(),
            operations: counted.operations.iter().cloned().collect(),
            per_second: self.clock.per_second(recent, at),
            recent,
            seen: counted.total_alerts,
            account: self.accounts.get(rule).copied(),
            last: counted.last.clone(),
        }
    }

    pub(super) fn workloads(&self, order: Order, at: Duration) -> Vec<WorkloadLine> {
        let mut lines: Vec<(u64, WorkloadLine)> = self
            .workloads
            .iter()
            .map(|(place, counted)| {
                let (alerts, logs) =
                    (counted.alerts.count(self.clock, at), counted.logs.count(self.clock, at));
                let line = WorkloadLine {
                    place: place.clone(),
                    alerts_per_second: self.clock.per_second(alerts, at),
                    logs_per_second: self.clock.per_second(logs, at),
                    alerts: counted.total_alerts,
                    denied: counted.denied,
                    logs: counted.total_logs,
                    last: counted.last.clone(),
                };
                (alerts + logs, line)
            })
            .collect();
        lines.sort_by(|(a_recent, a), (b_recent, b)| {
            let total = |line: &WorkloadLine| line.alerts + line.logs;
            let busier = match order {
                Order::Rate => (b_recent, total(b)).cmp(&(a_recent, total(a))),
                Order::Total => total(b).cmp(&total(a)),
                Order::Name => std::cmp::Ordering::Equal,
            };
            busier.then_with(|| a.place.name.cmp(&b.place.name)).then_with(|| a.place.cmp(&b.place))
        });
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

impl RuleLine {
    /// What was seen, or what the agent has raised before and beside that.
    fn total(&self) -> u64 {
        self.seen.max(self.account.map_or(0, |account| account.generated))
    }
}

/// Whether there was room.
fn add<K: std::hash::Hash + Eq>(
    lines: &mut HashMap<K, Counted>,
    key: K,
    event: &Event,
    clock: Clock,
    at: Duration,
) -> bool {
    if lines.len() >= MOST && !lines.contains_key(&key) {
        return false;
    }
    let counted = lines.entry(key).or_default();
    if event.alert.is_some() {
        counted.alerts.add(clock, at, event.times);
        counted.total_alerts += event.times;
        if !event.passed() {
            counted.denied += event.times;
        }
    } else {
        counted.logs.add(clock, at, event.times);
        counted.total_logs += event.times;
    }
    if !counted.operations.contains(&event.operation) {
        counted.operations.insert(event.operation.clone());
    }
    counted.last.clone_from(&event.time);
    true
}

/// The accounts of rules, those of all workloads together. Logs are no rule's.
pub(super) fn accounts(answer: &ProbeResponse) -> BTreeMap<RuleKey, Account> {
    let mut accounts = BTreeMap::<RuleKey, Account>::new();
    for line in answer.accounts.iter().filter(|line| !line.policy.is_empty()) {
        let key = RuleKey { policy: line.policy.clone(), action: line.action.clone() };
        let sum = accounts.entry(key).or_default();
        sum.generated += line.generated;
        sum.delivered += line.delivered;
        sum.throttled += line.throttled;
        sum.lost += line.lost;
    }
    accounts
}

#[cfg(test)]
pub(super) mod tests {
    use feed::proto::policy::PolicyAccount;

    use super::*;
    use crate::event::Verdict;

    pub(in crate::top) fn alert(policy: &str, container: &str, times: u64) -> Event {
        let verdict = Verdict { policy: policy.into(), action: "Block".into() };
        Event { result: "Permission denied".into(), alert: Some(verdict), ..log(container, times) }
    }

    pub(in crate::top) fn log(container: &str, times: u64) -> Event {
        Event {
            namespace: "shop".into(),
            container: container.into(),
            operation: "File".into(),
            result: "Passed".into(),
            time: "2026-01-02T03:04:05.000000Z".into(),
            times,
            ..Event::default()
        }
    }

    pub(in crate::top) fn answer() -> ProbeResponse {
        let account = |policy: &str, action: &str, workload: &str, generated| PolicyAccount {
            policy: policy.into(),
            action: action.into(),
            workload: workload.into(),
            generated,
            delivered: generated - 1,
            throttled: 1,
            ..PolicyAccount::default()
        };
        ProbeResponse {
            accounts: vec![
                account("secrets", "Block", "1", 100),
                account("secrets", "Block", "2", 20),
                account("quiet", "Audit", "1", 7),
                account("", "Log", "1", 5000),
            ],
            ..ProbeResponse::default()
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn names(lines: &[RuleLine]) -> Vec<&str> {
        lines.iter().map(|line| line.rule.policy.as_str()).collect()
    }

    #[test]
    fn rules_by_what_they_raise_now_and_by_what_they_have_raised() {
        let mut top = Top::new(at(30));
        top.take(&alert("shells", "web", 50), at(0));
        top.take(&alert("secrets", "web", 10), at(40));
        top.take(&log("web", 1000), at(40));
        let lines = top.rules(Order::Rate, at(40));
        assert_eq!(names(&lines), ["secrets", "shells"]);
        assert_eq!(
            (lines[0].recent, lines[0].seen, lines[1].recent, lines[1].seen),
            (10, 10, 0, 50)
        );
        assert_eq!(names(&top.rules(Order::Total, at(40))), ["shells", "secrets"]);
        assert_eq!(names(&top.rules(Order::Name, at(40))), ["secrets", "shells"]);
        assert_eq!(top.events, 1060);
    }

    #[test]
    fn the_agents_accounts_stand_beside_what_was_seen() {
        let mut top = Top::new(at(30));
        top.take(&alert("secrets", "web", 10), at(1));
        top.settle(accounts(&answer()));
        let lines = top.rules(Order::Total, at(1));
        assert_eq!(names(&lines), ["secrets", "quiet"]);
        let expected = Account { generated: 120, delivered: 118, throttled: 2, lost: 0 };
        assert_eq!(lines[0].account, Some(expected));
        assert_eq!((lines[1].seen, lines[1].rule.action.as_str()), (0, "Audit"));
    }

    #[test]
    fn workloads_count_alerts_and_logs_and_what_was_denied() {
        let mut top = Top::new(at(30));
        top.take(&alert("p", "web", 2), at(1));
        top.take(&log("web", 3), at(1));
        top.take(&log("db", 9), at(1));
        top.take(&Event { host: "node".into(), ..log("", 1) }, at(1));
        let lines = top.workloads(Order::Rate, at(1));
        let names: Vec<&str> = lines.iter().map(|line| line.place.name.as_str()).collect();
        assert_eq!(names, ["shop/db", "shop/web", "host node"]);
        assert_eq!((lines[1].alerts, lines[1].denied, lines[1].logs), (2, 2, 3));
    }

    #[test]
    fn what_has_no_line_is_counted() {
        let mut top = Top::new(at(30));
        for number in 0..MOST + 3 {
            top.take(&alert(&number.to_string(), "web", 2), at(1));
        }
        assert_eq!((top.rules(Order::Name, at(1)).len(), top.left_out), (MOST, 6));
    }
}
