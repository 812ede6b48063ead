//! The syntax of path patterns: `?`, `*`, `**`, `[abc]`, `[a-z]`, `[^a]`, `{a,b}` and `\` escapes.
//!
//! Here a pattern is only checked; what it matches is `ruleset`'s business.

use thiserror::Error;

/// A pattern taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern(Vec<Element>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Element {
    Literal(char),
    /// `?`: one character, not `/`.
    AnyOne,
    /// `*`: any run without `/`.
    AnyRun,
    /// `**`: any run.
    AnyDepth,
    /// `[a-z]`, `[^a-z]`: one character of these ranges (both ends included), or of none of them;
    /// never `/`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `{a,b}`: one of these.
    Alternatives(Vec<Pattern>),
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum PatternError {
    #[error("`[` is never closed")]
    OpenClass,
    #[error("the range `{0}-{1}` runs backwards")]
    BackwardRange(char, char),
    #[error("`{{` is never closed")]
    OpenAlternatives,
    #[error("`\\` at the end escapes nothing")]
    TrailingEscape,
    #[error("`{{` nested more than {MAX_NESTING} levels deep")]
    TooDeep,
}

/// How deep `{...}` may nest, so that a hostile pattern cannot exhaust the stack.
const MAX_NESTING: usize = 32;

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        Parser { rest: text.chars().peekable(), depth: 0 }.sequence()
    }

    /// Whether a text contains a glob character that no `\` escapes.
    pub(crate) fn is_written_in(text: &str) -> bool {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '*' | '?' | '[' | '{' => return true,
                _ => {}
            }
        }
        false
    }

    /// A text without glob characters as the path it names: `\` before a glob character or
    /// another `\` is taken away, any other stays (unit names have `\x2d`).
    pub(crate) fn unescape(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.peek() {
                Some(&next) if c == '\\' && "*?[]{}\\".contains(next) => {
                    out.push(next);
                    chars.next();
                }
                _ => out.push(c),
            }
        }
        out
    }

    /// Whether it can match a text that begins with `/`.
    pub(crate) fn can_match_absolute(&self) -> bool {
        for element in &self.0 {
            match element {
                Element::Literal(c) => return *c == '/',
                Element::AnyOne | Element::Class { .. } => return false,
                // They may match nothing, so that what follows counts too.
                Element::AnyRun => {}
                Element::AnyDepth => return true,
                Element::Alternatives(alternatives) => {
                    if alternatives.iter().any(Self::can_match_absolute) {
                        return true;
                    }
                    if !alternatives.iter().any(Self::can_be_empty) {
                        return false;
                    }
                }
            }
        }
        false
    }

    fn can_be_empty(&self) -> bool {
        self.0.iter().all(|element| match element {
            Element::AnyRun | Element::AnyDepth => true,
            Element::Alternatives(alternatives) => alternatives.iter().any(Self::can_be_empty),
            Element::Literal(_) | Element::AnyOne | Element::Class { .. } => false,
        })
    }

    /// Whether a class begins with `!`, which negates elsewhere but not here.
    pub(crate) fn has_shell_negation(&self) -> bool {
        self.0.iter().any(|element| match element {
            Element::Class { negated: false, ranges } => ranges.first() == Some(&('!', '!')),
            Element::Alternatives(alternatives) => {
                alternatives.iter().any(Self::has_shell_negation)
            }
            _ => false,
        })
    }
}

struct Parser<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    /// How many `{` are open.
    depth: usize,
}

