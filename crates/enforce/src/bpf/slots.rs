//! Slot numbers and their generations: a number that comes back has a higher generation, so nothing that was meant
//! for its last tenant reaches the next.

use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct SlotNumbers {
    next: u32,
    limit: u32,
    /// Oldest first, so that a number rests as long as possible.
    free: VecDeque<(u32, u32)>,
}

impl SlotNumbers {
    /// Numbers from 1 up to below `limit`.
    pub(super) fn new(limit: u32) -> Self {
        Self { next: 1, limit, free: VecDeque::new() }
    }

    /// A slot and its new generation.
    pub(super) fn take(&mut self) -> Option<(u32, u32)> {
        if self.next < self.limit {
            self.next += 1;
            return Some((self.next - 1, 1));
        }
        self.free.pop_front()
    }

    pub(super) fn give_back(&mut self, slot: u32, generation: u32) {
        // One in between belongs to nobody: it voids the labels of the time until the slot is taken again.
        self.free.push_back((slot, generation.wrapping_add(2)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_last_and_with_a_new_generation() {
        let mut numbers = SlotNumbers::new(3);
        assert_eq!((numbers.take(), numbers.take()), (Some((1, 1)), Some((2, 1))));
        assert_eq!(numbers.take(), None);
        numbers.give_back(2, 1);
        numbers.give_back(1, 1);
        assert_eq!((numbers.take(), numbers.take()), (Some((2, 3)), Some((1, 3))));
    }
}
