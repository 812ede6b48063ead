//! Which marks no longer matter where another holds.
//!
//! A rule that decides without condition ends its list of rules, so a path that bears its mark need not bear those
//! of later rules. Without this, every pattern that ends in `**` would double the automaton: it would have to
//! remember which of them a path has met, though the first of them decides.

use policy::Action;
use ruleset::{Object, Rule, RuleSet, Tier, precedence};

use crate::names::Names;

/// Verdicts of the cluster tier, of the namespaced tier, and audits; for programs, for files and for DNS names.
const LISTS: usize = 9;

/// A place in each list; smaller comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places([u32; LISTS]);

const NOWHERE: u32 = u32::MAX;

impl Places {
    pub(crate) const NOWHERE: Self = Self([NOWHERE; LISTS]);
    const BEFORE_ALL: Self = Self([0; LISTS]);

    pub(crate) fn earliest(self, other: Self) -> Self {
        Self(std::array::from_fn(|list| self.0[list].min(other.0[list])))
    }

    /// Every rule that has its place here comes after the end of its list.
    pub(crate) fn are_behind(self, ends: Self) -> bool {
        self.0.iter().zip(ends.0).all(|(&place, end)| place == NOWHERE || place > end)
    }
}

/// Of every mark.
pub(crate) struct Settled {
    /// The first rule of the mark in each list.
    pub(crate) first: Vec<Places>,
    /// Where the mark ends each list.
    pub(crate) ends: Vec<Places>,
}

impl Settled {
    /// Every mark matters, whatever other marks a path bears.
    pub(crate) fn nothing(names: &Names) -> Self {
        let marks = names.is_source.len();
        Self { first: vec![Places::BEFORE_ALL; marks], ends: vec![Places::NOWHERE; marks] }
    }

    pub(crate) fn of(set: &RuleSet, names: &Names) -> Self {
        let mut first: Vec<Places> = (names.is_source.iter())
            // Sources are no list's matter: they always count.
            .map(|&is_source| if is_source { Places::BEFORE_ALL } else { Places::NOWHERE })
            .collect();
        let mut ends = vec![Places::NOWHERE; first.len()];
        let mut ordered: Vec<_> = set.numbered().collect();
        ordered.sort_by_key(|&(id, rule)| precedence(id, rule));
        for (place, (id, rule)) in (1..).zip(ordered) {
            let Some(mark) = names.object_of[id as usize] else { continue };
            let mark = mark as usize;
            let Some(list) = list_of(rule) else {
                // Its rule is one of many lists, one for each call: it always counts.
                first[mark] = Places::BEFORE_ALL;
                continue;
            };
            let mut here = Places::NOWHERE;
            here.0[list] = place;
            first[mark] = first[mark].earliest(here);
            // A cluster denial does not end the namespaced list: an earlier cluster rule may have permitted.
            if is_unconditional(rule) {
                ends[mark] = ends[mark].earliest(here);
            }
        }
        Self { first, ends }
    }

    /// Drops from the marks of a path those that cannot matter beside the others.
    pub(crate) fn reduce(&self, marks: &mut Vec<u32>) {
        let ends = marks.iter().map(|&mark| self.ends[mark as usize]);
        let ends = ends.fold(Places::NOWHERE, Places::earliest);
        marks.retain(|&mark| !self.first[mark as usize].are_behind(ends));
    }
}

fn list_of(rule: &Rule) -> Option<usize> {
    let class = match rule.object {
        Object::Process(_) => 0,
        Object::File(_) => 3,
        Object::Dns(_) => 6,
        Object::Network(_) | Object::Capability(_) | Object::Preset(_) | Object::Syscall(_) => {
            return None;
        }
    };
    let list = match (rule.action, rule.tier) {
        (Action::Audit, _) => 2,
        (_, Tier::Namespaced) => 1,
        (_, Tier::Cluster) => 0,
    };
    Some(class + list)
}

fn is_unconditional(rule: &Rule) -> bool {
    rule.source.is_none()
        && !rule.read_only
        && !rule.owner_only
        && !rule.terminal_only
        && rule.allowed_args.is_none()
}
