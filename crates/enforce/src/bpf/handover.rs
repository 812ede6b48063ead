//! [`Handover`]: what earlier runs have left, and who was who. Their slots and images had other numbers, so a workload is
//! known by its control groups, and its rules by the image that they make.

use std::{
    collections::{HashMap, HashSet},
    fs, mem,
    os::unix::ffi::OsStrExt as _,
    sync::Arc,
};

use ruleset::RuleSet;
use sensor::{Earlier, Life, PinError, Ring, Seal, Then};
use wire::{Operation, RULE_SELF, Record, RecordKind, flag};

use super::{BpfEnforcer, told::Told};
use crate::{Event, Gap, WorkloadKey, events::Sender};

/// What is known when our rules are in force.
#[derive(Debug, Default)]
pub(super) struct Handover {
    pub(super) left: Vec<Earlier>,
    /// Runs of which nothing is known, and why.
    pub(super) unreadable: Vec<String>,
    /// By control group.
    pub(super) workloads: HashMap<u64, Known>,
    pub(super) host: Option<Known>,
    /// Nothing that happened before was reported by our programs: `CLOCK_MONOTONIC`, nanoseconds.
    pub(super) attached_at: u64,
}

/// A workload, with the rules in force and what tells their image from any other.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) workload: WorkloadKey,
    pub(super) rules: Option<(Arc<RuleSet>, Seal)>,
}

impl Handover {
    /// Waits until the earlier programs report nothing any more.
    pub(super) fn wait_until_over(&self) {
        self.left.iter().for_each(Earlier::wait_until_over);
    }

    /// Tells all that nobody has read, and what could not be told.
    pub(super) fn tell(mut self, mut told: Told, events: &Sender) -> Then {
        let mut gap = Gap { unknown: mem::take(&mut self.unreadable), ..Gap::default() };
        for earlier in mem::take(&mut self.left) {
            told.next_run();
            let ended = Reading::of(&earlier, &self, &mut told, events, &mut gap).read();
            if ended == Then::End {
                return ended;
            }
            gap.ring_full += earlier.found_the_ring_full();
            if let Err(error) = earlier.forget() {
                tracing::warn!(%error, "what an earlier agent has left stays in the kernel's memory");
            }
        }
        events.send_gap(gap)
    }
}

impl BpfEnforcer {
    /// Removes what an earlier run of the agent left in force. To be called when all known workloads have their rules
    /// again. What it reported and nobody has read comes as news, once [`Events::want_earlier`] was called.
    pub fn take_over(&mut self) -> Result<(), PinError> {
        let retired = self.sensor.retire_earlier_runs()?;
        let mut handover = Handover {
            left: retired.left,
            unreadable: retired.unreadable,
            attached_at: self.sensor.attached_at(),
            ..Handover::default()
        };
        for (workload, placed) in &self.placed {
            let seal = placed.image.and_then(|(region, _)| self.sensor.seal(region).cloned());
            let known = Known { workload: workload.clone(), rules: placed.rules.clone().zip(seal) };
            if &*workload.0 == WorkloadKey::HOST {
                handover.host = Some(known.clone());
            }
            handover.workloads.extend(placed.cgroups.iter().map(|id| (*id, known.clone())));
        }
        if let Some(earlier) = self.earlier.take() {
            // Fails where nobody reads the rings, which was told.
            let _ = earlier.send(handover);
        }
        Ok(())
    }
}

/// One run, being read.
struct Reading<'a> {
    earlier: &'a Earlier,
    attached_at: u64,
    known: HashMap<Life, &'a Known>,
    /// Whether a slot was judged by the image of this number, and that is the one in force.
    same_image: HashMap<(u32, u32), bool>,
    /// Programs that the agent has been told of, by their ids.
    programs: HashSet<u64>,
    told: &'a mut Told,
    events: &'a Sender,
    gap: &'a mut Gap,
}

