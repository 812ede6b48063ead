//! What a rename or a hard link must not undo. An object that gets another name comes under the rules of that name,
//! and so does everything below a directory. So rows are told apart by the denials that may still follow behind them:
//! where two rows are of one part, whatever is behind one is denied exactly as it would be behind the other.

use rustc_hash::FxHashMap as HashMap;

use crate::{
    layout::{ROW_CLASS_MASK, RULE_NONE, RULE_POSTURE, at, step},
    minimize::Minimal,
    partition::{Predecessors, coarsest},
};

/// What is denied of one path class. Classes of one number are denied alike.
#[derive(Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) number: u32,
    /// A rule that denies something, and one that denies a change; [`RULE_NONE`] if none does.
    pub(crate) any: u32,
    pub(crate) change: u32,
}

/// The signature of each path class, from the tables that are in the image already.
pub(crate) fn signatures(words: &[u32]) -> Vec<Signature> {
    let classes = words[at::PATH_COUNT] as usize;
    let sources = words[at::SOURCE_COUNT] as usize;
    let mut known = HashMap::default();
    let mut numbers = HashMap::from_iter([([0; 3], 0)]);
    let mut of_class = |class: usize| {
        let mut lines = [0; 3];
        let mut rules = [RULE_NONE; 3];
        for (kind, table) in [at::EXEC, at::READ, at::CHANGE].into_iter().enumerate() {
            let Some(line) = line(words, table, class) else { continue };
            // What the posture alone denies to run is anywhere else as little permitted.
            let by_posture = table != at::EXEC;
            rules[kind] = *(known.entry((line, by_posture)))
                .or_insert_with(|| denying(words, line, sources, by_posture));
            lines[kind] = if rules[kind] == RULE_NONE { 0 } else { line };
        }
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let number = *numbers.entry(lines).or_insert(next);
        let any = rules.into_iter().reduce(preferred).unwrap_or(RULE_NONE);
        Signature { number, any, change: rules[2] }
    };
    (0..classes).map(&mut of_class).collect()
}

fn line(words: &[u32], table: usize, class: usize) -> Option<u32> {
    let lines = words[table] as usize;
    (lines != 0).then(|| words[lines + class])
}

/// A rule that denies something to some source; [`RULE_NONE`] if none does.
fn denying(words: &[u32], line: u32, sources: usize, by_posture: bool) -> u32 {
    let plans = &words[line as usize..][..sources];
    let mut last = 0;
    let plans = plans.iter().filter(|&&plan| plan != std::mem::replace(&mut last, plan));
    let steps = plans.flat_map(|&plan| {
        let verdicts = (words[plan as usize] & 0xffff) as usize * usize::from(plan != 0);
        words[plan as usize + 1..][..2 * verdicts].chunks_exact(2)
    });
    let denials = steps
        .filter(|step| step[0] & step::DENY != 0 && (by_posture || step[0] & step::POSTURE == 0));
    denials.map(|step| step[1]).reduce(preferred).unwrap_or(RULE_NONE)
}

/// A rule says more than a posture, and the first is as good as the next.
fn preferred(a: u32, b: u32) -> u32 {
    if matches!(a, RULE_NONE | RULE_POSTURE) && b != RULE_NONE { b } else { a }
}

/// Rows by what may be denied behind them.
pub(crate) struct Futures {
    /// Of each row; 0 where nothing is.
    pub(crate) parts: Vec<u32>,
    /// Of each part, the nearest rule that denies something, and the nearest that denies a change.
    pub(crate) rules: Vec<[u32; 2]>,
}

impl Futures {
    pub(crate) fn of(minimal: &Minimal, signatures: &[Signature], columns: usize) -> Self {
        let of_row = signatures_of_rows(minimal, signatures, columns);
        let outputs: Vec<u32> = of_row.iter().map(|signature| signature.number).collect();
        let mut parts = coarsest(&outputs, &minimal.successors, columns);
        let mut first = vec![];
        let mut numbers = HashMap::default();
        for (row, part) in parts.iter_mut().enumerate() {
            *part = *numbers.entry(*part).or_insert_with(|| {
                first.push(row);
                u32::try_from(first.len()).unwrap_or(u32::MAX)
            });
        }
        let seeds = first.iter().map(|&row| [of_row[row].any, of_row[row].change]);
        let mut rules: Vec<[u32; 2]> = seeds.collect();
        let successors: Vec<u32> = (first.iter())
            .flat_map(|&row| &minimal.successors[row * columns..][..columns])
            .map(|&next| parts[next as usize] - 1)
            .collect();
        let predecessors = Predecessors::of(&successors, columns);
        for kind in 0..2 {
            spread(&mut rules, kind, &predecessors, columns);
        }
        rules.insert(0, [RULE_NONE; 2]);
        // There is one such part at most, for nothing tells its rows apart.
        for part in &mut parts {
            if rules[*part as usize][0] == RULE_NONE {
                *part = 0;
            }
        }
        Self { parts, rules }
    }
}

/// What no path leads to has classes of another kind; it is taken for what no rule names.
fn signatures_of_rows(
    minimal: &Minimal,
    signatures: &[Signature],
    columns: usize,
) -> Vec<Signature> {
    let mut of_row = vec![None; minimal.outputs.len()];
    let mut waiting = vec![minimal.start as usize];
    while let Some(row) = waiting.pop() {
        if of_row[row].is_none() {
            let class = minimal.outputs[row] & ROW_CLASS_MASK;
            of_row[row] = Some(signatures[class as usize]);
            let next = &minimal.successors[row * columns..][..columns];
            waiting.extend(next.iter().map(|&next| next as usize));
        }
    }
    of_row.into_iter().map(|signature| signature.unwrap_or(signatures[0])).collect()
}

/// Breadth first, so that what is without a rule gets that of the nearest part behind it.
fn spread(rules: &mut [[u32; 2]], kind: usize, predecessors: &Predecessors, columns: usize) {
    let seeds = (0..).zip(&*rules).filter(|(_, rules)| rules[kind] != RULE_NONE);
    let mut queue: Vec<u32> = seeds.map(|(part, _)| part).collect();
    let mut at = 0;
    while let Some(&part) = queue.get(at) {
        at += 1;
        for column in 0..columns {
            for &from in predecessors.of_state(part, column) {
                if rules[from as usize][kind] == RULE_NONE {
                    rules[from as usize][kind] = rules[part as usize][kind];
                    queue.push(from);
                }
            }
        }
    }
}
