//! Where rules name all that they mean letter by letter, a table of names stands for the rows of all their bytes: what
//! most directories come to. Where patterns begin as well, their rows are the trunk, and the table has the rest.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

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
    /// Rows to which one text leads from here and behind which names are without number; none where there are no such
    /// names.
    pub(crate) trunk: HashSet<u32>,
    /// Rows behind which there are only names of the table.
    listed: HashSet<u32>,
}

/// Where a step leads once it is known that a name is not in the table.
pub(crate) enum Way {
    /// As it would without a table.
    Plain,
    Trunk,
    Default(u32),
}

/// The tables of a minimal automaton, each found when it is asked for.
pub(crate) struct Tables<'a> {
    minimal: &'a Minimal,
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
    pub(crate) fn of(minimal: &'a Minimal, classes: &ByteClasses) -> Self {
        let mut counts = vec![0; classes.len()];
        for byte in 1..=255 {
            counts[classes.class_of(byte)] += 1;
        }
        let representatives = classes.representatives().iter();
        let single = representatives.zip(counts).map(|(&byte, count)| (count == 1).then_some(byte));
        Self {
            minimal,
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

    /// Where a row of a table's trunk leads by a byte of this class.
    pub(crate) fn way(&self, table: &Table, class: usize, next: u32) -> Way {
        if table.trunk.contains(&next) {
            Way::Trunk
        } else if table.listed.contains(&next) && self.single[class].is_some() {
            Way::Default(table.default)
        } else {
            Way::Plain
        }
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
        let reach = self.reach(row, default)?;
        let listed = self.behind_which_names_end(&reach, default);
        let is_whole = row == default || listed.contains(&row);
        let only_way = if is_whole { HashSet::default() } else { only_ways(&reach, row) };
        if !is_whole && !only_way.contains(&row) {
            return None;
        }
        let mut trunk = HashSet::default();
        let mut names = vec![];
        let mut open = vec![(row, vec![])];
        while let Some((from, text)) = open.pop() {
            if !listed.contains(&from) && !is_whole {
                trunk.insert(from);
            }
            let ways: Vec<_> = self.within_name(from).filter(|&(_, to)| to != default).collect();
            for (class, to) in ways {
                self.steps = self.steps.checked_sub(1)?;
                let ends = listed.contains(&to);
                if !ends && (!only_way.contains(&to) || text.len() + 1 >= NAME_PIECE) {
                    continue;
                }
                let Some(byte) = self.single[class] else { continue };
                let mut text: Vec<u8> = text.clone();
                text.push(byte);
                if text.len() == NAME_PIECE {
                    if !self.has(to) {
                        return None;
                    }
                    names.push((text, to));
                    continue;
                }
                if ends && !self.are_alike(to, default) {
                    names.push((text.clone(), to));
                }
                open.push((to, text));
            }
        }
        if names.len() > MOST_NAMES || (!is_whole && names.is_empty()) {
            return None;
        }
        let hashes: Vec<u64> =
            names.iter().map(|(text, _)| name_hash::hash(&name_hash::words(text))).collect();
        Some(Table { default, names, perfect: Perfect::of(&hashes)?, trunk, listed })
    }

    /// The steps from each row that names lead to from here, but for those to the default.
    fn reach(&mut self, row: u32, default: u32) -> Option<HashMap<u32, Vec<(usize, u32)>>> {
        let mut reach = HashMap::default();
        let mut open = vec![row];
        while let Some(from) = open.pop() {
            if from == default || reach.contains_key(&from) {
                continue;
            }
            self.steps = self.steps.checked_sub(1)?;
            let ways: Vec<_> = self.within_name(from).filter(|&(_, to)| to != default).collect();
            open.extend(ways.iter().map(|&(_, to)| to));
            reach.insert(from, ways);
        }
        Some(reach)
    }

    /// Rows from which all ways are single bytes and lead to the default in the end.
    fn behind_which_names_end(
        &self,
        reach: &HashMap<u32, Vec<(usize, u32)>>,
        default: u32,
    ) -> HashSet<u32> {
        let mut before: HashMap<u32, Vec<u32>> = HashMap::default();
        let mut left: HashMap<u32, usize> = HashMap::default();
        for (&from, ways) in reach {
            let any = ways.iter().any(|&(class, _)| self.single[class].is_none());
            // One that never comes about keeps the row out.
            left.insert(from, ways.len() + usize::from(any));
            for &(_, to) in ways {
                before.entry(to).or_default().push(from);
            }
        }
        let mut ending = HashSet::default();
        let mut open: Vec<u32> =
            left.iter().filter(|&(_, &left)| left == 0).map(|(&row, _)| row).collect();
        while let Some(row) = open.pop() {
            if row == default || !ending.insert(row) {
                continue;
            }
            for &from in before.get(&row).into_iter().flatten() {
                if let Some(left) = left.get_mut(&from) {
                    *left -= 1;
                    if *left == 0 {
                        open.push(from);
                    }
                }
            }
        }
        ending
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
            let below = self.minimal.successors[row as usize * self.columns + self.slash];
            (self.minimal.outputs[row as usize], below)
        };
        end(one) == end(other)
    }
}

/// Rows to which there is one way only, from a row of the same kind or from the first one.
fn only_ways(reach: &HashMap<u32, Vec<(usize, u32)>>, first: u32) -> HashSet<u32> {
    let mut ways_to: HashMap<u32, usize> = HashMap::default();
    for &(_, to) in reach.values().flatten() {
        *ways_to.entry(to).or_default() += 1;
    }
    let mut found = HashSet::default();
    let mut open = if ways_to.contains_key(&first) { vec![] } else { vec![first] };
    while let Some(row) = open.pop() {
        found.insert(row);
        let ways = reach.get(&row).into_iter().flatten();
        open.extend(ways.map(|&(_, to)| to).filter(|to| ways_to.get(to) == Some(&1)));
    }
    found
}
