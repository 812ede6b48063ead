//! The limits that operators read about are those that hold.

use std::{fs, path::Path};

use compile::limits;

/// `1048576` as `1,048,576`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let mut groups: Vec<&str> = Some(head).filter(|head| !head.is_empty()).into_iter().collect();
    groups.extend((0..tail.len() / 3).map(|group| &tail[3 * group..3 * group + 3]));
    groups.join(",")
}

#[test]
fn every_limit_is_in_the_table_for_operators() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operators.md");
    let page = fs::read_to_string(page).expect("the page is there");
    for (what, limit) in [
        ("words of the image", limits::IMAGE_WORDS),
        ("transitions of the automaton", limits::TRANSITIONS),
        ("bytes of paths", limits::LITERAL_BYTES),
        ("states of patterns", limits::PATTERN_STATES),
        ("ways through empty `{...}`", limits::PATTERN_REACH),
        ("combinations of patterns", limits::COMBINATIONS),
        ("states in combinations of patterns", limits::COMBINED_STATES),
    ] {
        let row = format!("| {what} | {}", grouped(limit));
        assert!(page.contains(&row), "{row}");
    }
}
