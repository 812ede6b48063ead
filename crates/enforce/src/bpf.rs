//! The BPF-LSM backend: workloads become slots, rule sets become images, equal rule sets share one image.

mod compare;
mod demands;
mod directory;
mod forward;
mod handover;
mod images;
mod slots;
mod told;

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use ruleset::RuleSet;
use sensor::{
    Alias, Counters, Demand, Held, LoadError, Loaded, Options, PinError, Reader, Region, RingUse,
    Sensor, Tallies,
};
use wire::Visibility;

use self::{
    demands::demands,
    directory::Directory,
    forward::Forwarder,
    handover::Handover,
    images::{aliases, compiled},
    slots::SlotNumbers,
};
use crate::{
    EnforceError, Enforcer, Events, NotExpressed, Placement, Repairs, WorkloadKey, events::channel,
    losses::Losses,
};

/// How much of what is limited is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub rings: Vec<RingUse>,
    /// Memory of images.
    pub arena_bytes: u64,
    pub arena_size: u64,
    /// Distinct rule sets in force.
    pub images: usize,
    /// Workloads that have a place in the kernel.
    pub slots: usize,
    pub slots_size: usize,
    /// What records that are still on their way may mean: slots and images, present and past; bounded.
    pub remembered: usize,
}

/// Enforces by programs on the kernel's security hooks.
#[derive(Debug)]
pub struct BpfEnforcer {
    sensor: Sensor,
    numbers: SlotNumbers,
    placed: HashMap<WorkloadKey, Placed>,
    images: HashMap<Arc<RuleSet>, Image>,
    next_image: u32,
    /// Of which images nobody may use any more.
    unused: Vec<Arc<RuleSet>>,
    /// How many images ask for each.
    demanded: HashMap<Demand, usize>,
    /// How many workloads have events of each class logged.
    visible: HashMap<Visibility, usize>,
    /// Somebody has a file open that rules have denied since.
    has_old_files: bool,
    /// Open files are to be looked at again.
    unsettled: bool,
    directory: Arc<RwLock<Directory>>,
    losses: Losses,
    /// To the thread that reads the rings; `None` once it was told.
    earlier: Option<mpsc::Sender<Handover>>,
    repairs: Repairs,
}

/// What the kernel reports, before anybody reads it. It waits in the kernel, as far as there is room.
#[derive(Debug)]
pub struct Rings {
    reader: Reader,
    directory: Arc<RwLock<Directory>>,
    tallies: Tallies,
    handover: Option<mpsc::Receiver<Handover>>,
}

impl Rings {
    /// Starts the thread that reads. It ends when the events are dropped.
    pub fn read(self) -> io::Result<Events> {
        let Self { reader, directory, tallies, handover } = self;
        let (sender, events) = channel();
        let mut forwarder = Forwarder::new(directory, tallies, sender, handover);
        thread::Builder::new().name("kernel-rings".to_owned()).spawn(move || {
            let ended = reader.run(&mut forwarder);
            if let Err(error) = ended {
                tracing::error!(%error, "the kernel's rings cannot be read; alerts are lost, rules hold");
            }
        })?;
        Ok(events)
    }
}

#[derive(Debug)]
struct Placed {
    slot: u32,
    generation: u32,
    cgroups: Vec<u64>,
    rules: Option<Arc<RuleSet>>,
    /// Where the image of these rules is, and its number.
    image: Option<(Region, u32)>,
    visible: Visibility,
}

#[derive(Debug)]
struct Image {
    region: Region,
    number: u32,
    users: usize,
    demands: Vec<Demand>,
    aliases: Vec<Alias>,
}

impl BpfEnforcer {
    /// Loads the programs, and starts no thread. Nothing is governed before the first [`Enforcer::apply`]; rules of an
    /// earlier run stay in force until [`BpfEnforcer::take_over`].
    pub fn start(options: &Options) -> Result<(Self, Rings), LoadError> {
        let mut sensor = Sensor::load(options)?;
        sensor.number_calls(demands::call_numbers());
        let directory = Arc::new(RwLock::new(Directory::default()));
        let tallies = sensor.tallies();
        let losses = Losses::new(tallies.clone());
        let (earlier, handover) = mpsc::channel();
        let rings = Rings {
            reader: sensor.reader().map_err(LoadError::Rings)?,
            directory: Arc::clone(&directory),
            tallies,
            handover: options.bpffs.is_some().then_some(handover),
        };
        let enforcer = Self {
            sensor,
            numbers: SlotNumbers::new(sensor::SLOTS),
            placed: HashMap::new(),
            images: HashMap::new(),
            next_image: 1,
            unused: Vec::new(),
            demanded: HashMap::new(),
            visible: HashMap::new(),
            has_old_files: false,
            unsettled: false,
            directory,
            losses,
            earlier: Some(earlier),
            repairs: Repairs::default(),
        };
        Ok((enforcer, rings))
    }

