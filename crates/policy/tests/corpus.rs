//! The corpus of deployed policies against a table of what becomes of each file.
//!
//! `KUBEARMOR_BLESS=1` writes the table anew; read the difference before committing it.

mod shared;

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use policy::parse;

/// `path: N policies, 2 error[code], 1 warning[code]`, for the files that are not plainly one policy.
fn outcome(text: &str, file: &str) -> Option<String> {
    let parsed = parse(text, file);
    let mut counts = BTreeMap::new();
    for found in &parsed.diagnostics {
        *counts.entry(format!("{}[{}]", found.severity, found.code)).or_insert(0) += 1;
    }
    if parsed.policies.len() == 1 && counts.is_empty() {
        return None;
    }
    let mut line = format!("{file}: {} policies", parsed.policies.len());
    for (code, count) in counts {
        let _ = write!(line, ", {count} {code}");
    }
    Some(line)
}

#[test]
fn every_file_of_the_corpus_has_its_known_outcome() {
    let Some(folder) = shared::folder("corpus") else { return };
    let files = shared::yaml_files(&folder);
    let mut table =
        format!("{} files; all others are one policy, without a finding:\n", files.len());
    for file in &files {
        let name = file.strip_prefix(&folder).unwrap().display().to_string();
        if let Some(line) = outcome(&fs::read_to_string(file).unwrap(), &name) {
            table.push_str(&line);
            table.push('\n');
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus.golden");
    if env::var_os("KUBEARMOR_BLESS").is_some() {
        fs::write(&golden, &table).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    for (found, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}
