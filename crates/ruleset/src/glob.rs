//! Patterns over paths: their syntax, and what they match. `crates/compile` turns the same tokens into an automaton.

use std::collections::BTreeSet;

/// How deep `{...}` may nest, so that a hostile pattern cannot exhaust the stack.
const MAX_NESTING: usize = 32;

/// A parsed pattern, anchored at both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pub tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    Literal(char),
    /// `?`: one character, not `/`.
    AnyCharacter,
    /// `*`: any run without `/`.
    Star,
    /// `**`: any run.
    DoubleStar,
    Class(CharacterClass),
    /// `{a,b}`.
    Alternatives(Vec<Vec<Self>>),
}

/// `[abc]`, `[a-z]`, `[^a]`. Never matches `/`, listed or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CharacterClass {
    pub negated: bool,
    /// Inclusive at both ends.
    pub ranges: Vec<(char, char)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("`[` has no closing `]`")]
    OpenClass,
    #[error("`{{` has no closing `}}`")]
    OpenAlternatives,
    #[error("the range `{0}-{1}` runs backwards")]
    BackwardRange(char, char),
    #[error("`\\` at the end escapes nothing")]
    DanglingEscape,
    #[error("`{{` is nested more than {MAX_NESTING} deep")]
    TooDeep,
}

impl Glob {
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut parser = Parser { rest: pattern.chars().peekable(), depth: 0 };
        Ok(Self { tokens: parser.tokens()? })
    }

    /// Bytes that are no valid UTF-8 match the stars only: they are no characters.
    pub fn matches(&self, path: &[u8]) -> bool {
        ends(&self.tokens, path, BTreeSet::from([0])).contains(&path.len())
    }

    /// What every matching path starts with.
    pub fn literal_prefix(&self) -> String {
        self.tokens
            .iter()
            .map_while(|token| match token {
                Token::Literal(c) => Some(*c),
                _ => None,
            })
            .collect()
    }
}

impl CharacterClass {
    pub fn contains(&self, c: char) -> bool {
        c != '/' && self.ranges.iter().any(|&(from, to)| from <= c && c <= to) != self.negated
    }
}

/// What every path that matches the pattern starts with, escapes resolved. Empty for a broken pattern.
pub fn literal_prefix(pattern: &str) -> String {
    Glob::parse(pattern).map(|glob| glob.literal_prefix()).unwrap_or_default()
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: usize,
}

impl Parser<'_> {
    /// Inside braces it stops before `,` and `}`.
    fn tokens(&mut self) -> Result<Vec<Token>, GlobError> {
        let mut tokens = Vec::new();
        while let Some(&c) = self.rest.peek() {
            if self.depth > 0 && matches!(c, ',' | '}') {
                break;
            }
            self.rest.next();
            tokens.push(match c {
                '\\' => Token::Literal(self.rest.next().ok_or(GlobError::DanglingEscape)?),
                '?' => Token::AnyCharacter,
                '*' => self.stars(),
                '[' => self.class()?,
                '{' => self.alternatives()?,
                other => Token::Literal(other),
            });
        }
        Ok(tokens)
    }

    fn stars(&mut self) -> Token {
        let mut token = Token::Star;
        while self.rest.next_if_eq(&'*').is_some() {
            token = Token::DoubleStar;
        }
        token
    }

    fn class(&mut self) -> Result<Token, GlobError> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let from = match self.rest.next().ok_or(GlobError::OpenClass)? {
                // A bracket that comes first stands for itself, as everywhere else globs are read.
                ']' if !ranges.is_empty() => break,
                '\\' => self.rest.next().ok_or(GlobError::OpenClass)?,
                c => c,
            };
            ranges.push((from, self.range_end(from)?));
        }
        Ok(Token::Class(CharacterClass { negated, ranges }))
    }

    /// The last character of a range that starts with `from`: itself where no range is written.
    fn range_end(&mut self, from: char) -> Result<char, GlobError> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.peek().is_none_or(|&c| c == ']') {
            return Ok(from);
        }
        self.rest.next();
        let to = match self.rest.next().ok_or(GlobError::OpenClass)? {
            '\\' => self.rest.next().ok_or(GlobError::OpenClass)?,
            c => c,
        };
        if to < from { Err(GlobError::BackwardRange(from, to)) } else { Ok(to) }
    }

    fn alternatives(&mut self) -> Result<Token, GlobError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(GlobError::TooDeep);
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.tokens()?);
            match self.rest.next() {
                Some(',') => {}
                Some('}') => break,
                _ => return Err(GlobError::OpenAlternatives),
            }
        }
        self.depth -= 1;
        Ok(Token::Alternatives(alternatives))
    }
}

