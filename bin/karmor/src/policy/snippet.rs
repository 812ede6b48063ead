//! A change of policies as whoever makes it would write it.

use std::fmt::Write as _;

use policy::{Kind, PathObject};
use ruleset::{Class, Edit, Modifier, Object, Rule, RuleSet, Workload, WorkloadKind};
use serde_json::{Value, json};

use super::{set::PolicySet, words};

/// What to do, and the text to add if there is one.
pub(super) struct Instruction {
    pub(super) what: String,
    pub(super) yaml: Option<String>,
}

/// `renamed` holds paths as they are written and what their links lead to.
pub(super) fn instruction(
    edit: &Edit,
    rules: &RuleSet,
    set: &PolicySet,
    workload: &Workload,
    renamed: &[(String, String)],
) -> Instruction {
    let at = |id: &u32| words::place(&rules.rules[*id as usize].origin, set);
    let plain = |what| Instruction { what, yaml: None };
    match edit {
        Edit::Action { rule, to } => plain(format!("give {} `action: {}`", at(rule), to.as_str())),
        Edit::Arguments { rule, also } => {
            let also: Vec<_> = also.iter().map(|argument| scalar(argument)).collect();
            plain(format!("add {} to `allowedArgs` of {}", also.join(", "), at(rule)))
        }
        Edit::Source { rule, also } => plain(format!(
            "add `- path: {}` to `fromSource` of {}",
            written(also, renamed),
            at(rule)
        )),
        Edit::Drop { rule, modifier } => {
            let modifier = match modifier {
                Modifier::ReadOnly => "readOnly",
                Modifier::OwnerOnly => "ownerOnly",
                Modifier::Terminal => "pts: false",
                Modifier::AllowedArgs => "allowedArgs",
            };
            plain(format!("take `{modifier}` out of {}", at(rule)))
        }
        Edit::Posture { class, to } => {
            plain(format!("set the {} posture to `{}`", words::class(*class), words::posture(*to)))
        }
        Edit::Add(rule) => {
            let target = if rule.origin.policy.is_empty() {
                let kind = match workload.kind {
                    WorkloadKind::Container => Kind::Container,
                    WorkloadKind::Host => Kind::Host,
                };
                format!("a new {kind}")
            } else {
                words::policy(&rule.origin)
            };
            Instruction { what: format!("add to {target}:"), yaml: Some(yaml(rule, renamed)) }
        }
    }
}

/// What a mode that is switched means for other accesses.
pub(super) fn mode_warning(class: Class, allow_listed: bool, rules: &RuleSet) -> String {
    let name = words::class(class);
    if allow_listed {
        format!(
            "this takes class {name} out of allow-list mode: what no rule names is then permitted"
        )
    } else {
        let posture = words::posture(rules.postures.of(class));
        format!(
            "this puts class {name} into allow-list mode: what no rule names then gets its default posture, {posture}"
        )
    }
}

/// The rule in the sections it stands in.
pub(super) fn yaml(rule: &Rule, renamed: &[(String, String)]) -> String {
    let (section, list, object) = match &rule.object {
        Object::Process(paths) => ("process", "matchPaths", path_line(&paths.named, renamed)),
        Object::File(paths) => ("file", "matchPaths", path_line(&paths.named, renamed)),
        Object::Network(protocol) => {
            ("network", "matchProtocols", format!("protocol: {}", protocol.as_str()))
        }
        Object::Dns(domain) => {
            ("network", "matchDNSQueries", format!("domain: {}", scalar(domain)))
        }
        Object::Preset(preset) => {
            let action = rule.action.as_str();
            let name = preset.as_str();
            return format!("spec:\n  presets:\n  - name: {name}\n    action: {action}\n");
        }
        Object::Syscall(watched) => {
            let calls: Vec<_> = watched.calls.iter().cloned().collect();
            ("syscalls", "matchSyscalls", format!("syscall: [{}]", calls.join(", ")))
        }
        Object::Capability(number) => {
            let name = words::capability(*number).trim_start_matches("CAP_").to_ascii_lowercase();
            ("capabilities", "matchCapabilities", format!("capability: {name}"))
        }
    };
    let mut out = format!("spec:\n  {section}:\n    {list}:\n    - {object}\n");
    if let Some(source) = &rule.source {
        out.push_str("      fromSource:\n");
        for path in source {
            let _ = writeln!(out, "      - path: {}", scalar(&written(path, renamed)));
        }
    }
    let _ = writeln!(out, "      action: {}", rule.action.as_str());
    out
}

