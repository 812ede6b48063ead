//! A pattern that is followed name by name, so that every place in a filesystem knows what of it is still to come.

use std::collections::BTreeSet;

use ruleset::{Glob, Token};

/// How far a path has come in a pattern: everything that the path behind it may still look like.
pub(super) type Positions = BTreeSet<usize>;

/// Behind the last token.
const END: usize = usize::MAX;

pub(super) struct Pattern {
    nodes: Vec<Node>,
    first: usize,
}

struct Node {
    token: Token,
    next: usize,
    /// Where the alternatives begin; each leads on to `next`.
    branches: Vec<usize>,
}

impl Pattern {
    /// `None` for a broken pattern, which matches nothing.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut parsed = Self { nodes: Vec::new(), first: END };
        parsed.first = parsed.add(&Glob::parse(pattern).ok()?.tokens, END);
        Some(parsed)
    }

    fn add(&mut self, tokens: &[Token], end: usize) -> usize {
        tokens.iter().rev().fold(end, |next, token| {
            let branches = match token {
                Token::Alternatives(all) => all.iter().map(|one| self.add(one, next)).collect(),
                _ => Vec::new(),
            };
            self.nodes.push(Node { token: token.clone(), next, branches });
            self.nodes.len() - 1
        })
    }

    /// Where a path that begins with `text` stands.
    pub(super) fn begun(&self, text: &str) -> Positions {
        self.after(&Positions::from([self.first]), text)
    }

    /// Empty if no path with `text` there can match.
    pub(super) fn after(&self, at: &Positions, text: &str) -> Positions {
        let step = |at: Positions, c| self.opened(&at).filter_map(|p| self.step(p, c)).collect();
        text.chars().fold(at.clone(), step)
    }

    /// Whether a path that ends here matches.
    pub(super) fn may_end(&self, at: &Positions) -> bool {
        self.opened(at).any(|position| position == END)
    }

    /// Whether all that may come is named by stars alone, as the entries of a directory are.
    pub(super) fn is_content(&self, at: &Positions) -> bool {
        let is_star = |node: &Node| matches!(node.token, Token::Star | Token::DoubleStar);
        let ends = |node: &Node| is_star(node) && node.next == END;
        self.opened(at).all(|position| self.nodes.get(position).is_none_or(ends))
    }

    fn step(&self, position: usize, c: char) -> Option<usize> {
        let node = self.nodes.get(position)?;
        match &node.token {
            Token::Literal(wanted) => (c == *wanted).then_some(node.next),
            Token::AnyCharacter => (c != '/').then_some(node.next),
            Token::Class(class) => class.contains(c).then_some(node.next),
            Token::Star => (c != '/').then_some(position),
            Token::DoubleStar => Some(position),
            Token::Alternatives(_) => None,
        }
    }

    /// With the positions that are reached without any character.
    fn opened(&self, at: &Positions) -> impl Iterator<Item = usize> {
        let mut found = Positions::new();
        let mut pending: Vec<usize> = at.iter().copied().collect();
        while let Some(position) = pending.pop() {
            if !found.insert(position) {
                continue;
            }
            let Some(node) = self.nodes.get(position) else { continue };
            match node.token {
                Token::Star | Token::DoubleStar => pending.push(node.next),
                Token::Alternatives(_) => pending.extend(&node.branches),
                _ => {}
            }
        }
        found.into_iter()
    }

    /// What is still to come, if only one text can be.
    pub(super) fn literal(&self, position: usize) -> Option<String> {
        let (text, end) = self.literal_run(position);
        (end == END).then_some(text)
    }

    /// The directories that certainly come next, without a slash at their end, and the position behind them.
    pub(super) fn directories(&self, position: usize) -> Option<(String, usize)> {
        let (mut text, _) = self.literal_run(position);
        text.truncate(text.rfind('/')?);
        let behind =
            (0..=text.chars().count()).try_fold(position, |at, _| Some(self.nodes.get(at)?.next));
        Some((text, behind?))
    }

    fn literal_run(&self, mut position: usize) -> (String, usize) {
        let mut text = String::new();
        while let Some(Node { token: Token::Literal(c), next, .. }) = self.nodes.get(position) {
            text.push(*c);
            position = *next;
        }
        (text, position)
    }

    /// What is still to come, as a pattern of its own.
    pub(super) fn rest(&self, mut position: usize) -> String {
        let mut rest = String::new();
        let mut before: Option<&Token> = None;
        while let Some(node) = self.nodes.get(position) {
            // Behind an alternative that ends in a star another may follow, and the two together read differently.
            match (before, &node.token) {
                (Some(Token::Star), Token::DoubleStar) => rest.push('*'),
                (Some(Token::Star | Token::DoubleStar), Token::Star)
                | (Some(Token::DoubleStar), Token::DoubleStar) => {
                    position = node.next;
                    continue;
                }
                _ => write(&node.token, &mut rest),
            }
            before = Some(&node.token);
            position = node.next;
        }
        rest
    }
}

