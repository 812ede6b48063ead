//! From policies to the rule set of one workload, and what the link resolver must look at before.

use std::collections::BTreeSet;

use policy::{Attributes, PathObject, PathRule, Place, Policy, SyscallRule, SyscallSource};

use crate::{
    Links, Object, Origin, PathSet, Postures, Rule, RuleSet, SubjectPath, SyscallObject, Tier,
    Workload, cover::split_applet, select,
};

/// What the symbolic links of a root filesystem matter for, whatever the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedLinks {
    /// Objects of process rules.
    pub processes: BTreeSet<PathObject>,
    /// Objects of file rules.
    pub files: BTreeSet<PathObject>,
    /// Paths of `fromSource`.
    pub sources: BTreeSet<String>,
    /// Objects, of either kind, that a rule blocks: their further hard links matter.
    pub blocked: BTreeSet<PathObject>,
}

/// What the link resolver must look at to fill [`Links`] for these policies.
pub fn wanted_links<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> WantedLinks {
    let mut wanted = WantedLinks::default();
    for spec in policies.into_iter().map(|policy| &policy.spec) {
        wanted.processes.extend(spec.process.iter().map(|rule| rule.object.clone()));
        wanted.files.extend(spec.file.iter().map(|rule| rule.object.clone()));
        let blocked = spec.process.iter().chain(&spec.file);
        let blocked = blocked.filter(|rule| rule.attributes.action == policy::Action::Block);
        wanted.blocked.extend(blocked.map(|rule| rule.object.clone()));
        let sources = (spec.process.iter().chain(&spec.file).flat_map(|rule| &rule.sources))
            .chain(spec.protocols.iter().flat_map(|rule| &rule.sources))
            .chain(spec.dns.iter().flat_map(|rule| &rule.sources))
            .chain(spec.capabilities.iter().flat_map(|rule| &rule.sources));
        wanted.sources.extend(sources.cloned());
        for rule in &spec.syscalls {
            wanted.files.extend(rule.path.as_deref().map(|path| named(path, rule.recursive)));
            for source in &rule.sources {
                match source {
                    SyscallSource::Path(path) => {
                        wanted.sources.insert(path.clone());
                    }
                    SyscallSource::Directory { .. } => {
                        wanted.processes.insert(subject(source));
                    }
                }
            }
        }
    }
    wanted
}

/// The rules of all policies that select the workload, in an order that depends on the rules alone.
pub fn build<'p>(
    policies: impl IntoIterator<Item = &'p Policy>,
    workload: &Workload,
    postures: Postures,
    links: &Links,
) -> RuleSet {
    let selecting = policies.into_iter().filter(|policy| select(policy, workload));
    let rules: BTreeSet<Rule> = selecting.flat_map(|policy| rules_of(policy, links)).collect();
    let executables_matter = rules.iter().any(|rule| match &rule.object {
        Object::Process(_) => true,
        Object::Syscall(watched) => watched.sources.is_some(),
        _ => rule.source.is_some(),
    });
    RuleSet {
        rules: rules.into_iter().collect(),
        postures,
        audited: false,
        // Left out where nothing asks for it, so that more workloads have equal rule sets.
        multicall: if executables_matter { links.multicall.clone() } else { BTreeSet::new() },
        hard_linked: links.hard_linked.clone(),
    }
}

