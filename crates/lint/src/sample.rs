//! A likely path of an object: one that hardly any other rule names, so that mostly no automaton has to be asked whether
//! the object's rule ever decides.

use policy::PathObject;
use ruleset::{Glob, Token, matches};

/// Stands where any name would do.
const NAME: &str = "zq-other";

/// A path that the object covers, if one is found at once.
pub(crate) fn sample(object: &PathObject) -> Option<Vec<u8>> {
    let path = match object {
        PathObject::Path(path) => path.clone(),
        PathObject::ExecName(name) => format!("/{NAME}/{name}"),
        PathObject::Directory { dir, recursive: true } => format!("{dir}{NAME}/{NAME}"),
        PathObject::Directory { dir, recursive: false } => format!("{dir}{NAME}"),
        PathObject::Pattern(pattern) => text(&Glob::parse(pattern).ok()?.tokens)?,
    };
    let canonical = path.starts_with('/') && !path[1..].split('/').any(is_no_name);
    (canonical && matches(object, path.as_bytes())).then(|| path.into_bytes())
}

fn is_no_name(component: &str) -> bool {
    matches!(component, "" | "." | "..")
}

fn text(tokens: &[Token]) -> Option<String> {
    tokens.iter().map(token).collect()
}

fn token(token: &Token) -> Option<String> {
    match token {
        Token::Literal(c) => Some(c.to_string()),
        Token::AnyCharacter => Some("q".to_owned()),
        Token::Star | Token::DoubleStar => Some(NAME.to_owned()),
        Token::Class(class) => {
            let listed = class.ranges.iter().map(|&(from, _)| from);
            ('a'..='z').chain(listed).find(|&c| class.contains(c)).map(String::from)
        }
        Token::Alternatives(alternatives) => alternatives.iter().find_map(|tokens| text(tokens)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_covered() {
        let pattern = |text: &str| sample(&PathObject::Pattern(text.to_owned()));
        assert_eq!(pattern("/**/{a,b}[^a]?"), Some(b"/zq-other/abq".to_vec()));
        assert_eq!(pattern("/a//*"), None);
        let dir = "/etc/".to_owned();
        let directory = PathObject::Directory { dir, recursive: false };
        assert_eq!(sample(&directory), Some(b"/etc/zq-other".to_vec()));
    }
}
