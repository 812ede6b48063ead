//! Whether what the agent holds grows with the containers that have come and gone: what it held when the warm-up was
//! over, compared with the end.

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::usage::{DESCRIPTORS, DYING, MAPS, MEMORY, SLAB, THREADS, Usage};

/// Starts that fill what the agent remembers of the past: 16,384 slots, one of each container.
pub(crate) const FULL_MEMORY: usize = 16_384;

/// Looks that a middle is taken of.
const MIDDLE_OF: usize = 5;
/// Columns of the table, the first and the last look among them.
const COLUMNS: usize = 8;

/// How much more there may be at the end.
#[derive(Debug, PartialEq, Eq)]
enum Bound {
    /// Than after the warm-up.
    More(u64),
    /// At all: a memory of fixed size.
    AtMost(u64),
    /// It is shown, since the machine's other work is in it.
    Shown,
}

fn bound(what: &str) -> Bound {
    match what {
        MEMORY => Bound::More(1024),
        DESCRIPTORS | THREADS => Bound::More(2),
        MAPS => Bound::More(256),
        SLAB | DYING => Bound::Shown,
        // Slots and images, as many as there are slots of each, and those in use.
        "remembered slots and images" => Bound::AtMost(2 * 16_384 + 1024),
        "remembered programs" => Bound::AtMost(16_384),
        // Images that are given back wait for company: 256 of some KiB each.
        "KiB of images" | "containers that may come again" => Bound::AtMost(1024),
        "remembered containers" => Bound::AtMost(2 * 1024),
        // A few lines for each container that is remembered.
        "accounts" | "throttled rules" => Bound::AtMost(8 * 1024),
        _ => Bound::More(0),
    }
}

/// Looks at the agent, in order, each with the number of starts before it.
#[derive(Debug, Default)]
pub(crate) struct Looks(Vec<(usize, Usage)>);

impl Looks {
    pub(crate) fn add(&mut self, starts: usize, usage: Usage) {
        self.0.push((starts, usage));
    }

    /// What has grown beyond its bound since the warm-up, which ended after so many starts. If it was too short to fill
    /// what the agent remembers, memory may grow with each start by what is remembered of it.
    pub(crate) fn grown(&self, warm: usize) -> Vec<String> {
        let after: Vec<_> =
            self.0.iter().filter(|look| look.0 >= warm).map(|l| (l.0, &l.1)).collect();
        let Some(&(starts, last)) = after.last() else { return vec!["nobody looked".to_owned()] };
        let mut grown = Vec::new();
        for what in last.keys() {
            let count = |(_, usage): &(usize, &Usage)| usage.get(what).copied().unwrap_or(0);
            let before = middle(after.iter().take(MIDDLE_OF).map(count).collect());
            let now = middle(after.iter().rev().take(MIDDLE_OF).map(count).collect());
            let (allowed, than) = match bound(what) {
                Bound::More(more) if what == MEMORY => {
                    let more = more + remembered(warm, starts);
                    (before + more, format!("{more} more than {before}"))
                }
                Bound::More(more) => (before + more, format!("{more} more than {before}")),
                Bound::AtMost(most) => (most, most.to_string()),
                Bound::Shown => continue,
            };
            if now > allowed {
                grown.push(format!("{what}: {now}, and {than} are allowed"));
            }
        }
        grown
    }

    pub(crate) fn table(&self) -> Table {
        let last = self.0.len().saturating_sub(1);
        let chosen = (0..COLUMNS).map(|column| column * last / (COLUMNS - 1));
        let mut chosen: Vec<_> = chosen.filter_map(|look| self.0.get(look)).collect();
        chosen.dedup_by_key(|(starts, _)| *starts);
        let mut table = Table::new();
        let heads = chosen.iter().map(|(starts, _)| starts.to_string());
        table
            .load_style(ASCII_MARKDOWN)
            .set_header(["containers started".to_owned()].into_iter().chain(heads));
        let names = self.0.last().map(|(_, usage)| usage.keys()).into_iter().flatten();
        for what in names {
            let counts = chosen
                .iter()
                .map(|(_, usage)| usage.get(what).map_or_else(|| "-".to_owned(), u64::to_string));
            table.add_row([what.clone()].into_iter().chain(counts));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// KiB that the memory of the past may take for the starts behind the warm-up, until it is full.
fn remembered(warm: usize, starts: usize) -> u64 {
    const OF_EACH: u64 = 4;
    let filling = starts.min(FULL_MEMORY).saturating_sub(warm);
    u64::try_from(filling).map_or(u64::MAX, |starts| starts * OF_EACH)
}

fn middle(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(count: impl Fn(usize) -> u64, what: &str) -> Looks {
        let mut looks = Looks::default();
        for starts in (0..=1000).step_by(50) {
            looks.add(starts, Usage::from([(what.to_owned(), count(starts))]));
        }
        looks
    }

    #[test]
    fn what_grows_with_the_starts_is_found() {
        let leak = |starts: usize| 5_000 + 9 * starts as u64;
        assert_eq!(looks(leak, MEMORY).grown(200).len(), 1);
        assert!(looks(|starts| 5_000 + 2 * starts as u64, MEMORY).grown(200).is_empty());
        assert_eq!(looks(|starts| starts as u64 / 300, "slots").grown(200).len(), 1);
        assert_eq!(looks(|starts| 20_000 * starts as u64, "remembered programs").grown(0).len(), 1);
    }

    #[test]
    fn a_full_memory_does_not_grow() {
        assert_eq!(remembered(100, 200), 400);
        assert_eq!(remembered(FULL_MEMORY, 20_000), 0);
    }

    #[test]
    fn one_look_that_is_higher_is_no_growth() {
        let once = |starts| if starts == 950 { 9_999 } else { 40 };
        assert!(looks(once, DESCRIPTORS).grown(200).is_empty());
    }

    #[test]
    fn nothing_that_was_looked_at_is_no_success() {
        assert_eq!(Looks::default().grown(0).len(), 1);
        assert_eq!(looks(|_| 1, MEMORY).grown(5_000).len(), 1);
    }
}
