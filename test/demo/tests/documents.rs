//! What the documents promise is there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn the_readme_s_policy_is_the_example() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    assert_eq!(policy, read("policies/examples/block-shells.yaml"));
    assert_eq!(policy::parse(policy, "README.md").diagnostics, []);
}

#[test]
fn named_files_exist() {
    for document in ["README.md", "docs/architecture.md", "docs/operators.md"] {
        let text = read(document);
        let words = text.split(|c: char| c.is_whitespace() || "`()[],;:".contains(c));
        for word in words {
            let ours = ["bpf/", "crates/", "bin/", "docs/", "policies/", "deploy/", "test/"];
            let path = word.trim_end_matches('.');
            if ours.iter().any(|room| path.starts_with(room)) {
                assert!(root().join(path).exists(), "{document} names {path}");
            }
        }
    }
}
