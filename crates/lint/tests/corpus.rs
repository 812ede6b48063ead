//! The corpus of deployed policies: what lint says of each file, and that each rule has an account.
//!
//! `KUBEARMOR_BLESS=1` writes the table anew; read the difference before committing it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../policy/tests/shared/mod.rs"]
mod shared;

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use lint::{CODES, Options, Report, Source, lint};
use policy::{Policy, parse};
use ruleset::{EnforcerKind, Standing, account};
use serde_json::Value;

fn lint_text(name: &str, text: &str) -> Report {
    let source = Source { name: name.to_owned(), text: text.to_owned(), named: true };
    lint(&[source], &Options::default())
}

const ENFORCERS: [EnforcerKind; 3] =
    [EnforcerKind::Bpf, EnforcerKind::AppArmor, EnforcerKind::Selinux];

/// What the numbers of a line are.
const HEADING: &str = "rules that each enforcer enforces / only audits, as they say / cannot express / that nothing enforces yet";

/// `path: 1 policies, 4 rules, BPF-LSM 3/1/0/0, ..., error[code] 2, note[code] 1`
fn outcome(name: &str, text: &str) -> String {
    let report = lint_text(name, text);
    let policies = parse(text, name).policies;
    let rules: usize = policies.iter().map(|policy| policy.places().len()).sum();
    let mut line = format!("{name}: {} policies, {rules} rules", report.policies);
    for enforcer in ENFORCERS {
        let standings = standings(&policies, enforcer);
        assert_eq!(standings.iter().sum::<usize>(), rules, "{name} under {enforcer}");
        let [enforced, audited, inexpressible, pending] = standings;
        let _ = write!(line, ", {enforcer} {enforced}/{audited}/{inexpressible}/{pending}");
    }
    let mut counts = BTreeMap::new();
    for finding in &report.findings {
        assert!(CODES.iter().any(|code| code.name == finding.code), "{}", finding.code);
        *counts.entry(format!("{}[{}]", finding.level, finding.code)).or_insert(0) += 1;
    }
    for (code, count) in counts {
        let _ = write!(line, ", {code} {count}");
    }
    line
}

/// How many rules of all policies stand how, in the order of [`HEADING`].
fn standings(policies: &[Policy], enforcer: EnforcerKind) -> [usize; 4] {
    let mut counts = [0; 4];
    for rule in policies.iter().flat_map(|policy| account(policy, enforcer)) {
        counts[match rule.standing {
            Standing::Enforced => 0,
            Standing::AuditOnly => 1,
            Standing::NotExpressible(_) => 2,
            Standing::NotYet(_) => 3,
        }] += 1;
    }
    counts
}

#[test]
fn every_file_has_its_known_findings() {
    let Some(folder) = shared::folder("corpus") else { return };
    let mut table = format!("{HEADING}\n");
    for file in shared::yaml_files(&folder) {
        let name = file.strip_prefix(&folder).unwrap().display().to_string();
        let _ = writeln!(table, "{}", outcome(&name, &fs::read_to_string(&file).unwrap()));
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

/// The rules of a document, counted by somebody who knows nothing of the product's reader.
fn written_rules(document: &Value) -> usize {
    const LISTS: [(&str, &[&str]); 6] = [
        ("process", &["matchPaths", "matchDirectories", "matchPatterns"]),
        ("file", &["matchPaths", "matchDirectories", "matchPatterns"]),
        ("network", &["matchProtocols", "matchDNSQueries"]),
        ("capabilities", &["matchCapabilities"]),
        ("syscalls", &["matchSyscalls", "matchPaths"]),
        ("device", &["matchDevice"]),
    ];
    let spec = &document["spec"];
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    let of_section = |(section, lists): &(&str, &[&str])| -> usize {
        lists.iter().map(|list| length(&spec[*section][*list])).sum()
    };
    let sections: usize = LISTS.iter().map(of_section).sum();
    let plain: usize =
        ["presets", "ingress", "egress"].map(|list| length(&spec[list])).iter().sum();
    let native = spec["apparmor"].as_str().is_some_and(|text| !text.trim().is_empty());
    sections + plain + usize::from(native)
}

fn documents(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    // The other reader takes no tabs; none stands in a value that counts here.
    serde_saphyr::from_multiple_with_options(&text.replace('\t', " "), options).unwrap()
}

fn check_account(policy: &Policy, written: usize) {
    for enforcer in ENFORCERS {
        let accounts = account(policy, enforcer);
        assert_eq!(accounts.len(), written, "{:?} under {enforcer}", policy.id);
        for account in accounts {
            assert_ne!(account.standing.reason(), Some(""), "{}", account.place);
        }
    }
}

#[test]
fn every_rule_of_every_policy_has_an_account() {
    let Some(folder) = shared::folder("corpus") else { return };
    let (mut policies, mut rules) = (0, 0);
    for file in shared::yaml_files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        let parsed = parse(&text, &file.display().to_string());
        let documents = documents(&text);
        let known: Vec<&Value> =
            documents.iter().filter(|document| !document["metadata"]["name"].is_null()).collect();
        for policy in &parsed.policies {
            // Kinds are what tells documents of one name apart.
            let written = known.iter().find(|document| {
                document["metadata"]["name"].as_str() == Some(&policy.id.name)
                    && document["kind"] == policy.id.kind.as_str()
            });
            let written = written_rules(written.unwrap());
            check_account(policy, written);
            policies += 1;
            rules += written;
        }
        // What gives no policy says why.
        assert!(parsed.policies.len() == known.len() || parsed.has_errors(), "{}", file.display());
    }
    println!("{policies} policies with {rules} rules");
    assert!(rules > 0);
}
