//! The workload that a question is about: whom policies select, its postures, and the links of its root filesystem.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use policy::{ExpressionKey, PathObject, Policy};
use ruleset::{Links, Postures, RuleSet, Workload, WorkloadKind, build, select, wanted_links};
use workload::Root;

use super::postures::{Given, postures};
use crate::failure::Advised;

/// What stands in for a name that is not given.
const CONTAINER: &str = "main";
const NAMESPACE: &str = "default";

#[derive(Debug, Args)]
#[command(next_help_heading = "Workload")]
pub(super) struct ContextOptions {
    /// The container's labels
    #[arg(short, long, value_delimiter = ',', value_name = "KEY=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// The container's namespace
    #[arg(short, long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The container's name
    #[arg(long, value_name = "NAME")]
    pub(super) container: Option<String>,
    /// Ask about the host instead, by this name or the one of this machine
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "",
          conflicts_with_all = ["container", "namespace"])]
    pub(super) host: Option<String>,
    #[command(flatten)]
    pub(super) surroundings: Surroundings,
}

/// What decides along with the policies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workload")]
pub(super) struct Surroundings {
    /// Default postures: `block`, or by class `file=block,network=allow`; audit where none is given
    #[arg(long, value_name = "CLASS=POSTURE", default_value = "", hide_default_value = true)]
    pub(super) postures: Given,
    /// Take default postures from a configuration file of the agent
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A directory that is the workload's root file system: links in it are followed, as the agent does
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label; write KEY=VALUE")),
    }
}

impl ContextOptions {
    /// `None` if nothing is said about the workload. Its namespace, if not given, is where most policies select it,
    /// which a note then says.
    pub(super) fn workload(
        &self,
        policies: &[Policy],
        notes: &mut Vec<String>,
    ) -> Option<Workload> {
        let labels: BTreeMap<String, String> = self.labels.iter().cloned().collect();
        if let Some(name) = &self.host {
            let mut host = workload::host(name);
            host.labels.extend(labels);
            return Some(host);
        }
        if labels.is_empty() && self.namespace.is_none() && self.container.is_none() {
            return None;
        }
        let workload = Workload {
            kind: WorkloadKind::Container,
            name: self.container.clone().unwrap_or_else(|| CONTAINER.to_owned()),
            namespace: self.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
            labels,
        };
        Some(if self.namespace.is_some() {
            workload
        } else {
            in_likely_namespace(&workload, policies, notes)
        })
    }
}

/// The workload in the namespace where most of the policies select it; in the usual one if no other has more.
fn in_likely_namespace(
    workload: &Workload,
    policies: &[Policy],
    notes: &mut Vec<String>,
) -> Workload {
    let mut best = (selecting(policies, workload), workload.clone());
    let mut others = BTreeSet::new();
    for namespace in namespaces(policies) {
        let there = Workload { namespace, ..workload.clone() };
        let count = selecting(policies, &there);
        if count > 0 && there.namespace != NAMESPACE {
            others.insert(there.namespace.clone());
        }
        if count > best.0 {
            best = (count, there);
        }
    }
    let (_, workload) = best;
    let taken = workload.namespace.clone();
    others.remove(&taken);
    if taken != NAMESPACE {
        notes.push(format!("namespace {taken} is that of policies that select this workload (--namespace names another)"));
    }
    if !others.is_empty() {
        let others: Vec<String> = others.into_iter().collect();
        let others = others.join(", ");
        notes.push(format!(
            "policies select such a workload in other namespaces as well: {others} (--namespace)"
        ));
    }
    workload
}

/// All that the policies name.
fn namespaces(policies: &[Policy]) -> BTreeSet<String> {
    let own = policies.iter().filter_map(|policy| policy.id.namespace.clone());
    let expressions = policies.iter().flat_map(|policy| &policy.spec.selector.expressions);
    let named = expressions.filter(|expression| expression.key == ExpressionKey::Namespace);
    own.chain(named.flat_map(|expression| expression.values.iter().cloned())).collect()
}

/// A workload that as many of the policies select as one workload can be selected by.
pub(super) fn most_selected(policies: &[Policy]) -> Option<Workload> {
    let borrowed: Vec<&Policy> = policies.iter().collect();
    let all: BTreeSet<usize> = (0..borrowed.len()).collect();
    let classes = ruleset::workload_classes(&borrowed, &all).classes;
    let most = classes.iter().map(|class| class.selected.len()).max()?;
    classes.into_iter().find(|class| class.selected.len() == most).map(|class| class.workload)
}

/// A root filesystem to follow links in, if one is given.
pub(super) struct Filesystem {
    root: Option<Root>,
}

impl Surroundings {
    pub(super) fn postures_for(&self, kind: WorkloadKind) -> anyhow::Result<Postures> {
        postures(self.postures, self.config.as_deref(), kind)
    }

    pub(super) fn filesystem(&self) -> anyhow::Result<Filesystem> {
        let Some(directory) = &self.root else { return Ok(Filesystem { root: None }) };
        let shown = directory.display();
        let root = Root::open(directory).with_context(|| format!("cannot read {shown}"))?;
        if !directory.is_dir() {
            let hint = "name the directory that is the container's `/`";
            return Err(Advised::new(format!("{shown} is no directory"), hint).into());
        }
        Ok(Filesystem { root: Some(root) })
    }
}

impl Filesystem {
    pub(super) fn is_known(&self) -> bool {
        self.root.is_some()
    }

    /// What the links mean for the rules of these policies.
    pub(super) fn links<'p>(&self, policies: impl IntoIterator<Item = &'p Policy>) -> Links {
        match &self.root {
            Some(root) => workload::resolve_links(root, &wanted_links(policies)),
            None => Links::default(),
        }
    }

    /// The canonical path of a file.
    pub(super) fn file(&self, path: &str) -> String {
        let resolved = self.root.as_ref().and_then(|root| root.resolve(path));
        resolved.map_or_else(|| path.to_owned(), |resolved| resolved.path)
    }

    /// The canonical path of a program, virtual for an applet of a multi-call binary: that of the name it is called
    /// by, or that its first argument names.
    pub(super) fn program(&self, path: &str, args: &[String]) -> String {
        let Some(root) = &self.root else { return path.to_owned() };
        let object = PathObject::Path(path.to_owned());
        let wanted = ruleset::WantedLinks {
            processes: BTreeSet::from([object.clone()]),
            ..ruleset::WantedLinks::default()
        };
        let links = workload::resolve_links(root, &wanted);
        let own = path.rsplit('/').next().unwrap_or(path);
        let applets =
            links.objects.get(&object).into_iter().flatten().filter_map(|object| match object {
                PathObject::Path(path) => Some(path),
                _ => None,
            });
        let mut applets = applets.filter(|path| path.contains("//"));
        if let Some(applet) = applets.find(|path| path.ends_with(&format!("//{own}"))) {
            return applet.clone();
        }
        let canonical = self.file(path);
        match args.first().filter(|_| links.multicall.contains(&canonical)) {
            Some(applet) if !applet.starts_with('-') && !applet.contains('/') => {
                format!("{canonical}//{applet}")
            }
            _ => canonical,
        }
    }
}

/// The rules of one workload.
pub(super) fn rules(
    policies: &[Policy],
    workload: &Workload,
    surroundings: &Surroundings,
    links: &Links,
) -> anyhow::Result<RuleSet> {
    Ok(build(policies, workload, surroundings.postures_for(workload.kind)?, links))
}

/// How many of the policies select the workload.
pub(super) fn selecting(policies: &[Policy], workload: &Workload) -> usize {
    policies.iter().filter(|policy| select(policy, workload)).count()
}
