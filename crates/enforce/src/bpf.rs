//! The BPF-LSM backend: workloads become slots, rule sets become images, equal rule sets share one image.

mod demands;
mod directory;
mod slots;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use ruleset::{HardLinked, RuleSet};
use sensor::{
    ALIAS_ROWS, Alias, Counters, Demand, LoadError, Loaded, Options, PinError, Region, Ring,
    Sensor, Then,
};
use wire::{RecordKind, Visibility};

use self::{demands::demands, directory::Directory, slots::SlotNumbers};
use crate::{
    EnforceError, Enforcer, Event, Events, NotExpressed, Placement, Usage, WorkloadKey,
    events::{Sender, channel},
};

/// Enforces by programs on the kernel's security hooks.
#[derive(Debug)]
pub struct BpfEnforcer {
    sensor: Sensor,
    numbers: SlotNumbers,
    placed: HashMap<WorkloadKey, Placed>,
    images: HashMap<Arc<RuleSet>, Image>,
    next_image: u32,
    /// Somebody has a file open that rules have denied since.
    has_old_files: bool,
    directory: Arc<RwLock<Directory>>,
}

#[derive(Debug)]
struct Placed {
    slot: u32,
    generation: u32,
    cgroups: Vec<u64>,
    rules: Option<Arc<RuleSet>>,
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
    /// Loads the programs. Nothing is governed before the first [`Enforcer::apply`]; rules of an earlier run stay in
    /// force until [`BpfEnforcer::take_over`].
    pub fn start(options: &Options) -> Result<(Self, Events), LoadError> {
        let sensor = Sensor::load(options)?;
        sensor.number_calls(&demands::call_numbers());
        let directory = Arc::new(RwLock::new(Directory::default()));
        let (sender, events) = channel();
        let reader = sensor.reader().map_err(LoadError::Rings)?;
        let known = Arc::clone(&directory);
        thread::Builder::new()
            .name("kernel-rings".to_owned())
            .spawn(move || {
                let ended = reader.run(|ring, bytes| forward(&known, &sender, ring, bytes));
                if let Err(error) = ended {
                    tracing::error!(%error, "the kernel's rings cannot be read; alerts are lost, rules hold");
                }
            })
            .map_err(LoadError::Thread)?;
        let enforcer = Self {
            sensor,
            numbers: SlotNumbers::new(sensor::SLOTS),
            placed: HashMap::new(),
            images: HashMap::new(),
            next_image: 1,
            has_old_files: false,
            directory,
        };
        Ok((enforcer, events))
    }

    /// Which hooks are in force, and which this kernel refused.
    pub fn loaded(&self) -> &Loaded {
        self.sensor.loaded()
    }

    pub fn counters(&self) -> Counters {
        self.sensor.counters()
    }

    /// Whether the workload has executed a program by now.
    pub fn has_entered(&self, workload: &WorkloadKey) -> bool {
        self.placed.get(workload).is_some_and(|placed| self.sensor.has_entered(placed.slot))
    }

    /// How much is held for the workloads at the moment.
    pub fn usage(&self) -> Usage {
        let remembered = self.directory.read().unwrap_or_else(PoisonError::into_inner).len();
        Usage {
            slots: self.placed.len(),
            images: self.images.len(),
            remembered,
            kernel: self.sensor.held(),
        }
    }

    /// Repeats of a log within this time are counted in the next one; zero: each is logged.
    pub fn merge_logs(&self, window: Duration) {
        self.sensor.merge_logs(window);
    }

    /// Keeps what is the agent's own from containers; returns what could not be, and why.
    pub fn protect(&mut self, own: &[PathBuf]) -> Vec<String> {
        self.sensor.protect(own).unwrap_or_else(|error| vec![error.to_string()])
    }

    /// Objects that cannot be followed to the root are permitted from here on, or denied.
    pub fn permit_unresolved(&self, permit: bool) {
        self.sensor.permit_unresolved(permit);
    }

    /// Attaches the programs that somebody's visibility asks for, and no others.
    fn follow_visibility(&mut self) {
        let wanted = self.placed.values().fold(Visibility::empty(), |all, p| all | p.visible);
        for (object, reason) in self.sensor.observe(wanted) {
            tracing::error!("events that `{object}` sees are not logged, rules hold: {reason}");
        }
    }

    /// Removes what an earlier run of the agent left in the kernel. To be called when all known workloads have their
    /// rules again.
    pub fn take_over(&self) -> Result<(), PinError> {
        self.sensor.retire_earlier_runs()
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
        let compiled = compile::compile(rules).map_err(|error| too_large(error.to_string()))?;
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
        let image = Image { region, number, users: 1, demands, aliases };
        self.images.insert(Arc::clone(rules), image);
        Ok((region, number))
    }