    /// Which hooks are in force, and which this kernel refused.
    pub fn loaded(&self) -> &Loaded {
        self.sensor.loaded()
    }

    pub fn counters(&self) -> Counters {
        self.sensor.counters()
    }

    /// What the kernel holds, counted there entry by entry.
    pub fn held(&self) -> Held {
        self.sensor.held()
    }

    /// Whether the workload has executed a program by now.
    pub fn has_entered(&self, workload: &WorkloadKey) -> bool {
        self.placed.get(workload).is_some_and(|placed| self.sensor.has_entered(placed.slot))
    }

    /// How much of what is limited is in use.
    pub fn in_use(&self) -> Use {
        let remembered = self.directory.read().unwrap_or_else(PoisonError::into_inner).len();
        Use {
            rings: self.sensor.ring_use(),
            arena_bytes: u64::from(self.sensor.arena_used()) * 4,
            arena_size: u64::from(sensor::ARENA_WORDS) * 4,
            images: self.images.len(),
            slots: self.placed.len(),
            // The first is never given out.
            slots_size: sensor::SLOTS as usize - 1,
            remembered,
        }
    }

    /// What the kernel could not hand over, for whoever keeps the accounts.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Repeats of a log within this time are counted in the next one; zero: each is logged.
    pub fn merge_logs(&mut self, window: Duration) {
        self.sensor.merge_logs(window);
    }

    /// Keeps what is the agent's own from containers; returns what could not be, and why.
    pub fn protect(&mut self, own: &[PathBuf]) -> Vec<String> {
        self.sensor.protect(own).unwrap_or_else(|error| vec![error.to_string()])
    }

    /// Objects that cannot be followed to the root are permitted from here on, or denied.
    pub fn permit_unresolved(&mut self, permit: bool) {
        self.sensor.permit_unresolved(permit);
    }

    /// Attaches the programs that somebody's visibility asks for, and no others.
    fn follow_visibility(&mut self, before: Visibility, now: Visibility) {
        if before == now {
            return;
        }
        if !now.is_empty() {
            *self.visible.entry(now).or_default() += 1;
        }
        if let Some(count) = self.visible.get_mut(&before) {
            *count -= 1;
            if *count == 0 {
                self.visible.remove(&before);
            }
        }
        let wanted = self.visible.keys().fold(Visibility::empty(), |all, classes| all | *classes);
        for (object, reason) in self.sensor.observe(wanted) {
            tracing::error!("events that `{object}` sees are not logged, rules hold: {reason}");
        }
    }

    /// Ends enforcement on purpose: takes all programs and pins of this run away.
    pub fn let_go(&mut self) -> Result<(), PinError> {
        self.sensor.let_go()
    }

    /// The image of a rule set, compiled and written unless another workload uses it already.
    fn image(
        &mut self,
        workload: &WorkloadKey,
        rules: &Arc<RuleSet>,
    ) -> Result<(Region, u32), EnforceError> {
        if let Some(image) = self.images.get_mut(rules) {
            image.users += 1;
            return Ok((image.region, image.number));
        }
        let too_large =
            |reason: String| EnforceError::TooLarge { workload: workload.clone(), reason };
        let compiled = compiled(rules).map_err(|error| too_large(error.to_string()))?;
        let region = self
            .sensor
            .write_image(&compiled.words)
            .map_err(|error| too_large(error.to_string()))?;
        let number = self.next_image;
        self.next_image = self.next_image.checked_add(1).unwrap_or(1);
        let aliases = aliases(&compiled, rules);
        if let Err(error) = self.sensor.write_aliases(number, &aliases) {
            self.sensor.retire_image(region);
            return Err(too_large(format!("its hard links cannot be kept in mind: {error}")));
        }
        self.write_directory(|d| d.image_made(number, rules));
        let demands = demands(rules);
        for demand in &demands {
            *self.demanded.entry(*demand).or_default() += 1;
        }
        let image = Image { region, number, users: 1, demands, aliases };
        self.images.insert(Arc::clone(rules), image);
        Ok((region, number))
    }