/// Where a match of `tokens` may end that began at one of `starts`.
fn ends(tokens: &[Token], path: &[u8], starts: BTreeSet<usize>) -> BTreeSet<usize> {
    tokens.iter().fold(starts, |starts, token| match token {
        Token::Literal(c) => character_ends(path, &starts, |found| found == *c),
        Token::AnyCharacter => character_ends(path, &starts, |found| found != '/'),
        Token::Class(class) => character_ends(path, &starts, |found| class.contains(found)),
        Token::Star => run_ends(path, &starts, |byte| byte != b'/'),
        Token::DoubleStar => run_ends(path, &starts, |_| true),
        Token::Alternatives(alternatives) => alternatives
            .iter()
            .flat_map(|alternative| ends(alternative, path, starts.clone()))
            .collect(),
    })
}

fn character_ends(
    path: &[u8],
    starts: &BTreeSet<usize>,
    wanted: impl Fn(char) -> bool,
) -> BTreeSet<usize> {
    let character_at = |&start: &usize| {
        let c = path[start..].utf8_chunks().next()?.valid().chars().next()?;
        wanted(c).then_some(start + c.len_utf8())
    };
    starts.iter().filter_map(character_at).collect()
}

fn run_ends(
    path: &[u8],
    starts: &BTreeSet<usize>,
    allowed: impl Fn(u8) -> bool,
) -> BTreeSet<usize> {
    let run = |&start: &usize| {
        let length = path[start..].iter().take_while(|&&byte| allowed(byte)).count();
        start..=start + length
    };
    starts.iter().flat_map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("/srv/keys/*.pe?", "/srv/keys/web.pem"));
        assert!(!matches("/srv/keys/*.pe?", "/srv/keys/web.pe"));
        assert!(!matches("/srv/keys/*.pe?", "/srv/keys/old/web.pem"));
        assert!(matches("/srv/tree/**.dump", "/srv/tree/a/b/core.dump"));
        assert!(!matches("/srv/tree/**.dump", "/srv/tree/a/b/core.dumps"));
        assert!(matches("/?", "/é"));
        assert!(!matches("/??", "/é"));
        assert!(!matches("/a?b", "/a/b"));
        assert!(!Glob::parse("/?").unwrap().matches(b"/\xff"));
        assert!(Glob::parse("/*").unwrap().matches(b"/\xff"));
    }

    #[test]
    fn classes_alternatives_and_escapes() {
        assert!(matches("/srv/in/[^a-m]*.{csv,tsv}", "/srv/in/zeta.csv"));
        assert!(!matches("/srv/in/[^a-m]*.{csv,tsv}", "/srv/in/alpha.csv"));
        assert!(!matches("/a[^b]c", "/a/c"));
        assert!(matches(r"/lit\*eral", "/lit*eral"));
        assert!(!matches(r"/lit\*eral", "/litteral"));
        assert!(matches("/x[]-]", "/x]"));
        assert!(matches("/x[]-]", "/x-"));
        assert!(matches("/x{,.old{1,2}}", "/x"));
        assert!(matches("/x{,.old{1,2}}", "/x.old2"));
        assert!(matches("/{usr/,}bin/sh", "/usr/bin/sh"));
        assert!(matches("/a,b}", "/a,b}"));
    }

    #[test]
    fn broken_patterns_say_why() {
        assert_eq!(Glob::parse("/[a"), Err(GlobError::OpenClass));
        assert_eq!(Glob::parse("/[]"), Err(GlobError::OpenClass));
        assert_eq!(Glob::parse("/{a,b"), Err(GlobError::OpenAlternatives));
        assert_eq!(Glob::parse("/[z-a]"), Err(GlobError::BackwardRange('z', 'a')));
        assert_eq!(Glob::parse("/a\\"), Err(GlobError::DanglingEscape));
        assert_eq!(Glob::parse(&"{".repeat(9_000)), Err(GlobError::TooDeep));
    }

    #[test]
    fn the_literal_prefix_ends_where_choice_begins() {
        assert_eq!(literal_prefix(r"/srv/a\*b/[cd]"), "/srv/a*b/");
        assert_eq!(literal_prefix("**"), "");
    }
}