impl<'a> Reading<'a> {
    fn of(
        earlier: &'a Earlier,
        handover: &'a Handover,
        told: &'a mut Told,
        events: &'a Sender,
        gap: &'a mut Gap,
    ) -> Self {
        let places = earlier.places().unwrap_or_else(|error| {
            tracing::warn!(%error, "whose the alerts of an earlier agent are is not known");
            Vec::new()
        });
        let of_containers = places
            .into_iter()
            .filter_map(|(life, cgroup)| Some((life, handover.workloads.get(&cgroup)?)));
        let of_host = earlier.host().zip(handover.host.as_ref());
        Self {
            earlier,
            attached_at: handover.attached_at,
            known: of_containers.chain(of_host).collect(),
            same_image: HashMap::new(),
            programs: HashSet::new(),
            told,
            events,
            gap,
        }
    }

    fn read(mut self) -> Then {
        let earlier = self.earlier;
        let read = earlier.read(&mut |ring, message| match Record::decode(message) {
            Ok(record) => self.see(ring, record),
            Err(_) if ring == Ring::Alerts => {
                self.gap.unreadable += 1;
                Then::Next
            }
            Err(_) => Then::Next,
        });
        read.unwrap_or_else(|error| {
            self.gap.unknown.push(format!("{}: {error}", earlier.name()));
            Then::Next
        })
    }

    fn see(&mut self, ring: Ring, record: Record) -> Then {
        let known = self.known.get(&(record.slot, record.generation)).copied();
        match (ring, known) {
            (Ring::Alerts, Some(known)) => self.alert(known, record),
            (Ring::Alerts, None) => {
                self.gap.ended += 1;
                Then::Next
            }
            (Ring::Programs, Some(known)) => self.started(known, record),
            (Ring::Programs | Ring::Logs, _) => Then::Next,
        }
    }

    /// A program, for the sake of the alerts that it has raised. Logs end with the agent, so it is not logged.
    fn started(&mut self, known: &Known, mut record: Record) -> Then {
        self.programs.insert(record.exec);
        record.flags &= !flag::VISIBLE;
        self.events.send(Event { workload: known.workload.clone(), record, rules: None })
    }

    fn alert(&mut self, known: &Known, record: Record) -> Then {
        let rules = match &known.rules {
            Some((rules, seal)) if self.is_same(&record, seal) => Some(Arc::clone(rules)),
            _ => None,
        };
        if rules.is_none() && record.rule < RULE_SELF {
            *self.gap.changed.entry(known.workload.clone()).or_default() += 1;
            return Then::Next;
        }
        if record.time >= self.attached_at && self.told.has_been(&record) {
            return Then::Next;
        }
        for program in [
            (record.exec, record.host_pid, record.comm.as_str()),
            (record.parent_exec, record.host_ppid, ""),
        ] {
            if self.introduce(known, &record, program) == Then::End {
                return Then::End;
            }
        }
        self.gap.reported += 1;
        self.events.send(Event { workload: known.workload.clone(), record, rules })
    }

    fn is_same(&mut self, record: &Record, seal: &Seal) -> bool {
        let earlier = self.earlier;
        let image = (record.slot, record.image);
        *self.same_image.entry(image).or_insert_with(|| earlier.judged_by(image.0, image.1, seal))
    }

    /// Tells of a program that the earlier agent was told of. Who asks for its process now may find another one.
    fn introduce(
        &mut self,
        known: &Known,
        alert: &Record,
        (exec, host_pid, name): (u64, u32, &str),
    ) -> Then {
        if exec == 0 || !self.programs.insert(exec) {
            return Then::Next;
        }
        let runs = self.earlier.still_runs(host_pid, exec);
        let (path, args) = runs.then(|| program(host_pid)).flatten().unwrap_or_default();
        let path = if path.is_empty() { name.into() } else { path };
        let record = Record {
            kind: RecordKind::Exec,
            operation: Operation::Exec,
            exec,
            flags: 0,
            path,
            args,
            ..alert.clone()
        };
        self.events.send(Event { workload: known.workload.clone(), record, rules: None })
    }
}

/// The path of a process's program, and its arguments.
fn program(host_pid: u32) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let path = fs::read_link(format!("/proc/{host_pid}/exe")).ok()?;
    let line = fs::read(format!("/proc/{host_pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let args = line.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    Some((path.as_os_str().as_bytes().to_vec(), args))
}
