//! Order, survival, bounds and damage of a spool.

use std::{collections::VecDeque, fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::config::Stream;

const PLENTY: u64 = 1 << 30;

fn event(number: usize, length: usize) -> Event {
    let json = format!("{number:08}{}", "x".repeat(length));
    Event { stream: Stream::Logs, id: number as u128, json: json.into() }
}

fn events(numbers: std::ops::Range<usize>) -> Vec<Event> {
    numbers.map(|number| event(number, 100)).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spool"))
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_not_done_is_there_after_a_restart_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, found) = Spool::open(directory.path(), PLENTY).unwrap();
    assert_eq!(found, Found::default());
    spool.append(&events(0..10)).unwrap();
    assert_eq!(spool.take(4, 1 << 20).unwrap(), (events(0..4), 0));
    spool.done().unwrap();
    assert_eq!(spool.take(3, 1 << 20).unwrap().0, events(4..7));
    drop(spool);
    let (mut spool, found) = Spool::open(directory.path(), PLENTY).unwrap();
    assert_eq!(found, Found { records: 6, damaged: 0 });
    spool.append(&events(10..12)).unwrap();
    assert_eq!(spool.take(100, 1 << 20).unwrap().0, events(4..12), "taken is not done");
    assert!(spool.is_empty());
    spool.done().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
    spool.append(&events(12..13)).unwrap();
    drop(spool);
    let (mut spool, _) = Spool::open(directory.path(), PLENTY).unwrap();
    assert_eq!(spool.take(100, 1 << 20).unwrap().0, events(12..13));
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let (mut spool, _) = Spool::open(directory.path(), limit).unwrap();
    let (mut dropped, mut written) = (0, 0);
    for round in 0..300 {
        let more: Vec<_> = (0..10).map(|n| event(round * 10 + n, 1000)).collect();
        let (out, left_out) = spool.append(&more).unwrap();
        assert_eq!(left_out, 0);
        dropped += out;
        written += 10;
        let on_disk: u64 =
            files(directory.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
        assert_eq!(spool.bytes(), on_disk);
        assert!(on_disk <= limit);
    }
    assert!(spool.bytes() > limit / 2, "most of it is used");
    let (rest, _) = spool.take(usize::MAX, usize::MAX).unwrap();
    assert_eq!(rest.len() as u64 + dropped, written);
    assert_eq!(rest[0], event(usize::try_from(dropped).unwrap(), 1000));
}

#[test]
fn what_is_larger_than_the_spool_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(directory.path(), 1000).unwrap();
    let mixed = [event(0, 10), event(1, 2000), event(2, 10)];
    assert_eq!(spool.append(&mixed).unwrap(), (0, 1));
    assert_eq!(spool.take(9, 9999).unwrap().0, [event(0, 10), event(2, 10)]);
}

#[test]
fn a_tail_that_was_cut_or_overwritten_costs_no_more_than_itself() {
    for damage in [0, 1, 2] {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(directory.path(), PLENTY).unwrap();
        spool.append(&events(0..3)).unwrap();
        let file = files(directory.path())[0].clone();
        let mut bytes = fs::read(&file).unwrap();
        match damage {
            0 => bytes.truncate(bytes.len() - 1),
            1 => *bytes.last_mut().unwrap() ^= 1,
            _ => bytes.extend([0xff; 30]),
        }
        fs::write(&file, bytes).unwrap();
        let (mut spool, found) = Spool::open(directory.path(), PLENTY).unwrap();
        let sound = if damage == 2 { 3 } else { 2 };
        assert_eq!(found, Found { records: sound, damaged: 1 });
        spool.append(&events(3..5)).unwrap();
        let (read, unreadable) = spool.take(9, 9999).unwrap();
        assert_eq!((read.len() as u64, unreadable), (sound + 2, 0));
    }
}

#[test]
fn damage_that_comes_later_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(directory.path(), PLENTY).unwrap();
    spool.append(&events(0..3)).unwrap();
    let file = files(directory.path())[0].clone();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(spool.take(9, 9999).unwrap(), (events(0..1), 2));
    spool.done().unwrap();
    assert!(spool.is_empty());
}

#[test]
fn a_file_that_is_no_segment_is_taken_away_and_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("00000000000000000007.spool"), "rubbish").unwrap();
    fs::write(directory.path().join("done"), "a b").unwrap();
    let (mut spool, found) = Spool::open(directory.path(), PLENTY).unwrap();
    assert_eq!(found, Found { records: 0, damaged: 1 });
    assert_eq!(files(directory.path()).len(), 0);
    spool.append(&events(0..1)).unwrap();
    assert!(files(directory.path())[0].ends_with("00000000000000000008.spool"));
}

#[test]
fn what_was_taken_is_on_disk_until_its_file_had_to_go() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(directory.path(), 200 << 10).unwrap();
    spool.append(&events(0..100)).unwrap();
    let place = spool.place();
    spool.take(10, usize::MAX).unwrap();
    assert!(spool.holds(place));
    let mut dropped = 0;
    while dropped == 0 {
        dropped = spool.append(&events(100..200)).unwrap().0;
    }
    assert!(!spool.holds(place));
    assert_eq!(spool.take(1, usize::MAX).unwrap().1, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done in whatever order, records come out once, in order, and all are accounted for.
    #[test]
    fn a_spool_is_a_bounded_queue(steps in prop::collection::vec((0_u8..4, 1_usize..40), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let limit = 200 << 10;
        let (mut spool, _) = Spool::open(directory.path(), limit).unwrap();
        let (mut expected, mut next, mut taken) = (VecDeque::new(), 0, VecDeque::new());
        for (what, count) in steps {
            match what {
                0 | 1 => {
                    let more: Vec<_> = (next..next + count).map(|n| event(n, 2000)).collect();
                    next += count;
                    let (dropped, left_out) = spool.append(&more).unwrap();
                    prop_assert_eq!(left_out, 0);
                    expected.extend(more);
                    expected.drain(..usize::try_from(dropped).unwrap());
                }
                2 => {
                    let (events, unreadable) = spool.take(count, usize::MAX).unwrap();
                    prop_assert_eq!(unreadable, 0);
                    prop_assert_eq!(events.len(), count.min(expected.len()));
                    let wanted: Vec<_> = expected.drain(..events.len()).collect();
                    prop_assert_eq!(&events, &wanted);
                    taken.extend(events);
                    spool.done().unwrap();
                }
                _ => {
                    drop(spool);
                    let (again, found) = Spool::open(directory.path(), limit).unwrap();
                    prop_assert_eq!(found, Found { records: expected.len() as u64, damaged: 0 });
                    spool = again;
                }
            }
            prop_assert!(spool.bytes() <= limit);
        }
    }
}
