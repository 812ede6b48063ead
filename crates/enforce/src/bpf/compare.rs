//! What is in the kernel, compared with what should be there.

use sensor::{Repair, RepairKind, Standing};

use super::{BpfEnforcer, Placed, images::compiled};
use crate::Repairs;

impl BpfEnforcer {
    /// Compares what is in the kernel with what should be there, and puts it right. Of images some more words are looked
    /// at each time.
    pub fn compare(&mut self) -> Vec<Repair> {
        self.sensor.note_accounted(self.losses.taken_alerts());
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
}
