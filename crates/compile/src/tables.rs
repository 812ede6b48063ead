//! Where rules name all that they mean letter by letter, a table of names stands for the rows of all their bytes: what
//! most directories come to.

use rustc_hash::FxHashMap as HashMap;

use crate::{
    bytes::ByteClasses,
    layout::NAME_PIECE,
    minimize::Minimal,
    name_hash::{self, MOST_NAMES, Perfect},
};

/// The names that may begin at a row, and what is behind them.
#[derive(Debug)]
pub(crate) struct Table {
    /// The row behind every other name; itself behind whatever else is read of that.
    pub(crate) default: u32,
    /// Pieces of names, and the rows behind them.
    pub(crate) names: Vec<(Vec<u8>, u32)>,
    pub(crate) perfect: Perfect,
}

/// The tables of a minimal automaton, each found when it is asked for.
pub(crate) struct Tables<'a> {
    minimal: &'a Minimal,
    /// Of each row.
    futures: &'a [u32],
    columns: usize,
    slash: usize,
    /// The byte of each class that has no other.
    single: Vec<Option<u8>>,
    /// `None`: it cannot be one.
    known: HashMap<u32, Option<Table>>,
    /// Steps that may still be looked at. Names that many directories have in common are rows once, but would be in
    /// each directory's table.
    steps: usize,
}

impl<'a> Tables<'a> {
    pub(crate) fn of(minimal: &'a Minimal, classes: &ByteClasses, futures: &'a [u32]) -> Self {
        let mut counts = vec![0; classes.len()];
        for byte in 1..=255 {
            counts[classes.class_of(byte)] += 1;
        }
        let representatives = classes.representatives().iter();
        let single = representatives.zip(counts).map(|(&byte, count)| (count == 1).then_some(byte));
        Self {
            minimal,
            futures,
            columns: classes.len(),
            slash: classes.class_of(b'/'),
            single: single.collect(),
            known: HashMap::default(),
            steps: 4 * minimal.outputs.len() + 4096,
        }
    }

    pub(crate) fn get(&self, row: u32) -> Option<&Table> {
        self.known.get(&row)?.as_ref()
    }

    /// Whether names that begin at this row can be looked up in a table, which [`Tables::get`] has from then on.
    pub(crate) fn has(&mut self, row: u32) -> bool {
        if let Some(known) = self.known.get(&row) {
            return known.is_some();
        }
        // A name that comes back to where it began is none.
        self.known.insert(row, None);
        let table = self.find(row);
        let found = table.is_some();
        self.known.insert(row, table);
        found
    }

    fn find(&mut self, row: u32) -> Option<Table> {
        let default = self.usual(row);
        if self.within_name(default).any(|(_, next)| next != default) {
            return None;
        }
        let mut names = vec![];
        let mut open = vec![(row, vec![])];
        while let Some((from, text)) = open.pop() {
            let ways: Vec<_> = self.within_name(from).filter(|&(_, to)| to != default).collect();
            for (class, to) in ways {
                self.steps = self.steps.checked_sub(1)?;
                let mut text: Vec<u8> = text.clone();
                text.push(self.single[class]?);
                if text.len() == NAME_PIECE {
                    if !self.has(to) {
                        return None;
                    }
                    names.push((text, to));
                    continue;
                }
                if !self.are_alike(to, default) {
                    names.push((text.clone(), to));
                }
                open.push((to, text));
            }
        }
        if names.len() > MOST_NAMES {
            return None;
        }
        let hashes: Vec<u64> =
            names.iter().map(|(text, _)| name_hash::hash(&name_hash::words(text))).collect();
        Some(Table { default, names, perfect: Perfect::of(&hashes)? })
    }

    /// What most bytes lead to.
    fn usual(&self, row: u32) -> u32 {
        let mut counts: HashMap<u32, u32> = HashMap::default();
        for (_, next) in self.within_name(row) {
            *counts.entry(next).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|&(next, count)| (count, next));
        most.map_or(row, |(next, _)| next)
    }

    /// Classes and successors but for the slash.
    fn within_name(&self, row: u32) -> impl Iterator<Item = (usize, u32)> + use<'a> {
        let slash = self.slash;
        let successors = &self.minimal.successors[row as usize * self.columns..][..self.columns];
        successors.iter().copied().enumerate().filter(move |&(class, _)| class != slash)
    }

    /// Whether a name that ends at the one might as well end at the other.
    fn are_alike(&self, one: u32, other: u32) -> bool {
        let end = |row: u32| {
            let future = self.futures.get(row as usize);
            let below = self.minimal.successors[row as usize * self.columns + self.slash];
            (self.minimal.outputs[row as usize], future, below)
        };
        end(one) == end(other)
    }
}
