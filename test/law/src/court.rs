//! The containers and the enforcer: rules are put into force, attempts are made, and what the kernel did and
//! reported is held against the law.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use compile::layout::RULE_NONE;
use enforce::{Enforcer as _, Event, Events, News, Placement, WorkloadKey, bpf::BpfEnforcer};
use law::{Deed, Request};
use policy::{Action, Kind, PathObject, Place};
use ruleset::{Class, DecidedBy, Object, Origin, PathSet, Rule, RuleSet, Tier};
use wire::{Operation, RecordKind};

use crate::{
    deed::Attempt,
    subject::Subject,
    world::{SUBJECTS, World},
};

const CGROUPS: &str = "/sys/fs/cgroup";
/// Who may ping without being allowed raw sockets; nobody, unless it says so, and then with our errno.
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";
/// What the container that closes each round opens; a rule reports it.
const MARK: &str = "/abc";
/// How long the last report of a round may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that is needed to try rules.
pub(crate) struct Court {
    enforcer: BpfEnforcer,
    events: Events,
    defendant: WorkloadKey,
    /// By place in [`SUBJECTS`]: without and with a terminal.
    subjects: Vec<[Subject; 2]>,
    closer: WorkloadKey,
    clerk: Subject,
    pub(crate) world: World,
}

/// An alert, as far as the law speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Alert {
    class: Class,
    by: DecidedBy,
}

impl Court {
    /// Loads the kernel programs and starts the subjects, copies of `program`.
    pub(crate) fn open(program: &Path) -> Result<Self> {
        let world = World::make(program)?;
        fs::write(PING_GROUPS, "0 2147483647").context(PING_GROUPS)?;
        let (mut enforcer, rings) =
            BpfEnforcer::start(&sensor::Options { bpffs: None, pin: false })?;
        let events = rings.read()?;
        let (defendant, cgroup) = container(&mut enforcer, "law")?;
        let subjects = SUBJECTS
            .iter()
            .map(|path| {
                Ok([
                    Subject::start(program, &cgroup, path, false)?,
                    Subject::start(program, &cgroup, path, true)?,
                ])
            })
            .collect::<Result<_>>()?;
        let (closer, cgroup) = container(&mut enforcer, "law-closer")?;
        let clerk = Subject::start(program, &cgroup, SUBJECTS[0], false)?;
        enforcer.apply(&closer, &Arc::new(watched_mark()))?;
        enforcer.settle()?;
        Ok(Self { enforcer, events, defendant, subjects, closer, clerk, world })
    }

    /// Puts the rules into force, makes every attempt, and says in which the kernel is not of the law's opinion.
    /// `None`: such rules are refused.
    pub(crate) fn try_rules(
        &mut self,
        set: &Arc<RuleSet>,
        attempts: &[Attempt],
    ) -> Result<Option<Vec<String>>> {
        let image = match compile::compile(set) {
            Ok(image) => image,
            Err(compile::CompileError::PlanTooLong { .. }) => return Ok(None),
            Err(error) => bail!("{error}"),
        };
        self.enforcer.apply(&self.defendant, set)?;
        self.enforcer.settle()?;
        let mut wrong = Vec::new();
        let mut expected = Vec::new();
        for attempt in attempts {
            if let Some(path) = attempt.vacated() {
                World::vacate(path)?;
            }
            let subject = &mut self.subjects[attempt.subject][usize::from(attempt.terminal)];
            let errno = subject.perform(&attempt.request)?;
            if errno == 0 || attempt.vacated().is_some() {
                for path in attempt.disturbed() {
                    self.world.restore(path)?;
                }
            }
            let mut permitted = true;
            for (class, access) in attempt.accesses(set) {
                let decision = access.with(|access| ruleset::decide(set, access));
                expected.extend(decision.alert.map(|by| (attempt, Alert { class, by })));
                permitted &= decision.permitted;
                if !permitted {
                    break;
                }
            }
            // No single access says what a new name would undo; tests of the compiled rules hold that against the law.
            if let Some((old, new)) = attempt.moved().filter(|_| permitted) {
                let rule = compile::interpret_move(&image.words, old, new, false);
                if rule != RULE_NONE {
                    let by = DecidedBy::Rule(rule);
                    expected.push((attempt, Alert { class: Class::File, by }));
                    permitted = false;
                }
            }
            if attempt.is_refusal(errno) == permitted {
                wrong
                    .push(format!("{attempt:?}: errno {errno}, by the law permitted: {permitted}"));
            }
        }
        wrong.extend(compare(&expected, &self.alerts()?));
        let lost = self.enforcer.counters().lost_alerts;
        ensure!(lost == 0, "{lost} alerts were lost");
        Ok(Some(wrong))
    }

