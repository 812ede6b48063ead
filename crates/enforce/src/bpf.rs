//! The BPF-LSM backend: workloads become slots, rule sets become images, equal rule sets share one image.

mod demands;
mod directory;
mod forward;
mod handover;
mod slots;
mod told;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, RwLock, mpsc},
    thread,
    time::Duration,
};

use ruleset::{HardLinked, RuleSet};
use sensor::{
    ALIAS_ROWS, Alias, Counters, Demand, LoadError, Loaded, Options, PinError, Region, Repair,
    RepairKind, Sensor, Standing,
};
use wire::Visibility;

use self::{
    demands::demands,
    directory::Directory,
    forward::Forwarder,
    handover::{Handover, Known},
    slots::SlotNumbers,
};
use crate::{
    EnforceError, Enforcer, Events, NotExpressed, Placement, Repairs, WorkloadKey, events::channel,
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
    /// To the thread that reads the rings; `None` once it was told.
    earlier: Option<mpsc::Sender<Handover>>,
    repairs: Repairs,
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
    /// Loads the programs. Nothing is governed before the first [`Enforcer::apply`]; rules of an earlier run stay in
    /// force until [`BpfEnforcer::take_over`].
    pub fn start(options: &Options) -> Result<(Self, Events), LoadError> {
        let mut sensor = Sensor::load(options)?;
        sensor.number_calls(demands::call_numbers());
        let directory = Arc::new(RwLock::new(Directory::default()));
        let (sender, events) = channel();
        let reader = sensor.reader().map_err(LoadError::Rings)?;
        let (earlier, handover) = mpsc::channel();
        let handover = options.bpffs.is_some().then_some(handover);
        let mut forwarder = Forwarder::new(Arc::clone(&directory), sender, handover);
        thread::Builder::new()
            .name("kernel-rings".to_owned())
            .spawn(move || {
                let ended = reader.run(&mut forwarder);
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
            earlier: Some(earlier),
            repairs: Repairs::default(),
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
    fn follow_visibility(&mut self) {
        let wanted = self.placed.values().fold(Visibility::empty(), |all, p| all | p.visible);
        for (object, reason) in self.sensor.observe(wanted) {
            tracing::error!("events that `{object}` sees are not logged, rules hold: {reason}");
        }
    }

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

    /// Ends enforcement on purpose: takes all programs and pins of this run away.
    pub fn let_go(&mut self) -> Result<(), PinError> {
        self.sensor.let_go()
    }

    /// Compares what is in the kernel with what should be there, and puts it right. Of images some more words are looked
    /// at each time.
    pub fn compare(&mut self) -> Vec<Repair> {
        let mut repairs = self.sensor.compare();
        let standing = |placed: &Placed| Standing {
            generation: placed.generation,
            image: placed.image,
            visible: placed.visible,
        };
        let named = self.placed.values().map(|placed| (placed.slot, standing(placed))).collect();
        repairs.extend(self.sensor.compare_slots(&named));
        let life = |placed: &Placed| (placed.slot, placed.generation);
        let cgroups = self
            .placed
            .values()
            .flat_map(|placed| placed.cgroups.iter().map(|id| (*id, life(placed))));
        repairs.extend(self.sensor.compare_cgroups(&cgroups.collect()));
        for image in self.images.values() {
            repairs.extend(self.sensor.compare_aliases(image.number, &image.aliases));
        }
        for base in self.sensor.compare_images() {
            repairs.push(self.mend(base));
        }
        self.repairs.count(&repairs);
        repairs
    }

    fn mend(&mut self, base: u32) -> Repair {
        let damaged = self.images.iter().find(|(_, image)| image.region.base == base);
        let Some((rules, image)) = damaged else {
            let unknown = Err("nobody knows its rules");
            return Repair::tried(RepairKind::Image, format!("the image at {base}"), unknown);
        };
        let what = format!("image {} was changed", image.number);
        let mended = match compiled(rules) {
            Ok(image) if self.sensor.mend_image(base, &image.words) => Ok(()),
            Ok(_) => Err("its rules make another image now".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Repair::tried(RepairKind::Image, what, mended)
    }

    /// What was repaired since the start.
    pub fn repairs(&self) -> &Repairs {
        &self.repairs
    }

    /// Notes for the next run that so many of the alerts which found the ring full are in the accounts.
    pub fn note_accounted(&mut self, lost_alerts: u64) {
        self.sensor.note_accounted(lost_alerts);
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
        change(&mut self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner));
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

/// The image of a rule set as it is written, with the names of its rules behind it.
fn compiled(rules: &RuleSet) -> Result<compile::Image, compile::CompileError> {
    let mut image = compile::compile(rules)?;
    image.words.extend(names_of(rules));
    Ok(image)
}

/// Two words behind an image, which no program looks at: what its rules are called and say. To the next run rules of
/// other names are other rules, though they decide alike.
fn names_of(rules: &RuleSet) -> [u32; 2] {
    // FNV-1a, which is the same in all versions of the agent.
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for rule in &rules.rules {
        for byte in format!("{:?}", rule.origin).bytes() {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    [half(sum), half(sum >> 32)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_other_names_are_other_images_though_they_decide_alike() {
        let rules = |policy: &str| {
            let text = format!(
                "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {{name: {policy}}}\n\
                 spec: {{selector: {{}}, file: {{matchPaths: [{{path: /a}}]}}, action: Block}}\n"
            );
            let parsed = policy::parse(&text, "test");
            let workload = ruleset::Workload {
                kind: ruleset::WorkloadKind::Container,
                name: "web".into(),
                namespace: "default".into(),
                labels: BTreeMap::new(),
            };
            let links = ruleset::Links::default();
            ruleset::build(&parsed.policies, &workload, ruleset::Postures::default(), &links)
        };
        let image = |policy: &str| compiled(&rules(policy)).unwrap().words;
        assert!(!rules("a").rules.is_empty());
        assert_eq!(image("a"), image("a"));
        assert_ne!(image("a"), image("b"));
        assert_eq!(image("a").len(), image("b").len());
    }
}