impl Parser<'_> {
    /// Up to the end, or to the `,` or `}` of the alternatives that it is one of.
    fn sequence(&mut self) -> Result<Pattern, PatternError> {
        let mut elements = Vec::new();
        while let Some(&c) = self.rest.peek() {
            if self.depth > 0 && matches!(c, ',' | '}') {
                break;
            }
            self.rest.next();
            elements.push(self.element(c)?);
        }
        Ok(Pattern(elements))
    }

    fn element(&mut self, first: char) -> Result<Element, PatternError> {
        Ok(match first {
            '?' => Element::AnyOne,
            '*' if self.rest.next_if_eq(&'*').is_some() => {
                while self.rest.next_if_eq(&'*').is_some() {}
                Element::AnyDepth
            }
            '*' => Element::AnyRun,
            '[' => self.class()?,
            '{' => self.alternatives()?,
            '\\' => Element::Literal(self.escaped()?),
            c => Element::Literal(c),
        })
    }

    fn escaped(&mut self) -> Result<char, PatternError> {
        self.rest.next().ok_or(PatternError::TrailingEscape)
    }

    fn class(&mut self) -> Result<Element, PatternError> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let from = match self.rest.next().ok_or(PatternError::OpenClass)? {
                // A bracket that comes first stands for itself, as everywhere else globs are read.
                ']' if !ranges.is_empty() => return Ok(Element::Class { negated, ranges }),
                c => self.class_member(c)?,
            };
            ranges.push((from, self.range_end(from)?));
        }
    }

    fn class_member(&mut self, c: char) -> Result<char, PatternError> {
        if c == '\\' { self.rest.next().ok_or(PatternError::OpenClass) } else { Ok(c) }
    }

    /// A `-` that stands last in its class is an ordinary character.
    fn range_end(&mut self, from: char) -> Result<char, PatternError> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.peek() == Some(&']') {
            return Ok(from);
        }
        self.rest = ahead;
        let c = self.rest.next().ok_or(PatternError::OpenClass)?;
        let to = self.class_member(c)?;
        if to < from { Err(PatternError::BackwardRange(from, to)) } else { Ok(to) }
    }

    fn alternatives(&mut self) -> Result<Element, PatternError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(PatternError::TooDeep);
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence()?);
            match self.rest.next() {
                Some('}') => break,
                Some(_) => {}
                None => return Err(PatternError::OpenAlternatives),
            }
        }
        self.depth -= 1;
        Ok(Element::Alternatives(alternatives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_pattern_apart() {
        let Pattern(elements) = Pattern::parse(r"a?*/**\*[^a-c-]{x,,y{1,2}}").unwrap();
        let literals = |text: &str| Pattern(text.chars().map(Element::Literal).collect());
        let nested = Element::Alternatives(vec![literals("1"), literals("2")]);
        assert_eq!(
            elements,
            [
                Element::Literal('a'),
                Element::AnyOne,
                Element::AnyRun,
                Element::Literal('/'),
                Element::AnyDepth,
                Element::Literal('*'),
                Element::Class { negated: true, ranges: vec![('a', 'c'), ('-', '-')] },
                Element::Alternatives(vec![
                    literals("x"),
                    literals(""),
                    Pattern(vec![Element::Literal('y'), nested]),
                ]),
            ]
        );
    }

    #[test]
    fn broken_syntax() {
        for (text, error) in [
            ("/a[b", PatternError::OpenClass),
            ("/a[", PatternError::OpenClass),
            ("/a[]", PatternError::OpenClass),
            ("/a[^]", PatternError::OpenClass),
            ("/a[z-a]", PatternError::BackwardRange('z', 'a')),
            ("/a{b,c", PatternError::OpenAlternatives),
            ("/a\\", PatternError::TrailingEscape),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        let nested = |depth| "{".repeat(depth) + &"}".repeat(depth);
        assert!(Pattern::parse(&nested(MAX_NESTING)).is_ok());
        assert_eq!(Pattern::parse(&nested(MAX_NESTING + 1)), Err(PatternError::TooDeep));
        for text in ["/a,b]", "/a}b", "/[]a]", "/{}", "/{a}", "/[^]]"] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn glob_characters_in_a_path() {
        assert!(Pattern::is_written_in("/home/*/x"));
        assert!(!Pattern::is_written_in(r"/usr/bin/\["));
        assert_eq!(Pattern::unescape(r"/usr/bin/\["), "/usr/bin/[");
        assert_eq!(Pattern::unescape(r"/run/dev-disk\x2dby"), r"/run/dev-disk\x2dby");
        assert_eq!(Pattern::unescape("/a\\"), "/a\\");
    }

    #[test]
    fn whether_it_can_match_an_absolute_path() {
        for (text, can) in [
            ("/a", true),
            ("**/a", true),
            ("*/a", true),
            ("*.log", false),
            ("{,x}/a", true),
            ("{x,/}a", true),
            ("a*", false),
            ("?/a", false),
            ("[^a]b", false),
            ("", false),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().can_match_absolute(), can, "{text}");
        }
    }
}
