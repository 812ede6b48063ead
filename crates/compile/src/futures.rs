//! What a rename or a hard link must not undo. An object that gets another name comes under the rules of that name,
//! and so does everything below a directory. So rows are told apart by the denials that may still follow behind them:
//! where two rows are of one part, whatever is behind one is denied exactly as it would be behind the other.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::{
    layout::{ROW_CLASS_MASK, ROW_MULTICALL, RULE_NONE, RULE_POSTURE, at, step},
    minimize::{Minimal, representatives},
    subset::Automaton,
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
    /// Those of an automaton behind which nothing is denied.
    pub(crate) fn none() -> Self {
        Self { parts: vec![], rules: vec![[RULE_NONE; 2]] }
    }

    pub(crate) fn of(automaton: &Automaton, minimal: &Minimal, signatures: &[Signature]) -> Self {
        // Arguments have classes of their own, but no path leads to them.
        let of_output = |&output: &u32| {
            signatures.get((output & ROW_CLASS_MASK) as usize).unwrap_or(&signatures[0])
        };
        // Where each class is denied something else, as under plain rules, the rows are told apart already.
        let told_apart = minimal.outputs.iter().all(|output| output & ROW_MULTICALL == 0)
            && signatures.iter().map(|s| s.number).collect::<HashSet<_>>().len()
                == signatures.len();
        let representatives = if told_apart {
            (0..).take(automaton.outputs.len()).collect()
        } else {
            let numbers = automaton.outputs.iter().map(|output| of_output(output).number);
            representatives(automaton, &numbers.collect::<Vec<_>>())
        };
        let columns = automaton.classes.len();
        let any = nearest(minimal, columns, |output| of_output(output).any);
        let change = nearest(minimal, columns, |output| of_output(output).change);
        let mut rules = vec![[RULE_NONE; 2]];
        let mut numbers = HashMap::default();
        let rows = minimal.states.iter().zip(any.into_iter().zip(change));
        let part_of = |(&state, (any, change)): (&u32, (u32, u32))| {
            if any == RULE_NONE {
                return 0;
            }
            *numbers.entry(representatives[state as usize]).or_insert_with(|| {
                rules.push([any, change]);
                u32::try_from(rules.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let parts = rows.map(part_of).collect();
        Self { parts, rules }
    }
}

/// Of each row, the nearest rule behind it. Rows mostly lead to later ones, so few turns are needed.
fn nearest(minimal: &Minimal, columns: usize, rule_of: impl Fn(&u32) -> u32) -> Vec<u32> {
    let own = minimal.outputs.iter().map(rule_of);
    let mut found: Vec<(u32, u32)> =
        own.map(|rule| (if rule == RULE_NONE { FAR } else { 0 }, rule)).collect();
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for (row, successors) in minimal.successors.chunks_exact(columns).enumerate().rev() {
            for &next in successors {
                let (distance, rule) = found[next as usize];
                if distance.saturating_add(1) < found[row].0 {
                    found[row] = (distance + 1, rule);
                    changed = true;
                }
            }
        }
    }
    found.into_iter().map(|(_, rule)| rule).collect()
}

/// There is no rule.
const FAR: u32 = u32::MAX;