fn path_line(object: &PathObject, renamed: &[(String, String)]) -> String {
    match object {
        PathObject::Path(path) => format!("path: {}", scalar(&literal(&written(path, renamed)))),
        PathObject::ExecName(name) => format!("execname: {}", scalar(name)),
        PathObject::Pattern(pattern) => format!("pattern: {}", scalar(pattern)),
        PathObject::Directory { dir, .. } => format!("dir: {}", scalar(dir)),
    }
}

/// Policies name the link; an applet's own path is virtual.
fn written(path: &str, renamed: &[(String, String)]) -> String {
    let asked = renamed.iter().find(|(_, found)| found == path);
    asked.map_or_else(|| path.to_owned(), |(asked, _)| asked.clone())
}

/// A `path` without glob characters that mean more than themselves.
fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if "*?[]{}\\".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// A YAML scalar: in quotes unless nothing in it could mean anything.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) && text.chars().all(plain) {
        text.to_owned()
    } else {
        // JSON strings are YAML.
        Value::from(text).to_string()
    }
}

pub(super) fn instruction_json(instruction: &Instruction) -> Value {
    json!({"what": instruction.what, "yaml": instruction.yaml})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policy::{Action, Place};
    use ruleset::{Links, Origin, PathSet, Postures, Tier};

    use super::*;

    fn rule(object: Object, source: Option<&str>) -> Rule {
        Rule {
            tier: Tier::Namespaced,
            action: Action::Allow,
            object,
            source: source.map(|source| BTreeSet::from([source.to_owned()])),
            read_only: false,
            owner_only: false,
            terminal_only: false,
            allowed_args: None,
            origin: Origin {
                kind: Kind::Container,
                namespace: None,
                policy: "p".into(),
                place: Place(String::new()),
                severity: None,
                tags: vec![],
                message: String::new(),
            },
        }
    }

    fn read_back(rule: &Rule) -> Rule {
        let head =
            "kind: KubeArmorPolicy\napiVersion: security.kubearmor.com/v1\nmetadata: {name: p}\n";
        let text = format!("{head}{}  selector: {{}}\n", yaml(rule, &[]));
        let parsed = policy::parse(&text, "snippet");
        assert!(!parsed.has_errors(), "{text}{:?}", parsed.diagnostics);
        let workload = Workload {
            kind: WorkloadKind::Container,
            name: "c".into(),
            namespace: "default".into(),
            labels: std::collections::BTreeMap::new(),
        };
        let set =
            ruleset::build(&parsed.policies, &workload, Postures::default(), &Links::default());
        let [read] = set.rules.as_slice() else { panic!("{text}") };
        read.clone()
    }

    #[test]
    fn what_is_to_be_added_means_what_was_tried() {
        for path in
            ["/usr/bin/curl", "/a b/#c: d", "/q[1]*{x}?\\y", "/\"quoted\"'", "/é", "/ctl\u{1}"]
        {
            let named = PathObject::Path(path.to_owned());
            let paths = PathSet { named, linked: BTreeSet::new() };
            for object in [Object::Process(paths.clone()), Object::File(paths.clone())] {
                let wanted = rule(object, Some("/bin/s h"));
                let read = read_back(&wanted);
                assert_eq!((read.object, read.source), (wanted.object, wanted.source));
            }
        }
        for object in [Object::Capability(13), Object::Network(policy::Protocol::Icmpv6)] {
            let read = read_back(&rule(object.clone(), None));
            assert_eq!((read.object, read.action, read.source), (object, Action::Allow, None));
        }
    }
}
