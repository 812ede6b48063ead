//! Sets of bytes, and the classes of bytes that no set tells apart.

use rustc_hash::FxHashMap as HashMap;

/// A set of byte values. NUL is never a member: no path holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) fn one(byte: u8) -> Self {
        Self::range(byte, byte)
    }

    pub(crate) fn range(from: u8, to: u8) -> Self {
        let mut set = Self::default();
        for byte in from.max(1)..=to {
            set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    pub(crate) fn all() -> Self {
        Self::range(1, 255)
    }

    pub(crate) fn without(mut self, byte: u8) -> Self {
        self.0[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        self
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

/// A partition of all bytes but NUL; classes are numbered from 0.
pub(crate) struct ByteClasses {
    of: [u8; 256],
    /// One byte of each class. Every byte that is a set of its own is alone in its class.
    representatives: Vec<u8>,
}

impl ByteClasses {
    /// The coarsest partition of which every given set is a union.
    pub(crate) fn of_sets(sets: impl IntoIterator<Item = ByteSet>) -> Self {
        let mut of = [0_u8; 256];
        for set in sets {
            let mut numbers = HashMap::default();
            for byte in 1..=255_u8 {
                let part = (of[usize::from(byte)], set.contains(byte));
                let next = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
                of[usize::from(byte)] = *numbers.entry(part).or_insert(next);
            }
        }
        let count = usize::from(of[1..].iter().copied().max().unwrap_or(0)) + 1;
        let mut representatives = vec![0; count];
        for byte in (1..=255_u8).rev() {
            representatives[usize::from(of[usize::from(byte)])] = byte;
        }
        Self { of, representatives }
    }

    pub(crate) fn class_of(&self, byte: u8) -> usize {
        usize::from(self.of[usize::from(byte)])
    }

    pub(crate) fn len(&self) -> usize {
        self.representatives.len()
    }

    pub(crate) fn representatives(&self) -> &[u8] {
        &self.representatives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_as_coarse_as_the_sets_allow() {
        let classes = ByteClasses::of_sets([ByteSet::one(b'/'), ByteSet::range(b'a', b'c')]);
        assert_eq!(classes.len(), 3);
        assert_eq!(classes.class_of(b'a'), classes.class_of(b'c'));
        assert_ne!(classes.class_of(b'a'), classes.class_of(b'd'));
        assert_ne!(classes.class_of(b'/'), classes.class_of(b'd'));
        for (class, &byte) in classes.representatives().iter().enumerate() {
            assert_eq!(classes.class_of(byte), class);
        }
    }
}
