//! What is kept, for how long, and what becomes of it over restarts and damage.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, time::Duration};

use history::{Bounds, Entry, History};

const SECOND: u64 = 1_000_000;

fn bounds(age_seconds: u64) -> Bounds {
    Bounds { bytes: Bounds::LEAST_BYTES, age: Duration::from_secs(age_seconds) }
}

fn entry(time: u64, text: &str) -> Entry {
    Entry { time, kind: 7, bytes: text.into() }
}

fn open(directory: &Path) -> History {
    let (history, damaged) = History::open(directory, bounds(1 << 30)).unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    history
}

fn read(history: &History, since: u64, until: u64) -> Vec<String> {
    let mut texts = Vec::new();
    let shown = history.reader().read(since, until, |entry| {
        assert_eq!(entry.kind, 7);
        texts.push(String::from_utf8(entry.bytes).unwrap());
        true
    });
    shown.unwrap();
    texts
}

#[test]
fn events_come_by_time_and_those_of_one_moment_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    history.append(&[entry(5, "b"), entry(5, "c"), entry(3, "a")], 5).unwrap();
    history.append(&[entry(5, "d"), entry(9, "e")], 9).unwrap();
    assert_eq!(read(&history, 0, u64::MAX), ["a", "b", "c", "d", "e"]);
    assert_eq!(read(&history, 4, 9), ["b", "c", "d"]);
    assert_eq!(read(&history, 9, 9), [""; 0]);
    assert_eq!(read(&history, 9, 4), [""; 0]);
}

#[test]
fn many_events_are_read_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    let entries: Vec<_> = (0..2000).map(|number| entry(number / 3, &number.to_string())).collect();
    history.append(&entries, 0).unwrap();
    let expected: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(read(&history, 0, u64::MAX), expected);
    let mut seen = 0;
    history
        .reader()
        .read(0, u64::MAX, |_| {
            seen += 1;
            seen < 700
        })
        .unwrap();
    assert_eq!(seen, 700);
}

#[test]
fn a_restart_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    history.append(&[entry(1, "before")], 1).unwrap();
    drop(history);
    let mut history = open(directory.path());
    history.append(&[entry(1, "after")], 1).unwrap();
    assert_eq!(read(&history, 0, 2), ["before", "after"]);
}

#[test]
fn the_files_stay_within_their_bound_and_the_newest_events_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    let text = "x".repeat(1000);
    let mut largest = 0;
    for batch in 0..60 {
        let entries: Vec<_> = (0..1000).map(|n| entry(batch * 1000 + n, &text)).collect();
        history.append(&entries, batch).unwrap();
        largest = largest.max(history.size());
    }
    let on_disk = |path: &Path| -> u64 {
        fs::read_dir(path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum()
    };
    assert_eq!(on_disk(directory.path()), history.size());
    assert!(largest <= Bounds::LEAST_BYTES, "{largest}");
    assert!(largest > Bounds::LEAST_BYTES / 2, "{largest}");
    let kept = read(&history, 0, u64::MAX).len();
    assert!(kept > 5000, "{kept} of 60000");
    assert_eq!(read(&history, 60_000 - 1000, u64::MAX).len(), 1000);
    assert_eq!(read(&history, 0, 1000).len(), 0);
}

#[test]
fn what_is_too_old_goes_and_readers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (mut history, _) = History::open(directory.path(), bounds(100)).unwrap();
    history.append(&[entry(10 * SECOND, "old")], 10 * SECOND).unwrap();
    history.tidy(110 * SECOND);
    assert_eq!(read(&history, 0, u64::MAX), ["old"]);
    let reader = history.reader();
    let mut seen = Vec::new();
    reader
        .read(0, u64::MAX, |entry| {
            history.tidy(111 * SECOND);
            seen.push(entry.time);
            true
        })
        .unwrap();
    assert_eq!(seen, [10 * SECOND]);
    assert_eq!(read(&history, 0, u64::MAX), [""; 0]);
    history.append(&[entry(200 * SECOND, "new")], 200 * SECOND).unwrap();
    assert_eq!(read(&history, 0, u64::MAX), ["new"]);
}

#[test]
fn a_damaged_file_is_set_aside_and_the_others_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    history.append(&[entry(1, "kept")], 1).unwrap();
    drop(history);
    fs::write(directory.path().join("events-00000000000000000000.redb"), "no database").unwrap();
    let (mut history, damaged) = History::open(directory.path(), bounds(1 << 30)).unwrap();
    let told = damaged[0].to_string();
    assert!(damaged.len() == 1 && told.contains("events-00000000000000000000.redb"), "{told}");
    assert_eq!(fs::read(directory.path().join("damaged")).unwrap(), b"no database");
    history.append(&[entry(2, "new")], 2).unwrap();
    assert_eq!(read(&history, 0, u64::MAX), ["kept", "new"]);
}