    /// An image that nobody uses any more stays until the change is complete: it may have to be undone, and then there
    /// must be room.
    fn release(&mut self, rules: &Arc<RuleSet>) {
        let Some(image) = self.images.get_mut(rules) else { return };
        image.users -= 1;
        if image.users == 0 {
            self.unused.push(Arc::clone(rules));
        }
    }

    fn forget_unused(&mut self) {
        for rules in std::mem::take(&mut self.unused) {
            if self.images.get(&rules).is_some_and(|image| image.users == 0)
                && let Some(image) = self.images.remove(&rules)
            {
                self.sensor.retire_image(image.region);
                self.sensor.erase_aliases(image.number, &image.aliases);
                self.write_directory(|d| d.image_gone(image.number, Instant::now()));
                self.detach_idle(image.demands);
            }
        }
    }

    /// Attaches what the rules of some image ask for, before they count.
    fn attach_demanded(
        &mut self,
        workload: &WorkloadKey,
        rules: &RuleSet,
    ) -> Result<(), EnforceError> {
        for demand in demands(rules) {
            self.sensor.attach(demand).map_err(|source| EnforceError::Kernel {
                action: "attaching the programs of its rules",
                workload: workload.clone(),
                source: source.into(),
            })?;
        }
        Ok(())
    }

    /// Detaches what no rule asks for any more.
    fn detach_idle(&mut self, demands: Vec<Demand>) {
        for demand in demands {
            if let Some(count) = self.demanded.get_mut(&demand) {
                *count -= 1;
                if *count > 0 {
                    continue;
                }
            }
            if let Err(error) = self.sensor.detach(demand) {
                // They find no rule to act on, and go with this run of the agent.
                tracing::warn!(%error, "programs that no rule asks for stay attached");
            }
        }
    }

    /// Has every use of an open file judged while somebody has one open that rules have denied since, and not longer.
    fn follow_old_files(&mut self) -> Result<(), EnforceError> {
        let followed = self.sensor.find_old_files().and_then(|any| {
            self.has_old_files = any;
            if any {
                self.sensor.attach(Demand::OldFiles)
            } else {
                self.sensor.detach(Demand::OldFiles)
            }
        });
        followed.map_err(|source| EnforceError::OpenFiles(source.into()))
    }

    fn not_expressed(&self, rules: &RuleSet) -> Vec<NotExpressed> {
        let missing = |demand| self.sensor.missing(demand);
        demands::not_expressed(rules, missing)
    }

    fn write_directory(&self, change: impl FnOnce(&mut Directory)) {
        // A poisoned lock still guards a consistent directory: its methods do not panic halfway.
        change(&mut self.directory.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn bind(&mut self, workload: &WorkloadKey, placement: &Placement) -> Result<(), EnforceError> {
        let kernel = |action: &'static str| {
            let workload = workload.clone();
            move |source: Box<dyn std::error::Error + Send + Sync>| EnforceError::Kernel {
                action,
                workload,
                source,
            }
        };
        let Some(placed) = self.placed.get_mut(workload) else { return Ok(()) };
        match placement {
            Placement::Host => self.sensor.set_host_slot(placed.slot, placed.generation),
            Placement::Container { cgroup, .. } => {
                let legacy =
                    is_legacy(cgroup).map_err(|e| kernel("reading the control group")(e.into()))?;
                self.sensor.tell_by_legacy_groups(legacy);
                for id in
                    cgroup_ids(cgroup).map_err(|e| kernel("reading the control group")(e.into()))?
                {
                    if placed.cgroups.contains(&id) {
                        continue;
                    }
                    self.sensor
                        .bind_cgroup(id, placed.slot, placed.generation)
                        .map_err(|e| kernel("binding the control group")(e.into()))?;
                    placed.cgroups.push(id);
                }
            }
        }
        self.sensor.label_tasks().map_err(|e| kernel("labelling the tasks")(e.into()))
    }
}

impl Enforcer for BpfEnforcer {
    fn name(&self) -> &'static str {
        "BPFLSM"
    }

