//! The loaded programs: attached, pinned, and steered through their maps.

mod compare;
mod runs;

use std::{
    io::Read as _,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use libbpf_rs::{Iter, Link, MapCore as _, MapFlags, MapHandle, btf::Btf};
use rustix::time::ClockId;
use wire::Visibility;

use self::runs::pin;
use crate::{
    aliases::{self, Alias},
    arena::{Arena, ArenaError, Region},
    demand::{Demand, OnDemand, is_on_demand, missing},
    earlier::LEFT,
    observers::{Observers, observes},
    own::{Covered, Marks, Mounts},
    pins::{PinError, PinnedRuns},
    programs::{Maps, Programs},
    rings::{Reader, RingUse},
    seal::Seal,
    settings::Wanted,
    shared::{CallNumbers, Calls, Counters, Mapping, RingPositions, SLOTS, Settings, Slot},
    tallies::{Lost, Tallies},
};

pub use self::{compare::Standing, runs::Retired};

/// Without these nothing can be enforced: whose a task is, and what it becomes.
const REQUIRED: [&str; 2] = ["exec", "identity"];
/// Not attached to hooks but run on demand.
const TASK_ITERATOR: &str = "label_tasks";
const FILE_ITERATOR: &str = "find_old";
/// What the first one is run for, as `bpf/include/state.h` numbers it.
const LOOKING_FOR_PLACES: u32 = 0;
const LOOKING_FOR_INSIDE: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refused the programs of `{group}`: {reason}")]
    Refused { group: &'static str, reason: String },
    #[error("the kernel's type information cannot be read")]
    Types(#[source] libbpf_rs::Error),
    #[error("the compiled programs lack `{0}`")]
    NoProgram(&'static str),
    #[error("the programs lack the map `{0}`")]
    NoMap(&'static str),
    #[error("mapping `{map}`")]
    Mapping {
        map: &'static str,
        #[source]
        source: rustix::io::Errno,
    },
    #[error("the host's {0} cannot be looked at")]
    Host(&'static str, #[source] rustix::io::Errno),
    #[error("the numbers of the programs' maps cannot be asked for")]
    MapIds(#[source] libbpf_rs::Error),
    #[error("the tasks that run already cannot be looked at")]
    Tasks(#[source] libbpf_rs::Error),
    #[error("the kernel's rings cannot be opened")]
    Rings(#[source] libbpf_rs::Error),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("pinning `{object}`")]
    PinObject {
        object: String,
        #[source]
        source: libbpf_rs::Error,
    },
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Where the bpf file system is mounted; `None`: no earlier run is looked for, and nothing is pinned.
    pub bpffs: Option<PathBuf>,
    /// Whether rules outlast the process.
    pub pin: bool,
}

/// What came of loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Hooks with a program attached.
    pub hooks: Vec<String>,
    /// Groups of programs that the kernel refused, with its reason.
    pub missing: Vec<(String, String)>,
}

/// What the kernel holds for the workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Control groups that belong to a slot.
    pub cgroups: usize,
    /// Objects with further hard links, of all images.
    pub aliases: usize,
    /// Files that were open before rules denied them.
    pub old_files: usize,
}

/// The loaded programs and everything that steers them.
#[derive(Debug)]
pub struct Sensor {
    arena: Arena,
    slots: Arc<Mapping>,
    settings: Arc<Mapping>,
    wanted: Wanted,
    calls: Mapping,
    numbers: CallNumbers,
    cgroups: MapHandle,
    own_places: MapHandle,
    aliases: MapHandle,
    map_ids: Vec<u32>,
    /// What the agent asked to protect, and all that the kernel knows of.
    own: Marks,
    marks: Marks,
    covered: Covered,
    alerts: MapHandle,
    programs: MapHandle,
    logs: MapHandle,
    /// Of these three, in this order; `None` where they cannot be seen.
    ring_positions: [Option<RingPositions>; 3],
    task_iterator: Link,
    /// `None`: the kernel refused it.
    file_iterator: Option<Link>,
    old_files: MapHandle,
    observers: Observers,
    // Held so that the programs stay attached where they are not pinned.
    links: Vec<(String, Link)>,
    /// What the next run may need.
    left: Vec<(&'static str, MapHandle)>,
    /// All runs, and the folder of this one if it is pinned.
    pins: Option<(PinnedRuns, Option<PathBuf>)>,
    /// When the first program was attached: `CLOCK_MONOTONIC`, nanoseconds.
    attached_at: u64,
    on_demand: OnDemand,
    in_kernel: Programs,
    loaded: Loaded,
}

impl Sensor {
    /// Loads and attaches all programs. Nothing is governed yet.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        let kernel = Btf::from_vmlinux().map_err(LoadError::Types)?;
        let mut maps = Maps::default();
        let programs = Programs::load(&kernel, &mut maps);
        let mut loaded = Loaded::default();
        for (group, reason) in programs.refused() {
            if REQUIRED.contains(&group) {
                return Err(LoadError::Refused { group, reason: chain(reason) });
            }
            loaded.missing.push((group.to_owned(), chain(reason)));
        }
        let attached_at = clock(ClockId::Monotonic);
        let mut links = Vec::new();
        for group in programs.groups().filter(|group| !is_on_demand(group) && !observes(group)) {
            match programs.attach(group) {
                Ok(attached) => links.extend(attached),
                Err(source) if REQUIRED.contains(&group) => {
                    return Err(LoadError::Refused { group, reason: chain(&source) });
                }
                Err(source) => loaded.missing.push((group.to_owned(), chain(&source))),
            }
        }
        let at = links.iter().position(|(program, _)| program == TASK_ITERATOR);
        let task_iterator = links.swap_remove(at.ok_or(LoadError::NoProgram(TASK_ITERATOR))?).1;
        let at = links.iter().position(|(program, _)| program == FILE_ITERATOR);
        let file_iterator = at.map(|at| links.swap_remove(at).1);
        loaded.hooks = links.iter().map(|(program, _)| program.clone()).collect();
        let mut left = maps.copies(&LEFT)?;
        let pins = match &options.bpffs {
            Some(bpffs) => {
                let runs = PinnedRuns::new(bpffs);
                let own = options.pin.then(|| pin(&runs, &mut links, &mut left)).transpose()?;
                Some((runs, own))
            }
            None => None,
        };
        let map_ids = maps.ids().map_err(LoadError::MapIds)?;
        let (alerts, started, logs) =
            (maps.take("alerts")?, maps.take("programs")?, maps.take("logs")?);
        let mut sensor = Self {
            ring_positions: [&alerts, &started, &logs].map(positions),
            map_ids,
            left,
            attached_at,
            wanted: Wanted::default(),
            numbers: CallNumbers::default(),
            own: Marks::default(),
            marks: Marks::default(),
            covered: Covered::default(),
            arena: Arena::new(maps.take("arena")?),
            slots: Arc::new(maps.mapping("slots", SLOTS as usize * size_of::<Slot>())?),
            settings: Arc::new(maps.mapping("settings", size_of::<Settings>())?),
            calls: maps.mapping("calls", size_of::<Calls>())?,
            own_places: maps.take("own_places")?,
            aliases: maps.take("aliases")?,
            cgroups: maps.take("cgroups")?,
            alerts,
            programs: started,
            logs,
            observers: Observers::default(),
            task_iterator,
            file_iterator,
            old_files: maps.take("old_files")?,
            links,
            pins,
            on_demand: OnDemand::default(),
            in_kernel: programs,
            loaded,
        };
        sensor.describe_host()?;
        sensor.note_who_is_inside()?;
        // The programs know the agent's process since they have seen it run the iterator.
        let settings = sensor.settings.settings();
        sensor.wanted.agent = settings.agent.load(Ordering::Acquire);
        sensor.wanted.agent_start = settings.agent_start.load(Ordering::Acquire);
        Ok(sensor)
    }

    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn describe_host(&mut self) -> Result<(), LoadError> {
        let stat = |what, path| rustix::fs::stat(path).map_err(|e| LoadError::Host(what, e));
        let root = stat("root directory", "/proc/1/root")?;
        let mounts = stat("mount namespace", "/proc/1/ns/mnt")?;
        let wanted = &mut self.wanted;
        // The kernel keeps the numbers of namespaces in 32 bits.
        wanted.host_mounts = u32::try_from(mounts.st_ino).unwrap_or(0);
        wanted.host_inode = root.st_ino;
        // The kernel keeps the major number above the lowest twenty bits.
        wanted.host_device =
            rustix::fs::major(root.st_dev) << 20 | (rustix::fs::minor(root.st_dev) & 0xf_ffff);
        wanted.five_levels = u32::from(five_level_page_tables());
        let settings = self.settings.settings();
        wanted.bring_about(settings);
        // Ids of programs go on where no earlier run can have come.
        settings.next_exec.store(clock(ClockId::Boottime), Ordering::Relaxed);
        Ok(())
    }

    /// Whoever runs in a container now is no runtime that is still preparing it. From here on the programs see it.
    fn note_who_is_inside(&self) -> Result<(), LoadError> {
        let settings = self.settings.settings();
        settings.looking.store(LOOKING_FOR_INSIDE, Ordering::Release);
        let looked = self.label_tasks().map_err(LoadError::Tasks);
        settings.looking.store(LOOKING_FOR_PLACES, Ordering::Release);
        looked
    }

    /// Keeps these files and directories from containers, and with them the agent's process, its pins, its maps and the
    /// disks below. Called again it replaces what was kept. Returns what could not be found, with the reason.
    pub fn protect(&mut self, own: &[PathBuf]) -> Result<Vec<String>, libbpf_rs::Error> {
        let mut problems = Vec::new();
        let mut marks = Marks::default();
        let mounts = Mounts::read()?;
        let pinned = self.pins.as_ref().filter(|(_, own)| own.is_some());
        let pins = pinned.map(|(runs, _)| runs.root().to_owned());
        for place in own.iter().chain(&pins) {
            if let Err(error) = marks.place(place, &mounts, &mut self.covered) {
                problems.push(format!("{}: {error}", place.display()));
            }
        }
        if let Err(error) = marks.control_groups(&mounts) {
            problems.push(format!("the agent's control groups: {error}"));
        }
        self.own = marks;
        self.renew_marks()?;
        Ok(problems)
    }

    /// Tells the kernel of what is to be protected, and of the maps and links that there are now.
    fn renew_marks(&mut self) -> Result<(), libbpf_rs::Error> {
        let mut marks = self.own.clone();
        for id in &self.map_ids {
            marks.map(*id);
        }
        for (_, link) in self.links.iter().chain(self.on_demand.links()) {
            marks.link(link.info()?.id);
        }
        marks.replace(&self.marks, &self.own_places)?;
        self.marks = marks;
        Ok(())
    }

    /// Objects that cannot be followed to the root of their file systems are permitted from here on, or denied.
    pub fn permit_unresolved(&mut self, permit: bool) {
        self.wanted.pass_unresolved = permit.into();
        self.wanted.bring_about(self.settings.settings());
    }

    /// Tells the programs how system calls are numbered on this machine. To be called before rules on them come.
    pub fn number_calls(&mut self, numbers: CallNumbers) {
        self.calls.calls().write(&numbers);
        self.numbers = numbers;
    }

    /// Why this kernel cannot serve such rules, or not whole, if so.
    pub fn missing(&self, demand: Demand) -> Option<String> {
        missing(&self.in_kernel, demand)
    }

    /// Attaches the programs that serve such rules, unless they are attached.
    pub fn attach(&mut self, demand: Demand) -> Result<(), libbpf_rs::Error> {
        let pins = self.pins.as_ref().and_then(|(_, own)| own.as_deref());
        if self.on_demand.attach(&self.in_kernel, demand, pins)? {
            self.renew_marks()?;
        }
        Ok(())
    }

    /// Detaches them, since no rule asks for them any more.
    pub fn detach(&mut self, demand: Demand) -> Result<(), libbpf_rs::Error> {
        let pins = self.pins.as_ref().and_then(|(_, own)| own.as_deref());
        if self.on_demand.detach(demand, pins)? {
            self.renew_marks()?;
        }
        Ok(())
    }

    /// Copies an image into the arena; no slot points at it yet.
    pub fn write_image(&mut self, words: &[u32]) -> Result<Region, ArenaError> {
        self.arena.write(words)
    }

    /// Tells of the objects with further hard links that an image's rules mean. All or none.
    pub fn write_aliases(&self, image: u32, known: &[Alias]) -> Result<(), libbpf_rs::Error> {
        aliases::write(&self.aliases, image, known)
    }

    /// Forgets them, once no slot points at the image.
    pub fn erase_aliases(&self, image: u32, known: &[Alias]) {
        aliases::erase(&self.aliases, image, known);
    }

    /// What tells the image in a region from any other.
    pub fn seal(&self, region: Region) -> Option<&Seal> {
        self.arena.seal(region)
    }

    /// Gives an image's room back, once no slot points at it.
    pub fn retire_image(&mut self, region: Region) {
        self.arena.retire(region);
    }

    /// From here on the slot's tasks are judged by this image; `None`: by nothing.
    pub fn set_image(&self, slot: u32, image: Option<(Region, u32)>) {
        let (base, number) = image.map_or((0, 0), |(region, number)| (region.base, number));
        self.slots.slots()[slot as usize % SLOTS as usize].point_at(base, number);
    }

    /// Begins a new life of a slot: it has no image, and labels of earlier lives are void.
    pub fn begin_slot(&self, slot: u32, generation: u32) {
        self.slots.slots()[slot as usize % SLOTS as usize].begin(generation);
    }

    /// Whether a task of the slot has executed a program by now.
    pub fn has_entered(&self, slot: u32) -> bool {
        self.slots.slots()[slot as usize % SLOTS as usize].has_entered()
    }

    /// Events of these classes are logged for the slot.
    pub fn show(&self, slot: u32, classes: Visibility) {
        self.slots.slots()[slot as usize % SLOTS as usize].show(u16::from(classes.bits()));
    }

    /// Attaches the programs that see these classes of events, and no others. Returns the objects that could not be,
    /// with the reason.
    pub fn observe(&mut self, classes: Visibility) -> Vec<(&'static str, String)> {
        self.observers.attach(&self.in_kernel, classes)
    }

    /// The programs that look and are attached now.
    pub fn observing(&self) -> impl Iterator<Item = &str> {
        self.observers.attached()
    }

    /// Repeats of a log within this time are counted in the next one; zero: each is logged.
    pub fn merge_logs(&mut self, window: Duration) {
        self.wanted.merge_window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        self.wanted.bring_about(self.settings.settings());
    }

    /// From now on containers are told by the `devices` hierarchy of control groups v1, or by v2. Ids that are bound are
    /// those of that hierarchy.
    pub fn tell_by_legacy_groups(&self, legacy: bool) {
        self.settings.settings().legacy_groups.store(legacy.into(), Ordering::Release);
    }

    /// Tasks that execute something in this control group, by its id, belong to the slot.
    pub fn bind_cgroup(&self, id: u64, slot: u32, generation: u32) -> Result<(), libbpf_rs::Error> {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&slot.to_ne_bytes());
        value[4..].copy_from_slice(&generation.to_ne_bytes());
        self.cgroups.update(&id.to_ne_bytes(), &value, MapFlags::ANY)
    }

    pub fn unbind_cgroup(&self, id: u64) -> Result<(), libbpf_rs::Error> {
        match self.cgroups.delete(&id.to_ne_bytes()) {
            Err(error) if error.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The slot of tasks that belong to no container; 0: they are not governed.
    pub fn set_host_slot(&mut self, slot: u32, generation: u32) {
        (self.wanted.host_slot, self.wanted.host_generation) = (slot, generation);
        self.wanted.bring_about(self.settings.settings());
    }

    /// Labels the tasks that run already, by the places that have been told.
    pub fn label_tasks(&self) -> Result<(), libbpf_rs::Error> {
        walk_twice(&self.task_iterator)
    }

    /// Looks for files that governed tasks have opened and some rule of theirs denies by now; whether there are any.
    /// [`Demand::OldFiles`] is what refuses their use. Files that an earlier look found and this one did not are
    /// forgotten.
    pub fn find_old_files(&self) -> Result<bool, libbpf_rs::Error> {
        let Some(iterator) = &self.file_iterator else { return Ok(false) };
        let settings = self.settings.settings();
        let look = settings.look.load(Ordering::Relaxed).wrapping_add(1).max(1);
        settings.look.store(look, Ordering::Release);
        walk_twice(iterator)?;
        let mut any = settings.old_beyond.load(Ordering::Acquire) == look;
        for file in self.old_files.keys() {
            let found = self.old_files.lookup(&file, MapFlags::ANY)?;
            if found.as_deref() == Some(&look.to_ne_bytes()[..]) {
                any = true;
            } else {
                self.old_files.delete(&file)?;
            }
        }
        Ok(any)
    }

    pub fn reader(&self) -> Result<Reader, libbpf_rs::Error> {
        Ok(Reader {
            programs: MapHandle::try_from(&self.programs)?,
            alerts: MapHandle::try_from(&self.alerts)?,
            logs: MapHandle::try_from(&self.logs)?,
        })
    }

    /// How full the rings are.
    pub fn ring_use(&self) -> Vec<RingUse> {
        let size = |ring: &MapHandle| u64::from(ring.max_entries());
        let rings = [("alerts", &self.alerts), ("programs", &self.programs), ("logs", &self.logs)];
        rings
            .into_iter()
            .zip(&self.ring_positions)
            .filter_map(|((name, ring), at)| {
                Some(RingUse { name, waiting: at.as_ref()?.waiting(), size: size(ring) })
            })
            .collect()
    }

    /// Words of the arena that images take, those included that programs may still be reading.
    pub fn arena_used(&self) -> u32 {
        self.arena.used()
    }

    /// What the programs have counted, of all workloads together.
    pub fn counters(&self) -> Counters {
        let Lost { alerts, logs } = self.tallies().lost_in_all();
        let counters = self.settings.settings().counters();
        Counters { lost_alerts: alerts, lost_logs: logs, ..counters }
    }

    /// How much the kernel holds for us, counted there.
    pub fn held(&self) -> Held {
        let count = |map: &MapHandle| map.keys().count();
        Held {
            cgroups: count(&self.cgroups),
            aliases: count(&self.aliases),
            old_files: count(&self.old_files),
        }
    }

    pub fn tallies(&self) -> Tallies {
        Tallies::new(&self.slots, &self.settings)
    }

    /// Leaves a note for the next run: so many of the alerts that found the ring full are in somebody's accounts.
    pub fn note_accounted(&mut self, lost_alerts: u64) {
        // Without it the next run counts them once more, which is too many and not too few.
        let _ = self.arena.note_accounted(lost_alerts);
    }

    /// When the first program was attached: `CLOCK_MONOTONIC`, nanoseconds. Nothing that happened before was reported.
    pub fn attached_at(&self) -> u64 {
        self.attached_at
    }
}

/// Nothing is enforced by them: without them metrics tell less.
fn positions(ring: &MapHandle) -> Option<RingPositions> {
    RingPositions::new(ring)
        .inspect_err(
            |error| tracing::warn!(%error, "how full the kernel's rings are cannot be seen"),
        )
        .ok()
}

/// Goes over all tasks twice, so that a child is found which was being forked the first time.
fn walk_twice(iterator: &Link) -> Result<(), libbpf_rs::Error> {
    for _ in 0..2 {
        let mut nothing = Vec::new();
        Iter::new(iterator)?.read_to_end(&mut nothing).map_err(libbpf_rs::Error::from)?;
    }
    Ok(())
}

/// Nanoseconds.
fn clock(id: ClockId) -> u64 {
    let now = rustix::time::clock_gettime(id);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default()
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// The processor flag is gone where the kernel does not use it.
fn five_level_page_tables() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| {
        info.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_whitespace().any(|flag| flag == "la57"))
    })
}
