//! The tests that wait for something, and for what: `pending.txt`.

use anyhow::{Context as _, Result, ensure};

/// Test names and why they wait.
pub(crate) struct Pending(Vec<(&'static str, &'static str)>);

impl Pending {
    /// Reads the list; it may name only tests that there are.
    pub(crate) fn read(names: &[&str]) -> Result<Self> {
        let pending = Self(parse(include_str!("../pending.txt"))?);
        for (name, _) in &pending.0 {
            ensure!(names.contains(name), "pending.txt: there is no test {name}");
        }
        Ok(pending)
    }

    /// Why a test waits, if it does.
    pub(crate) fn reason(&self, name: &str) -> Option<&'static str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, reason)| *reason)
    }
}

fn parse(text: &'static str) -> Result<Vec<(&'static str, &'static str)>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.split_once(": ").with_context(|| format!("pending.txt: no reason: {line}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_name_and_a_reason() {
        assert_eq!(parse("# why\n\na: waits: for b\n").unwrap(), [("a", "waits: for b")]);
        assert!(parse("a\n").is_err());
    }

    #[test]
    fn the_list_names_tests_that_there_are() {
        let names: Vec<&str> = crate::all().iter().map(|(name, _)| *name).collect();
        let pending = Pending::read(&names).unwrap();
        assert!(pending.reason("pod-runs").is_none());
        assert!(Pending::read(&[]).is_err() || pending.0.is_empty());
    }
}