    fn release(&mut self, rules: &Arc<RuleSet>) {
        let Some(image) = self.images.get_mut(rules) else { return };
        image.users -= 1;
        if image.users == 0
            && let Some(image) = self.images.remove(rules)
        {
            self.sensor.retire_image(image.region);
            self.sensor.erase_aliases(image.number, &image.aliases);
            self.write_directory(|d| d.image_gone(image.number));
            self.detach_idle(image.demands);
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
            if self.images.values().any(|image| image.demands.contains(&demand)) {
                continue;
            }
            if let Err(error) = self.sensor.detach(demand) {
                // They find no rule to act on, and go with this run of the agent.
                tracing::warn!(%error, "programs that no rule asks for stay attached");
            }
        }
    }

    /// Has every use of an open file judged while somebody has one open that rules have denied since, and not longer.
    fn follow_old_files(&mut self, workload: &WorkloadKey) -> Result<(), EnforceError> {
        let followed = self.sensor.find_old_files().and_then(|any| {
            self.has_old_files = any;
            if any {
                self.sensor.attach(Demand::OldFiles)
            } else {
                self.sensor.detach(Demand::OldFiles)
            }
        });
        followed.map_err(|source| EnforceError::Kernel {
            action: "refusing the files that are open already",
            workload: workload.clone(),
            source: source.into(),
        })
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
            self.placed.insert(
                workload.clone(),
                Placed {
                    slot,
                    generation,
                    cgroups: Vec::new(),
                    rules: None,
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
        let before =
            self.placed.get_mut(workload).and_then(|p| std::mem::replace(&mut p.rules, now));
        if let Some(before) = before {
            self.release(&before);
        }
        // Who opened a file before has no right to it that the new rules deny.
        if self.has_old_files || demands::forbid_files(rules) {
            self.follow_old_files(workload)?;
        }
        Ok(self.not_expressed(rules))
    }

    fn observe(&mut self, workload: &WorkloadKey, visible: Visibility) -> Result<(), EnforceError> {
        let Some(placed) = self.placed.get_mut(workload) else {
            return Err(EnforceError::NotPlaced(workload.clone()));
        };
        placed.visible = visible;
        self.sensor.show(placed.slot, visible);
        self.follow_visibility();
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
        self.numbers.give_back(placed.slot, placed.generation);
        self.write_directory(|d| d.slot_left(placed.slot, placed.generation));
        if let Some(rules) = &placed.rules {
            self.release(rules);
        }
        if self.has_old_files {
            self.follow_old_files(workload)?;
        }
        self.follow_visibility();
        Ok(())
    }
}

/// The objects that rules mean by the names of the image and that have further hard links.
fn aliases(image: &compile::Image, rules: &RuleSet) -> Vec<Alias> {
    let mut known: BTreeMap<(u32, u64), Alias> = BTreeMap::new();
    for linked in &rules.hard_linked {
        let HardLinked { device, inode, path } = linked;
        let unknown = Alias { device: *device, inode: *inode, rows: [0; ALIAS_ROWS] };
        let alias = known.entry((*device, *inode)).or_insert(unknown);
        let row = image.row(path);
        if let Some(kept) = alias.rows.iter_mut().find(|kept| **kept == 0 || **kept == row) {
            *kept = row;
        } else {
            tracing::warn!(path, "rules mean more names of this file than are compared");
        }
    }
    known.into_values().collect()
}

/// The ids of a control group and of all groups below it: the kernel numbers a v2 group by its directory's inode.
fn cgroup_ids(cgroup: &Path) -> std::io::Result<Vec<u64>> {
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

fn forward(directory: &RwLock<Directory>, events: &Sender, ring: Ring, bytes: &[u8]) -> Then {
    if ring == Ring::Logs && !events.has_room_for_log() {
        return Then::Later;
    }
    let record = match wire::Record::decode(bytes) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(%error, ?ring, "a record of the kernel could not be read");
            return Then::Next;
        }
    };
    let (workload, rules) = {
        let directory = directory.read().unwrap_or_else(PoisonError::into_inner);
        (directory.workload(record.slot, record.generation), directory.rules(record.image))
    };
    let Some(workload) = workload else {
        tracing::warn!(slot = record.slot, "a record of a workload that is long gone");
        return Then::Next;
    };
    let rules = if record.kind == RecordKind::Alert { rules } else { None };
    events.send(Event { workload, record, rules })
}
