//! The questions that the README asks of policies work as they are printed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

#[test]
fn examples_work_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("README.md")).unwrap();
    let examples = page.lines().filter_map(|line| line.strip_prefix("    karmor policy "));
    // The last one waits for an agent.
    let examples: Vec<&str> = examples.filter(|line| !line.contains("--live")).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let words = example.split('#').next().unwrap_or(example).split_whitespace();
        let mut karmor = Command::new(env!("CARGO_BIN_EXE_karmor"));
        let output = karmor.arg("policy").args(words).current_dir(&root).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{example}: {shown}");
        assert!(!shown.contains("no policy selects"), "{example}: {shown}");
    }
}