/// The rules of one policy, whomever it selects.
pub fn rules_of(policy: &Policy, links: &Links) -> Vec<Rule> {
    let spec = &policy.spec;
    let plain = |place: &Place, attributes: &Attributes, sources: &[String], object: Object| Rule {
        tier: if policy.id.kind == policy::Kind::Cluster {
            Tier::Cluster
        } else {
            Tier::Namespaced
        },
        action: attributes.action,
        object,
        source: source_set(sources, links),
        read_only: false,
        owner_only: false,
        terminal_only: false,
        allowed_args: None,
        origin: origin(policy, place, attributes),
    };
    let of_path = |rule: &PathRule, object: Object| Rule {
        read_only: rule.read_only,
        owner_only: rule.owner_only,
        terminal_only: rule.terminal_only,
        allowed_args: rule.allowed_args.as_ref().map(|args| args.iter().cloned().collect()),
        ..plain(&rule.place, &rule.attributes, &rule.sources, object)
    };
    let process = spec
        .process
        .iter()
        .map(|rule| of_path(rule, Object::Process(programs(&rule.object, links))));
    let file = spec.file.iter().map(|rule| of_path(rule, Object::File(files(&rule.object, links))));
    let network = spec.protocols.iter().map(|rule| Rule {
        terminal_only: rule.terminal_only,
        ..plain(&rule.place, &rule.attributes, &rule.sources, Object::Network(rule.protocol))
    });
    let dns = spec.dns.iter().map(|rule| {
        plain(&rule.place, &rule.attributes, &rule.sources, Object::Dns(rule.domain.clone()))
    });
    let capabilities = spec.capabilities.iter().map(|rule| {
        let object = Object::Capability(rule.capability.0);
        plain(&rule.place, &rule.attributes, &rule.sources, object)
    });
    let syscalls = spec.syscalls.iter().map(|rule| {
        plain(&rule.place, &rule.attributes, &[], Object::Syscall(watched(rule, links)))
    });
    let presets = spec
        .presets
        .iter()
        .map(|rule| plain(&rule.place, &rule.attributes, &[], Object::Preset(rule.preset)));
    let paths = process.chain(file);
    let calls = syscalls.chain(presets);
    paths.chain(network).chain(dns).chain(capabilities).chain(calls).collect()
}

fn origin(policy: &Policy, place: &Place, attributes: &Attributes) -> Origin {
    Origin {
        kind: policy.id.kind,
        namespace: policy.id.namespace.clone(),
        policy: policy.id.name.clone(),
        place: place.clone(),
        severity: attributes.severity,
        tags: attributes.tags.clone(),
        message: attributes.message.clone(),
    }
}

fn source_set(sources: &[String], links: &Links) -> Option<BTreeSet<SubjectPath>> {
    let targets = |source| links.sources.get(source).into_iter().flatten();
    let covered = sources.iter().flat_map(|source| std::iter::once(source).chain(targets(source)));
    (!sources.is_empty()).then(|| covered.cloned().collect())
}

fn watched(rule: &SyscallRule, links: &Links) -> SyscallObject {
    let covered = |source: &SyscallSource| {
        let mut covered = match source {
            SyscallSource::Path(path) => {
                let targets = links.sources.get(path).into_iter().flatten();
                targets.map(|target| PathObject::Path(target.clone())).collect()
            }
            SyscallSource::Directory { .. } => {
                links.objects.get(&subject(source)).cloned().unwrap_or_default()
            }
        };
        covered.insert(subject(source));
        covered
    };
    SyscallObject {
        calls: rule.syscalls.iter().cloned().collect(),
        path: rule.path.as_deref().map(|path| files(&named(path, rule.recursive), links)),
        sources: (!rule.sources.is_empty())
            .then(|| rule.sources.iter().flat_map(covered).collect::<BTreeSet<_>>()),
    }
}

/// The path of a system call rule: a directory if it ends in `/`.
fn named(path: &str, recursive: bool) -> PathObject {
    if path.ends_with('/') {
        PathObject::Directory { dir: path.to_owned(), recursive }
    } else {
        PathObject::Path(path.to_owned())
    }
}

fn subject(source: &SyscallSource) -> PathObject {
    match source {
        SyscallSource::Path(path) => PathObject::Path(path.clone()),
        SyscallSource::Directory { dir, recursive } => {
            PathObject::Directory { dir: dir.clone(), recursive: *recursive }
        }
    }
}

fn programs(named: &PathObject, links: &Links) -> PathSet {
    let linked = links.objects.get(named).cloned().unwrap_or_default();
    PathSet { named: named.clone(), linked }
}

/// Files know no applets: a rule on the link to an applet covers the binary behind it. What a directory or pattern
/// holds of such links concerns their execution only.
fn files(named: &PathObject, links: &Links) -> PathSet {
    let exact = matches!(named, PathObject::Path(_));
    let of_file = |object: &PathObject| {
        let PathObject::Path(path) = object else { return Some(object.clone()) };
        match split_applet(path.as_bytes(), &links.multicall) {
            None => Some(object.clone()),
            Some((binary, _)) => exact.then(|| PathObject::Path(path[..binary.len()].to_owned())),
        }
    };
    let linked = links.objects.get(named).into_iter().flatten().filter_map(of_file).collect();
    PathSet { named: named.clone(), linked }
}
