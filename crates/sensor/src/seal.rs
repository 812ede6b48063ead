//! [`Seal`]: what an image's words sum up to, so that it is recognised without being kept.

use std::{ops::Range, sync::Arc};

/// Words that one sum covers: few enough that a look at one costs nothing, so many that the sums of the largest image
/// take 14 KiB.
const PIECE: usize = 4096;

/// The sums of an image's pieces. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    words: usize,
    sums: Arc<[u64]>,
}

impl Seal {
    pub(crate) fn of(image: &[u32]) -> Self {
        Self { words: image.len(), sums: image.chunks(PIECE).map(sum).collect() }
    }

    /// The length of the image.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    pub(crate) fn pieces(&self) -> usize {
        self.sums.len()
    }

    /// Which words a piece has.
    pub(crate) fn piece(&self, piece: usize) -> Range<usize> {
        (piece * PIECE).min(self.words)..((piece + 1) * PIECE).min(self.words)
    }

    pub(crate) fn fits_piece(&self, piece: usize, image: &[u32]) -> bool {
        image.get(self.piece(piece)).map(sum).as_ref() == self.sums.get(piece)
    }

    /// Whether these words, all of them, are the image.
    pub(crate) fn fits(&self, image: &[u32]) -> bool {
        image.len() == self.words && image.chunks(PIECE).map(sum).eq(self.sums.iter().copied())
    }
}

/// Each step can be undone, so two pieces that differ in one word never have the same sum.
fn sum(words: &[u32]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    words.iter().fold(words.len() as u64, |sum, word| {
        (sum.rotate_left(5) ^ u64::from(*word)).wrapping_mul(FACTOR)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_breaks_the_piece_that_it_is_in() {
        let image: Vec<u32> = (0..10_000).collect();
        let seal = Seal::of(&image);
        assert!(seal.fits(&image));
        assert_eq!((seal.words(), seal.pieces(), seal.piece(2)), (10_000, 3, 8192..10_000));
        for at in [0, 4095, 4096, 9_999] {
            let mut changed = image.clone();
            changed[at] ^= 1 << 31;
            let broken = (0..3).filter(|piece| !seal.fits_piece(*piece, &changed));
            assert_eq!(broken.collect::<Vec<_>>(), [at / PIECE]);
            assert!(!seal.fits(&changed));
        }
        assert!(!seal.fits(&image[..9_999]), "a part is not the whole");
        assert!(!seal.fits_piece(2, &image[..9_000]));
    }
}
