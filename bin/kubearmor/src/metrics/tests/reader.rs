//! Reads the text format 0.0.4, and fails at whatever a scraper might.

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

pub(super) struct Page {
    /// By name.
    samples: BTreeMap<String, Vec<(Labels, f64)>>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::<String, Vec<(Labels, f64)>>::new();
        let (mut families, mut described, mut kind) = (BTreeSet::new(), String::new(), "");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(families.insert(name.to_owned()), "{name} is in two parts");
                name.clone_into(&mut described);
                continue;
            }
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, told) = typed.split_once(' ').unwrap();
                assert_eq!(name, described);
                assert!(matches!(told, "counter" | "gauge" | "histogram"), "{line}");
                assert!(told != "counter" || name.ends_with("_total"), "{line}");
                kind = told;
                continue;
            }
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&described).unwrap_or_else(|| panic!("{line}"));
            match kind {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                _ => assert_eq!(suffix, "", "{line}"),
            }
            let series = samples.entry(name).or_default();
            assert!(series.iter().all(|(known, _)| *known != labels), "twice: {line}");
            series.push((labels, value));
        }
        let page = Self { samples };
        page.check_histograms();
        page
    }

    /// Of all series with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let series = self.samples.get(name).unwrap_or_else(|| panic!("no {name}"));
        let sum: f64 = series.iter().filter(|(of, _)| has(of, labels)).map(|(_, v)| v).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        let sum = sum as u64;
        sum
    }

    pub(super) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.samples.get(name).is_some_and(|series| series.iter().any(|(of, _)| has(of, labels)))
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.samples.contains_key(name)
    }

    fn check_histograms(&self) {
        for (name, series) in &self.samples {
            let Some(name) = name.strip_suffix("_bucket") else { continue };
            let mut last = BTreeMap::<Labels, (f64, f64)>::new();
            for (labels, count) in series {
                let mut labels = labels.clone();
                let bound = labels.remove("le").unwrap().parse::<f64>().unwrap();
                let (before, less) = last.entry(labels).or_insert((f64::NEG_INFINITY, 0.0));
                assert!(*before < bound && *less <= *count, "{name}");
                (*before, *less) = (bound, *count);
            }
            for (labels, (bound, count)) in last {
                assert!(bound.is_infinite(), "{name}");
                let total = &self.samples[&format!("{name}_count")];
                assert!(total.contains(&(labels, count)), "{name}");
            }
        }
    }
}

fn has(labels: &Labels, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|&(label, value)| labels.get(label).is_some_and(|found| found == value))
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            match after.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, value.parse().unwrap())
}

/// The text up to the closing quote, and what comes after that.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match letters.next().unwrap().1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("\\{other}"),
            }),
            other => value.push(other),
        }
    }
    panic!("no end: {text}")
}

/// The metrics that a query names: words with one of our beginnings.
pub(super) fn names(query: &str) -> Vec<String> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("kubearmor_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}
