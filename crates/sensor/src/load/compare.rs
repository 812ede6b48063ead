//! Compares what is in the kernel with what should be there, and puts it right.

use std::{collections::HashMap, path::Path};

use libbpf_rs::{MapCore as _, MapFlags};
use wire::Visibility;

use super::{Sensor, runs::pin_of_map};
use crate::{
    aliases::{self, Alias},
    arena::Region,
    earlier::Life,
    pins::{holds_link, holds_map, pin_again},
    repair::{Repair, RepairKind},
    shared::SLOTS,
};

/// Words of images that are looked at in one comparison: a millisecond at most.
const WORDS: usize = 1 << 18;

/// How a slot that somebody has should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub generation: u32,
    pub image: Option<(Region, u32)>,
    pub visible: Visibility,
}

impl Sensor {
    /// Compares links and pins, the agent's own marks and the settings.
    pub fn compare(&mut self) -> Vec<Repair> {
        let mut repairs = Vec::new();
        for (program, outcome) in self.on_demand.attach_again(&self.in_kernel) {
            let what = format!("the program `{program}` was detached");
            repairs.push(Repair::tried(RepairKind::Link, what, outcome));
        }
        self.compare_pins(&mut repairs);
        if !repairs.is_empty() {
            // Other links and directories have other numbers.
            let _ = self.renew_marks();
        }
        match self.marks.bring_about(&self.own_places) {
            Ok(0) => {}
            Ok(count) => repairs.push(Repair::done(
                RepairKind::Mark,
                format!("{count} marks of what is the agent's own were changed"),
            )),
            Err(error) => repairs.push(Repair::tried(
                RepairKind::Mark,
                "the marks of what is the agent's own",
                Err(error),
            )),
        }
        for setting in self.wanted.bring_about(self.settings.settings()) {
            let what = format!("the setting `{setting}` was changed");
            repairs.push(Repair::done(RepairKind::Setting, what));
        }
        if !self.calls.calls().are(&self.numbers) {
            self.calls.calls().write(&self.numbers);
            let what = "the numbers of system calls were changed";
            repairs.push(Repair::done(RepairKind::Setting, what));
        }
        repairs
    }

    fn compare_pins(&self, repairs: &mut Vec<Repair>) {
        let Some((_, Some(own))) = &self.pins else { return };
        for (program, link) in self.links.iter().chain(self.on_demand.links()) {
            let pin = own.join(program);
            if holds_link(&pin, link).is_ok_and(|holds| !holds) {
                repairs.push(pinned_again(&pin, link));
            }
        }
        for (name, map) in &self.left {
            let pin = pin_of_map(own, name);
            if holds_map(&pin, map).is_ok_and(|holds| !holds) {
                repairs.push(pinned_again(&pin, map));
            }
        }
    }

    /// Compares all slots. Those that are not named belong to nobody.
    pub fn compare_slots(&self, named: &HashMap<u32, Standing>) -> Vec<Repair> {
        let mut repairs = Vec::new();
        for (number, slot) in (0..SLOTS).zip(self.slots.slots()) {
            let Some(standing) = named.get(&number) else {
                if slot.image() != (0, 0) {
                    slot.point_at(0, 0);
                    let what = format!("slot {number} had rules though it belongs to nobody");
                    repairs.push(Repair::done(RepairKind::Slot, what));
                }
                continue;
            };
            let image = standing.image.map_or((0, 0), |(region, number)| (region.base, number));
            let visible = u16::from(standing.visible.bits());
            let is = (slot.generation(), slot.image(), slot.visible());
            if is != (standing.generation, image, visible) {
                slot.set_generation(standing.generation);
                slot.point_at(image.0, image.1);
                slot.show(visible);
                let what = format!("slot {number} did not have the rules of its workload");
                repairs.push(Repair::done(RepairKind::Slot, what));
            }
        }
        repairs
    }

    /// Compares which control group belongs to whom.
    pub fn compare_cgroups(&self, wanted: &HashMap<u64, Life>) -> Vec<Repair> {
        let mut repairs = Vec::new();
        for key in self.cgroups.keys() {
            let Ok(id) = <[u8; 8]>::try_from(&*key).map(u64::from_ne_bytes) else { continue };
            if !wanted.contains_key(&id) {
                let what = format!("control group {id} belonged to a workload that is not there");
                let outcome = self.unbind_cgroup(id);
                repairs.push(Repair::tried(RepairKind::ControlGroup, what, outcome));
            }
        }
        for (&id, &(slot, generation)) in wanted {
            let is = self.cgroups.lookup(&id.to_ne_bytes(), MapFlags::ANY);
            let place = [slot.to_ne_bytes(), generation.to_ne_bytes()].concat();
            if is.is_ok_and(|is| is.as_ref() != Some(&place)) {
                let what = format!("control group {id} did not belong to its workload");
                let outcome = self.bind_cgroup(id, slot, generation);
                repairs.push(Repair::tried(RepairKind::ControlGroup, what, outcome));
            }
        }
        if !repairs.is_empty()
            && let Err(error) = self.label_tasks()
        {
            let what = "the tasks of these control groups";
            repairs.push(Repair::tried(RepairKind::ControlGroup, what, Err(error)));
        }
        repairs
    }

    /// Compares what the programs know of an image's aliases.
    pub fn compare_aliases(&self, image: u32, known: &[Alias]) -> Option<Repair> {
        if aliases::are(&self.aliases, image, known) {
            return None;
        }
        let what = format!("image {image} had lost further names of files");
        Some(Repair::tried(RepairKind::Alias, what, self.write_aliases(image, known)))
    }

    /// Compares some more words of the images with those that were written. Returns the bases of images that differ,
    /// which [`Sensor::mend_image`] puts right.
    pub fn compare_images(&mut self) -> Vec<u32> {
        self.arena.compare(WORDS)
    }

    /// Writes an image again where it was damaged. False, and nothing is written, if these are not the words that were
    /// there.
    pub fn mend_image(&mut self, base: u32, words: &[u32]) -> bool {
        self.arena.mend(base, words)
    }
}

fn pinned_again(pin: &Path, object: &impl std::os::fd::AsFd) -> Repair {
    let what = format!("the pin {} was gone", pin.display());
    Repair::tried(RepairKind::Pin, what, pin_again(object, pin))
}