    fn place(&mut self, workload: &WorkloadKey, placement: &Placement) -> Result<(), EnforceError> {
        if !self.placed.contains_key(workload) {
            let (slot, generation) = self.numbers.take().ok_or_else(|| EnforceError::TooLarge {
                workload: workload.clone(),
                reason: format!("all {} slots are in use", sensor::SLOTS - 1),
            })?;
            self.sensor.begin_slot(slot, generation);
            self.write_directory(|d| d.slot_taken(slot, generation, workload));
            self.losses.taken(slot, workload);
            self.placed.insert(
                workload.clone(),
                Placed {
                    slot,
                    generation,
                    cgroups: Vec::new(),
                    rules: None,
                    image: None,
                    visible: Visibility::empty(),
                },
            );
        }
        let bound = self.bind(workload, placement);
        if bound.is_err() {
            // Half a place would hold a slot that nobody is in.
            self.remove(workload)?;
        }
        bound
    }

    fn apply(
        &mut self,
        workload: &WorkloadKey,
        rules: &Arc<RuleSet>,
    ) -> Result<Vec<NotExpressed>, EnforceError> {
        let Some(placed) = self.placed.get(workload) else {
            return Err(EnforceError::NotPlaced(workload.clone()));
        };
        if placed.rules.as_ref() == Some(rules) {
            return Ok(self.not_expressed(rules));
        }
        let slot = placed.slot;
        let image = if rules.rules.is_empty() { None } else { Some(self.image(workload, rules)?) };
        if let Err(error) = self.attach_demanded(workload, rules) {
            self.release(rules);
            return Err(error);
        }
        self.sensor.set_image(slot, image);
        let now = image.is_some().then(|| Arc::clone(rules));
        let before = self.placed.get_mut(workload).and_then(|placed| {
            placed.image = image;
            std::mem::replace(&mut placed.rules, now)
        });
        if let Some(before) = before {
            self.release(&before);
        }
        // Who opened a file before has no right to it that the new rules deny.
        self.unsettled |= self.has_old_files || demands::forbid_files(rules);
        Ok(self.not_expressed(rules))
    }

    fn settle(&mut self) -> Result<(), EnforceError> {
        self.forget_unused();
        if std::mem::take(&mut self.unsettled) {
            self.follow_old_files()?;
        }
        Ok(())
    }

    fn observe(&mut self, workload: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError> {
        let Some(placed) = self.placed.get_mut(workload) else {
            return Err(EnforceError::NotPlaced(workload.clone()));
        };
        let before = std::mem::replace(&mut placed.visible, visible);
        self.sensor.show(placed.slot, visible);
        self.follow_visibility(before, visible);
        Ok(())
    }

    fn remove(&mut self, workload: &WorkloadKey) -> Result<(), EnforceError> {
        let Some(placed) = self.placed.remove(workload) else { return Ok(()) };
        if &*workload.0 == WorkloadKey::HOST {
            self.sensor.set_host_slot(0, 0);
        }
        for id in &placed.cgroups {
            self.sensor.unbind_cgroup(*id).map_err(|source| EnforceError::Kernel {
                action: "releasing the control group",
                workload: workload.clone(),
                source: source.into(),
            })?;
        }
        // A new generation voids the labels of tasks that linger.
        self.sensor.begin_slot(placed.slot, placed.generation.wrapping_add(1));
        self.losses.left(placed.slot);
        self.numbers.give_back(placed.slot, placed.generation);
        self.write_directory(|d| d.slot_left(placed.slot, placed.generation));
        if let Some(rules) = &placed.rules {
            self.release(rules);
        }
        self.follow_visibility(placed.visible, Visibility::empty());
        self.unsettled |= self.has_old_files;
        Ok(())
    }
}

/// Whether a control group is one of version 1.
fn is_legacy(cgroup: &Path) -> io::Result<bool> {
    const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb; // linux/magic.h
    Ok(rustix::fs::statfs(cgroup)?.f_type == CGROUP_SUPER_MAGIC)
}

/// The ids of a control group and of all groups below it: the kernel numbers a group by its directory's inode.
fn cgroup_ids(cgroup: &Path) -> io::Result<Vec<u64>> {
    let mut ids = vec![fs::metadata(cgroup)?.ino()];
    let mut folders: Vec<PathBuf> = vec![cgroup.to_owned()];
    while let Some(folder) = folders.pop() {
        // A group that goes away while we look has no tasks to label.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if let Ok(data) = entry.metadata() {
                    ids.push(data.ino());
                }
                folders.push(entry.path());
            }
        }
    }
    Ok(ids)
}
