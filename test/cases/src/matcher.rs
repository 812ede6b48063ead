//! What a value must be: a plain value, `{contains}`, `{absent}`, `{regex}`, `{any: [..]}`, `{equals}`.

use std::{collections::BTreeMap, fmt};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::format::EventPattern;

/// A condition on a value; the value is seen as text: numbers in decimal, lists joined with commas.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Matcher {
    Equals(String),
    Contains(String),
    Absent(String),
    Regex(Regex),
    /// Equal to one of them.
    Any(Vec<String>),
}

/// A condition on what a program wrote; here a plain value has no meaning.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub struct TextMatcher(Matcher);

/// A condition on an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum ExitMatcher {
    Is(i32),
    Nonzero,
    Any,
}

impl Matcher {
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Contains(part) => text.contains(part),
            Self::Absent(part) => !text.contains(part),
            Self::Regex(regex) => regex.is_match(text),
            Self::Any(wanted) => wanted.iter().any(|wanted| text == wanted),
        }
    }
}

impl TextMatcher {
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }
}

impl ExitMatcher {
    pub fn matches(self, status: i32) -> bool {
        match self {
            Self::Is(wanted) => status == wanted,
            Self::Nonzero => status != 0,
            Self::Any => true,
        }
    }
}

impl EventPattern {
    /// An event leaves out what is empty, so a field that it lacks is the empty text and zero.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.iter().all(|(field, matcher)| match event.get(field) {
            Some(value) => matcher.matches(&as_text(value)),
            None => matcher.matches("") || matches!(matcher, Matcher::Equals(zero) if zero == "0"),
        })
    }
}

/// How matchers see a value.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl TryFrom<Value> for Matcher {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Value::Object(fields) = &value else {
            return Ok(Self::Equals(as_text(&value)));
        };
        let mut fields = fields.iter();
        let (Some((kind, operand)), None) = (fields.next(), fields.next()) else {
            return Err(format!("a matcher has one key: {value}"));
        };
        match (kind.as_str(), operand) {
            ("any", Value::Array(items)) => Ok(Self::Any(items.iter().map(as_text).collect())),
            ("any", other) => Err(format!("`any` lists values: {other}")),
            ("equals", operand) => Ok(Self::Equals(as_text(operand))),
            ("contains", operand) => Ok(Self::Contains(as_text(operand))),
            ("absent", operand) => Ok(Self::Absent(as_text(operand))),
            ("regex", operand) => {
                Regex::new(&as_text(operand)).map(Self::Regex).map_err(|error| error.to_string())
            }
            (other, _) => Err(format!("`{other}` is none of contains, absent, regex, any, equals")),
        }
    }
}

impl TryFrom<Value> for TextMatcher {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err(format!("say `contains`, `absent` or `equals`: {value}"));
        }
        Matcher::try_from(value).map(Self)
    }
}

impl TryFrom<Value> for ExitMatcher {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(word) if word == "nonzero" => Ok(Self::Nonzero),
            Value::String(word) if word == "any" => Ok(Self::Any),
            Value::Number(number) => number
                .as_i64()
                .and_then(|status| i32::try_from(status).ok())
                .map(Self::Is)
                .ok_or_else(|| format!("not an exit status: {number}")),
            other => Err(format!("an exit status, `nonzero` or `any`, not {other}")),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(text) => write!(f, "{text:?}"),
            Self::Contains(text) => write!(f, "contains {text:?}"),
            Self::Absent(text) => write!(f, "absent {text:?}"),
            Self::Regex(regex) => write!(f, "regex {:?}", regex.as_str()),
            Self::Any(texts) => write!(f, "any of {texts:?}"),
        }
    }
}

impl fmt::Display for TextMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ExitMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(status) => write!(f, "{status}"),
            Self::Nonzero => f.write_str("nonzero"),
            Self::Any => f.write_str("any"),
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: &BTreeMap<_, _> = &self.0;
        let fields: Vec<_> =
            fields.iter().map(|(field, matcher)| format!("{field} {matcher}")).collect();
        f.write_str(&fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matcher(value: Value) -> Matcher {
        Matcher::try_from(value).unwrap()
    }

    fn pattern(value: Value) -> EventPattern {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn plain_values_compare_equal() {
        assert!(matcher(json!("Block")).matches("Block"));
        assert!(!matcher(json!("Block")).matches("Blocked"));
        assert!(matcher(json!(7)).matches("7"));
        assert!(matcher(json!(["a", "b"])).matches("a,b"));
    }

    #[test]
    fn each_kind_has_its_meaning() {
        assert!(matcher(json!({"contains": "b"})).matches("abc"));
        assert!(!matcher(json!({"absent": "b"})).matches("abc"));
        assert!(matcher(json!({"regex": "^a.c$"})).matches("abc"));
        assert!(matcher(json!({"any": ["x", 3]})).matches("3"));
        assert!(matcher(json!({"equals": "a\n"})).matches("a\n"));
    }

    #[test]
    fn numbers_and_lists_are_seen_as_text() {
        let event = json!({"PID": 42, "ATags": ["PCI", "ledger"], "Resource": "/srv/a"});
        assert!(pattern(json!({"PID": {"regex": "^4"}})).matches(&event));
        assert!(pattern(json!({"ATags": ["PCI", "ledger"]})).matches(&event));
        assert!(pattern(json!({"ATags": {"contains": "PCI,led"}})).matches(&event));
        assert!(!pattern(json!({"PID": 42, "Resource": "/srv"})).matches(&event));
    }

    #[test]
    fn a_field_left_out_is_empty_or_zero() {
        let event = json!({"Action": "Block"});
        assert!(pattern(json!({"Severity": ""})).matches(&event));
        assert!(pattern(json!({"UID": 0})).matches(&event));
        assert!(pattern(json!({"Tags": {"absent": "x"}})).matches(&event));
        assert!(!pattern(json!({"Result": "Passed"})).matches(&event));
    }

    #[test]
    fn exit_statuses() {
        let exit = |value| ExitMatcher::try_from(value);
        assert!(exit(json!("nonzero")).unwrap().matches(126));
        assert!(!exit(json!("nonzero")).unwrap().matches(0));
        assert!(exit(json!(13)).unwrap().matches(13));
        assert!(exit(json!("any")).unwrap().matches(0));
        assert!(exit(json!("no")).is_err());
    }

    #[test]
    fn mistakes_are_errors() {
        assert!(Matcher::try_from(json!({"contain": "x"})).is_err());
        assert!(Matcher::try_from(json!({"contains": "x", "absent": "y"})).is_err());
        assert!(Matcher::try_from(json!({"regex": "("})).is_err());
        assert!(TextMatcher::try_from(json!("plain")).is_err());
    }
}