/// A pattern that means exactly `path`.
pub(super) fn escape(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    path.chars().for_each(|c| write_literal(c, &mut pattern));
    pattern
}

fn write(token: &Token, pattern: &mut String) {
    match token {
        Token::Literal(c) => write_literal(*c, pattern),
        Token::AnyCharacter => pattern.push('?'),
        Token::Star => pattern.push('*'),
        Token::DoubleStar => pattern.push_str("**"),
        Token::Class(class) => {
            pattern.push_str(if class.negated { "[^" } else { "[" });
            for &(from, to) in &class.ranges {
                write_member(from, pattern);
                if from != to {
                    pattern.push('-');
                    write_member(to, pattern);
                }
            }
            pattern.push(']');
        }
        Token::Alternatives(all) => {
            for (number, one) in all.iter().enumerate() {
                pattern.push(if number == 0 { '{' } else { ',' });
                for token in one {
                    write(token, pattern);
                }
            }
            pattern.push('}');
        }
    }
}

fn write_member(c: char, pattern: &mut String) {
    if c == '-' {
        pattern.push('\\');
    }
    write_literal(c, pattern);
}

fn write_literal(c: char, pattern: &mut String) {
    if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '^' | ',') {
        pattern.push('\\');
    }
    pattern.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(pattern: &str, begun: &str) -> Vec<String> {
        let pattern = Pattern::parse(pattern).unwrap();
        pattern.begun(begun).into_iter().map(|position| pattern.rest(position)).collect()
    }

    #[test]
    fn what_is_still_to_come_is_a_pattern_again() {
        assert_eq!(rests("/{bin,usr/{bin,sbin}}/w*", "/usr/"), ["{bin,sbin}/w*"]);
        assert_eq!(rests("/{bin,usr/{bin,sbin}}/w*", "/usr/sbin/"), ["w*"]);
        assert_eq!(rests("**/whoami", "/opt/"), ["whoami", "**/whoami"]);
        assert_eq!(rests("/{a*,b}*c", "/a"), ["*c"]);
        assert_eq!(rests("/{a*,b}**c", "/a"), ["**c"]);
        assert_eq!(rests("/a/[^b-d\\]]?", "/a/"), ["[^b-d\\]]?"]);
        assert!(rests("/a/*", "/b").is_empty());
    }

    #[test]
    fn a_written_class_means_what_was_read() {
        for pattern in ["/[]-]", "/[\\^a]", "/[a-]", "/[a\\-z]", "/[^]b]"] {
            let rest = rests(pattern, "/").remove(0);
            let read = |pattern: &str| Glob::parse(pattern).unwrap().tokens;
            assert_eq!(read(&format!("/{rest}")), read(pattern), "{rest}");
        }
    }

    #[test]
    fn ends_and_certain_directories() {
        let pattern = Pattern::parse("/srv/{,x}*").unwrap();
        assert!(pattern.may_end(&pattern.begun("/srv/")));
        assert!(!pattern.may_end(&pattern.begun("/srv")));
        let pattern = Pattern::parse("/srv/é/k*").unwrap();
        let (directories, behind) = pattern.directories(pattern.first).unwrap();
        assert_eq!((directories.as_str(), pattern.rest(behind).as_str()), ("/srv/é", "k*"));
        assert_eq!(pattern.literal(behind), None);
    }
}
