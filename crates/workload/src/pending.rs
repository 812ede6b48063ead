//! Stand-ins until `ruleset` has these.
use policy::PathObject;
use std::collections::BTreeSet;
#[derive(Default)]
pub struct WantedLinks {
    pub objects: BTreeSet<PathObject>,
    pub sources: BTreeSet<String>,
}
pub fn literal_prefix(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' | '{' => break,
            '\\' => {
                if let Some(c) = chars.next() {
                    out.push(c)
                }
            }
            c => out.push(c),
        }
    }
    out
}
pub fn matches(object: &PathObject, path: &str) -> bool {
    match object {
        PathObject::Path(p) => p == path,
        PathObject::ExecName(n) => path.ends_with(&format!("/{n}")),
        PathObject::Directory { dir, recursive } => {
            path.strip_prefix(dir.as_str()).is_some_and(|r| *recursive || !r.contains('/'))
        }
        PathObject::Pattern(p) => {
            path.starts_with(&literal_prefix(p))
                && (p.contains("**") || !path[literal_prefix(p).len()..].contains('/'))
        }
    }
}
