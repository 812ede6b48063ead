//! The coarsest partition of states that no byte tells apart, found as Hopcroft does: a part is only ever split by
//! the smaller half of another, so long chains of states cost no more than bushy ones.

use rustc_hash::FxHashMap as HashMap;

/// Parts of the numbers from 0 on, each a range of `members`.
struct Parts {
    members: Vec<u32>,
    /// Where each number is in `members`.
    place: Vec<u32>,
    part_of: Vec<u32>,
    ranges: Vec<Range>,
}

struct Range {
    first: u32,
    end: u32,
    /// Members before this place belong to the part that is being split off.
    marked: u32,
}

/// The part of each state, for states whose successors lie row after row.
pub(crate) fn coarsest(outputs: &[u32], successors: &[u32], width: usize) -> Vec<u32> {
    let mut parts = Parts::by_output(outputs);
    let predecessors = Predecessors::of(successors, width);
    let mut waiting: Vec<u32> = (0..).take(parts.ranges.len()).collect();
    let mut touched = vec![];
    while let Some(splitter) = waiting.pop() {
        let range = &parts.ranges[splitter as usize];
        let members = parts.members[range.first as usize..range.end as usize].to_vec();
        for column in 0..width {
            for &state in &members {
                for &from in predecessors.of_state(state, column) {
                    parts.mark(from, &mut touched);
                }
            }
            for part in touched.drain(..) {
                waiting.extend(parts.split(part));
            }
        }
    }
    parts.part_of
}

impl Parts {
    fn by_output(outputs: &[u32]) -> Self {
        let mut numbers = HashMap::default();
        let mut part_of = Vec::with_capacity(outputs.len());
        for &output in outputs {
            let next = number(numbers.len());
            part_of.push(*numbers.entry(output).or_insert(next));
        }
        let mut members: Vec<u32> = (0..).take(outputs.len()).collect();
        members.sort_by_key(|&state| part_of[state as usize]);
        let mut place = vec![0; members.len()];
        let mut ranges: Vec<Range> = vec![];
        for (at, &state) in (0..).zip(&members) {
            place[state as usize] = at;
            if part_of[state as usize] as usize == ranges.len() {
                ranges.push(Range { first: at, end: at, marked: at });
            }
            if let Some(range) = ranges.last_mut() {
                range.end = at + 1;
            }
        }
        Self { members, place, part_of, ranges }
    }

    /// Moves a state to the front of its part.
    fn mark(&mut self, state: u32, touched: &mut Vec<u32>) {
        let part = self.part_of[state as usize];
        let range = &mut self.ranges[part as usize];
        let at = self.place[state as usize];
        if at < range.marked {
            return;
        }
        if range.marked == range.first {
            touched.push(part);
        }
        let other = self.members[range.marked as usize];
        self.members.swap(at as usize, range.marked as usize);
        self.place[other as usize] = at;
        self.place[state as usize] = range.marked;
        range.marked += 1;
    }

    /// Separates what is marked from what is not; the part that has to split others in turn.
    fn split(&mut self, part: u32) -> Option<u32> {
        let new = number(self.ranges.len());
        let range = &mut self.ranges[part as usize];
        let (first, middle, end) = (range.first, range.marked, range.end);
        range.marked = first;
        if middle == end {
            return None;
        }
        // The smaller half gets the new number; whoever waits already stands for the other half.
        let (kept, given) = if middle - first < end - middle {
            (middle..end, first..middle)
        } else {
            (first..middle, middle..end)
        };
        (range.first, range.end, range.marked) = (kept.start, kept.end, kept.start);
        for at in given.clone() {
            self.part_of[self.members[at as usize] as usize] = new;
        }
        let (first, end) = (given.start, given.end);
        self.ranges.push(Range { first, end, marked: first });
        Some(new)
    }
}

/// Which states lead to a state under a column.
struct Predecessors {
    width: usize,
    /// Of each state and column, where in `states` they begin.
    begins: Vec<u32>,
    states: Vec<u32>,
}

impl Predecessors {
    fn of(successors: &[u32], width: usize) -> Self {
        let key = |(at, &to): (usize, &u32)| to as usize * width + at % width;
        let mut begins = vec![0; successors.len() + 1];
        for key in successors.iter().enumerate().map(key) {
            begins[key + 1] += 1;
        }
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        let mut next = begins.clone();
        let mut states = vec![0; successors.len()];
        for (at, to) in successors.iter().enumerate() {
            let slot = &mut next[key((at, to))];
            states[*slot as usize] = number(at / width);
            *slot += 1;
        }
        Self { width, begins, states }
    }

    fn of_state(&self, state: u32, column: usize) -> &[u32] {
        let key = state as usize * self.width + column;
        &self.states[self.begins[key] as usize..self.begins[key + 1] as usize]
    }
}

/// Counts stay far below 32 bits: see [`crate::limits::TRANSITIONS`].
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Moore does: split by the parts of the successors until nothing changes.
    fn plainly(outputs: &[u32], successors: &[u32], width: usize) -> Vec<u32> {
        let mut parts = outputs.to_vec();
        loop {
            let mut numbers = HashMap::default();
            let keys = successors.chunks_exact(width).zip(&parts).map(|(row, part)| {
                (*part, row.iter().map(|&next| parts[next as usize]).collect::<Vec<_>>())
            });
            let mut refined = vec![];
            for key in keys {
                let next = number(numbers.len());
                refined.push(*numbers.entry(key).or_insert(next));
            }
            let distinct =
                |parts: &[u32]| parts.iter().collect::<std::collections::BTreeSet<_>>().len();
            if distinct(&refined) == distinct(&parts) {
                return refined;
            }
            parts = refined;
        }
    }

    /// States, outputs and successors in any tangle.
    fn automaton() -> impl Strategy<Value = (Vec<u32>, Vec<u32>, usize)> {
        (1..40_usize, 1..4_usize).prop_flat_map(|(states, width)| {
            let last = number(states - 1);
            (
                prop::collection::vec(0..3_u32, states),
                prop::collection::vec(0..=last, states * width),
                Just(width),
            )
        })
    }

    proptest! {
        #[test]
        fn states_are_together_where_nothing_tells_them_apart((outputs, successors, width) in automaton()) {
            let parts = coarsest(&outputs, &successors, width);
            let expected = plainly(&outputs, &successors, width);
            for a in 0..parts.len() {
                for b in 0..a {
                    prop_assert_eq!(parts[a] == parts[b], expected[a] == expected[b]);
                }
            }
        }
    }
}