    /// The alerts of the round: all that come before the one for the mark.
    fn alerts(&mut self) -> Result<Vec<(Alert, String)>> {
        let request = Request { user: 0, deed: Deed::Read(PathBuf::from(MARK)) };
        let errno = self.clerk.perform(&request)?;
        ensure!(errno == 0, "the mark cannot be opened: errno {errno}");
        let mut alerts = Vec::new();
        loop {
            let news = self.events.recv_timeout(PATIENCE).context("the round's last alert")?;
            let News::Event(event) = news else { continue };
            if event.record.kind != RecordKind::Alert {
                continue;
            }
            if event.workload == self.closer {
                return Ok(alerts);
            }
            // The subjects make system calls of their own, beside those that are attempted.
            if event.record.operation != Operation::Syscall {
                alerts.push(alert(&event)?);
            }
        }
    }
}

/// Both lists are in the order of the attempts. The kernel asks for capabilities in the course of other things too:
/// alerts of that class count where the attempt was for a capability.
fn compare(expected: &[(&Attempt, Alert)], seen: &[(Alert, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = seen.iter().peekable();
    for (attempt, alert) in expected {
        while seen
            .next_if(|(other, _)| other != alert && other.class == Class::Capabilities)
            .is_some()
        {}
        match seen.next_if(|(other, _)| other == alert) {
            Some(_) => {}
            None => {
                wrong.push(format!("{attempt:?}: expected {alert:?}, next is {:?}", seen.peek()));
            }
        }
        if !wrong.is_empty() {
            // What follows is out of step.
            wrong.extend(seen.map(|alert| format!("  then {alert:?}")));
            return wrong;
        }
    }
    let rest = seen.filter(|(alert, _)| alert.class != Class::Capabilities);
    wrong.extend(rest.map(|alert| format!("an alert that nothing called for: {alert:?}")));
    wrong
}

fn alert(event: &Event) -> Result<(Alert, String)> {
    let record = &event.record;
    let class = match record.operation {
        Operation::Exec => Class::Process,
        Operation::Capable => Class::Capabilities,
        Operation::SocketCreate
        | Operation::SocketConnect
        | Operation::SocketSendmsg
        | Operation::SocketBind
        | Operation::SocketListen
        | Operation::SocketAccept => Class::Network,
        Operation::DnsQuery => Class::Dns,
        _ => Class::File,
    };
    let by = match record.rule {
        wire::RULE_POSTURE => DecidedBy::Posture(class),
        wire::RULE_UNRESOLVED => bail!("a path could not be resolved: {record:?}"),
        rule => DecidedBy::Rule(rule),
    };
    let what = format!("{:?} {}", record.operation, String::from_utf8_lossy(&record.path));
    Ok((Alert { class, by }, what))
}

/// A container without rules.
fn container(enforcer: &mut BpfEnforcer, name: &str) -> Result<(WorkloadKey, PathBuf)> {
    let cgroup = Path::new(CGROUPS).join(name);
    fs::create_dir_all(&cgroup).with_context(|| cgroup.display().to_string())?;
    let workload = WorkloadKey(name.into());
    enforcer.place(&workload, &Placement::Container { cgroup: cgroup.clone(), pid: None })?;
    Ok((workload, cgroup))
}

fn watched_mark() -> RuleSet {
    let rule = Rule {
        tier: Tier::Namespaced,
        action: Action::Audit,
        object: Object::File(PathSet {
            named: PathObject::Path(MARK.to_owned()),
            linked: [].into(),
        }),
        source: None,
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
        origin: Origin {
            kind: Kind::Container,
            namespace: None,
            policy: "mark".to_owned(),
            place: Place("spec".to_owned()),
            severity: None,
            tags: Vec::new(),
            message: String::new(),
        },
    };
    RuleSet { rules: vec![rule], ..RuleSet::default() }
}
