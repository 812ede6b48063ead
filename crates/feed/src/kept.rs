//! What was published last, for clients that come back: numbered, and bounded in number and size.

use std::{collections::VecDeque, sync::Arc};

/// What is kept of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub items: usize,
    /// Of items as they are sent.
    pub bytes: usize,
}

impl Keep {
    pub(crate) const NOTHING: Self = Self { items: 0, bytes: 0 };
}

#[derive(Debug)]
pub(crate) struct Kept<T> {
    limit: Keep,
    /// The oldest first, with the size of each.
    items: VecDeque<(Arc<T>, usize)>,
    bytes: usize,
    /// Of the item that was published last; the first has 1.
    last: u64,
}

/// An item and its number.
pub(crate) type Numbered<T> = (u64, Arc<T>);

impl<T> Kept<T> {
    pub(crate) fn new(limit: Keep) -> Self {
        Self { limit, items: VecDeque::new(), bytes: 0, last: 0 }
    }

    /// Numbers an item, and keeps it in place of the oldest ones.
    pub(crate) fn push(&mut self, item: &Arc<T>, bytes: impl FnOnce(&T) -> usize) -> u64 {
        self.last += 1;
        if self.limit != Keep::NOTHING {
            let bytes = bytes(item);
            self.bytes += bytes;
            self.items.push_back((Arc::clone(item), bytes));
            while self.items.len() > self.limit.items || self.bytes > self.limit.bytes {
                let Some((_, bytes)) = self.items.pop_front() else { break };
                self.bytes -= bytes;
            }
        }
        self.last
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// What came after `seen`, as far as it is still there, and the number of items that are not.
    pub(crate) fn after(&self, seen: u64) -> (VecDeque<Numbered<T>>, u64) {
        let first = self.last + 1 - self.items.len() as u64;
        let numbered = (first..).zip(self.items.iter().map(|(item, _)| Arc::clone(item)));
        let missed = first.saturating_sub(seen.saturating_add(1));
        (numbered.filter(|&(number, _)| number > seen).collect(), missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(items: usize, bytes: usize, published: u64) -> Kept<u64> {
        let mut kept = Kept::new(Keep { items, bytes });
        for number in 1..=published {
            assert_eq!(kept.push(&Arc::new(number), |_| 10), number);
        }
        kept
    }

    fn after(kept: &Kept<u64>, seen: u64) -> (Vec<u64>, u64) {
        let (items, missed) = kept.after(seen);
        assert!(items.iter().all(|(number, item)| *number == **item), "numbers go with items");
        (items.into_iter().map(|(number, _)| number).collect(), missed)
    }

    #[test]
    fn what_was_not_seen_is_there_or_counted() {
        let kept = kept(3, 1000, 7);
        assert_eq!(after(&kept, 7), (vec![], 0));
        assert_eq!(after(&kept, 6), (vec![7], 0));
        assert_eq!(after(&kept, 4), (vec![5, 6, 7], 0));
        assert_eq!(after(&kept, 2), (vec![5, 6, 7], 2));
        assert_eq!(after(&kept, 0), (vec![5, 6, 7], 4));
        assert_eq!(after(&kept, u64::MAX), (vec![], 0), "no such item yet");
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        assert_eq!(after(&kept(100, 25, 7), 0), (vec![6, 7], 5));
        assert_eq!(after(&kept(100, 5, 7), 5), (vec![], 2), "none fits");
    }

    #[test]
    fn without_keeping_everything_is_counted_as_missed() {
        let mut kept = Kept::new(Keep::NOTHING);
        kept.push(&Arc::new(1), |_| 1);
        assert_eq!(kept.after(0).1, 1);
    }
}
