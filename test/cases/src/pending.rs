//! The list of cases that need later features: lines `case-name: reason`.

use std::collections::BTreeMap;

/// Reasons by case name.
#[derive(Debug, Default)]
pub struct Pending(BTreeMap<String, String>);

impl Pending {
    /// Empty lines and those that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .filter(|line| !line.starts_with('#'))
            .map(|line| match line.split_once(": ") {
                Some((name, reason)) => Ok((name.to_owned(), reason.trim().to_owned())),
                None => Err(format!("not `case-name: reason`: {line}")),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn reason(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_reasons() {
        let pending = Pending::parse("# later\n\ncap-audit: needs logs: all of them\n").unwrap();
        assert_eq!(pending.reason("cap-audit"), Some("needs logs: all of them"));
        assert_eq!(pending.reason("cap-block"), None);
        assert!(Pending::parse("cap-audit").is_err());
    }
}
