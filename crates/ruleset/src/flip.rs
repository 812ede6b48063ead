//! The smallest change of a rule set that turns one decision round.
//!
//! Every change proposed here was made and tried with [`decide`]. Smallest means: no change of a class's mode, which
//! would concern every object, unless many edits were needed otherwise; then fewest edits; then the rules that cover
//! the fewest objects; then editing what is there before adding to it.

use std::collections::BTreeSet;

use policy::{Action, Capability, Kind, PathObject, Place, Protocol};

use crate::{
    Access, AccessObject, Class, DecidedBy, Decision, Object, Origin, PathSet, Posture, Rule,
    RuleId, RuleSet, Tier, decide, explain::unlisted_arguments,
};

/// One change. Rules that stand in one place of one policy (the names of a comma list) change together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Action {
        rule: RuleId,
        to: Action,
    },
    /// Lists further arguments in `allowedArgs`.
    Arguments {
        rule: RuleId,
        also: BTreeSet<String>,
    },
    /// Lists a further program in `fromSource`.
    Source {
        rule: RuleId,
        also: String,
    },
    Drop {
        rule: RuleId,
        modifier: Modifier,
    },
    /// Its origin names the policy to add it to, and the list there.
    Add(Box<Rule>),
    Posture {
        class: Class,
        to: Posture,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    ReadOnly,
    OwnerOnly,
    Terminal,
    AllowedArgs,
}

/// Edits that, made together, turn a decision round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    pub edits: Vec<Edit>,
    /// Puts the class into allow-list mode or takes it out of it, which concerns all its objects.
    pub switches_mode: bool,
    /// What becomes of the access then.
    pub decision: Decision,
}

/// More edits than this are worse than switching the mode of a class.
const MANY_EDITS: usize = 4;

/// Looks for the smallest change that denies what is permitted, or permits what is denied. `None` if no rule could.
pub fn flip(set: &RuleSet, access: &Access<'_>) -> Option<Flip> {
    let class = access.object.class().filter(|class| *class != Class::Syscalls)?;
    let before = decide(set, access);
    let mut changed = set.clone();
    let mut edits = vec![];
    let mut switching: Option<Flip> = None;
    // Each round settles one rule that stands in the way, so that there is an end.
    for _ in 0..=set.rules.len() + 1 {
        let step = Step { set: &changed, access, class, denied: !before.permitted };
        let found = step.best(set);
        let flip = found.map(|(edit, switches_mode)| {
            let mut done = changed.clone();
            edit.apply(&mut done);
            let edits = [edits.clone(), vec![edit]].concat();
            Flip { edits, switches_mode, decision: decide(&done, access) }
        });
        match flip {
            Some(flip) if !flip.switches_mode => return Some(flip),
            Some(flip) => drop(switching.get_or_insert(flip)),
            None => {}
        }
        let Some(edit) =
            step.out_of_the_way().filter(|_| switching.is_none() || edits.len() < MANY_EDITS)
        else {
            break;
        };
        edit.apply(&mut changed);
        edits.push(edit);
    }
    switching
}

struct Step<'s> {
    set: &'s RuleSet,
    access: &'s Access<'s>,
    class: Class,
    /// The access is denied and shall be permitted.
    denied: bool,
}

impl Step<'_> {
    /// The smallest single edit that turns the decision round, and whether the class is then in another mode than it
    /// was in the original set.
    fn best(&self, original: &RuleSet) -> Option<(Edit, bool)> {
        let turned = self.candidates().into_iter().filter_map(|edit| {
            let mut tried = self.set.clone();
            edit.apply(&mut tried);
            let permitted = decide(&tried, self.access).permitted;
            let switches = tried.allow_listed(self.class) != original.allow_listed(self.class);
            (permitted == self.denied).then_some((edit, switches))
        });
        turned.min_by_key(|(edit, switches)| (*switches, edit.breadth(self.set)))
    }

    fn candidates(&self) -> Vec<Edit> {
        let mut edits = vec![];
        for (id, rule) in self.set.numbered().filter(|(_, rule)| self.covers(rule)) {
            let to = if self.denied { [Action::Audit, Action::Allow] } else { [Action::Block; 2] };
            // A preset that says `Allow` blocks.
            let of_preset = matches!(rule.object, Object::Preset(_));
            let to = to.into_iter().filter(|to| !of_preset || *to != Action::Allow);
            edits.extend(to.map(|to| Edit::Action { rule: id, to }));
            edits.extend(written(rule).map(|modifier| Edit::Drop { rule: id, modifier }));
            let unlisted = unlisted_arguments(rule, self.access)
                .map(|argument| String::from_utf8(argument.to_vec()));
            if let Ok(also) = unlisted.collect::<Result<BTreeSet<String>, _>>()
                && !also.is_empty()
            {
                edits.push(Edit::Arguments { rule: id, also });
            }
            let subject = self.access.subject.and_then(|subject| str::from_utf8(subject).ok());
            if let (Some(_), Some(subject)) = (&rule.source, subject) {
                edits.push(Edit::Source { rule: id, also: subject.to_owned() });
            }
        }
        edits.extend(self.additions());
        edits.push(Edit::Posture {
            class: self.class,
            to: if self.denied { Posture::Audit } else { Posture::Block },
        });
        edits
    }

    fn covers(&self, rule: &Rule) -> bool {
        self.set.covers_object(rule, &self.access.object)
    }

    /// Weakens what the deciding rule says, though that alone does not turn the decision yet.
    fn out_of_the_way(&self) -> Option<Edit> {
        let Some(DecidedBy::Rule(rule)) = decide(self.set, self.access).by else { return None };
        if self.denied {
            return Some(Edit::Action { rule, to: Action::Audit });
        }
        let modifier = written(&self.set.rules[rule as usize]).next()?;
        Some(Edit::Drop { rule, modifier })
    }

    /// Rules for this very object and subject, in either tier that has rules.
    fn additions(&self) -> Vec<Edit> {
        let Some(object) = exact_object(&self.access.object) else { return vec![] };
        let of_preset = matches!(object, Object::Preset(_));
        if of_preset && self.denied {
            return vec![];
        }
        let source = match self.access.subject.map(str::from_utf8) {
            _ if of_preset => None,
            None => None,
            Some(Ok(subject)) => Some(BTreeSet::from([subject.to_owned()])),
            Some(Err(_)) => return vec![],
        };
        let near = match decide(self.set, self.access).by {
            Some(DecidedBy::Rule(id)) => Some(&self.set.rules[id as usize]),
            _ => None,
        };
        let action = if self.denied { Action::Allow } else { Action::Block };
        let rules = [Tier::Namespaced, Tier::Cluster].into_iter().filter_map(|tier| {
            let origin = near
                .into_iter()
                .chain(&self.set.rules)
                .find(|rule| rule.tier == tier)
                .map(|rule| rule.origin.clone());
            let origin = match (origin, tier) {
                (Some(origin), _) => origin,
                (None, Tier::Namespaced) => nowhere(),
                (None, Tier::Cluster) => return None,
            };
            let place = Place(list_of(&object).to_owned());
            Some(Rule {
                tier,
                action,
                object: object.clone(),
                source: source.clone(),
                read_only: false,
                owner_only: false,
                terminal_only: false,
                allowed_args: None,
                origin: Origin { place, ..origin },
            })
        });
        rules.map(|rule| Edit::Add(Box::new(rule))).collect()
    }
}

/// The modifiers that a rule has.
fn written(rule: &Rule) -> impl Iterator<Item = Modifier> {
    let modifiers = [
        (rule.read_only, Modifier::ReadOnly),
        (rule.owner_only, Modifier::OwnerOnly),
        (rule.terminal_only, Modifier::Terminal),
        (rule.allowed_args.is_some(), Modifier::AllowedArgs),
    ];
    modifiers.into_iter().filter(|(written, _)| *written).map(|(_, modifier)| modifier)
}

/// The place of a rule in a policy that is still to be written.
fn nowhere() -> Origin {
    Origin {
        kind: Kind::Container,
        namespace: None,
        policy: String::new(),
        place: Place(String::new()),
        severity: None,
        tags: vec![],
        message: String::new(),
    }
}

/// What a rule would have to name to cover nothing else. `None` if no rule can name it.
fn exact_object(object: &AccessObject<'_>) -> Option<Object> {
    let exact = |path: &[u8]| {
        let named = PathObject::Path(str::from_utf8(path).ok()?.to_owned());
        Some(PathSet { named, linked: BTreeSet::new() })
    };
    match object {
        AccessObject::Execute { path, .. } => exact((*path)?).map(Object::Process),
        AccessObject::File { path, .. } => exact(path).map(Object::File),
        AccessObject::Socket(socket) => {
            // `All` comes last.
            let of = Protocol::ALL.into_iter().find(|protocol| socket.is_of(*protocol));
            of.map(Object::Network)
        }
        AccessObject::Preset(preset) => Some(Object::Preset(*preset)),
        AccessObject::Dns(name) => {
            let name = str::from_utf8((*name)?).ok().filter(|name| !name.is_empty())?;
            Some(Object::Dns(name.to_ascii_lowercase()))
        }
        // They are audited and never denied.
        AccessObject::Syscall { .. } => None,
        AccessObject::Capability(number) => {
            let known = Capability::all().any(|capability| capability.0 == *number);
            known.then_some(Object::Capability(*number))
        }
    }
}

/// The list of a policy that such rules stand in.
fn list_of(object: &Object) -> &'static str {
    match object {
        Object::Process(_) => "spec.process.matchPaths",
        Object::File(_) => "spec.file.matchPaths",
        Object::Network(_) => "spec.network.matchProtocols",
        Object::Dns(_) => "spec.network.matchDNSQueries",
        Object::Capability(_) => "spec.capabilities.matchCapabilities",
        Object::Preset(_) => "spec.presets",
        Object::Syscall(_) => "spec.syscalls.matchSyscalls",
    }
}

impl Edit {
    /// Makes the change.
    pub fn apply(&self, set: &mut RuleSet) {
        match self {
            Self::Action { rule, to } => in_place(set, *rule, |rule| rule.action = *to),
            Self::Arguments { rule, also } => in_place(set, *rule, |rule| {
                rule.allowed_args.get_or_insert_default().extend(also.iter().cloned());
            }),
            Self::Source { rule, also } => in_place(set, *rule, |rule| {
                rule.source.get_or_insert_default().insert(also.clone());
            }),
            Self::Drop { rule, modifier } => in_place(set, *rule, |rule| match modifier {
                Modifier::ReadOnly => rule.read_only = false,
                Modifier::OwnerOnly => rule.owner_only = false,
                Modifier::Terminal => rule.terminal_only = false,
                Modifier::AllowedArgs => rule.allowed_args = None,
            }),
            Self::Add(rule) => set.rules.push((**rule).clone()),
            Self::Posture { class, to } => match class {
                Class::Process => set.postures.process = *to,
                Class::File => set.postures.file = *to,
                Class::Network | Class::Dns => set.postures.network = *to,
                Class::Capabilities => set.postures.capabilities = *to,
                Class::Syscalls | Class::Presets => {}
            },
        }
    }

    /// How much the change may concern beside the one access; then how plain an edit it is.
    fn breadth(&self, set: &RuleSet) -> (usize, usize, u8) {
        let of = |id: &RuleId| {
            let rule = &set.rules[*id as usize];
            let kind = match &rule.object {
                Object::Process(paths) | Object::File(paths) => match &paths.named {
                    PathObject::Path(_) => 0,
                    PathObject::ExecName(_) => 4,
                    PathObject::Pattern(_) => 6,
                    PathObject::Directory { recursive: false, .. } => 8,
                    PathObject::Directory { recursive: true, .. } => 10,
                },
                Object::Dns(_) => 8,
                _ => 0,
            };
            let together =
                set.rules.iter().filter(|other| is_together(&other.origin, &rule.origin));
            (kind + usize::from(rule.source.is_none()), together.count())
        };
        let ((kind, together), plainness) = match self {
            Self::Arguments { rule, .. } => (of(rule), 0),
            Self::Source { rule, .. } => (of(rule), 1),
            Self::Drop { rule, .. } => (of(rule), 2),
            Self::Action { rule, to: Action::Allow } => (of(rule), 4),
            Self::Action { rule, .. } => (of(rule), 3),
            // Behind edits of rules that name nothing else either.
            Self::Add(rule) => ((2 + usize::from(rule.source.is_none()), 1), 5),
            Self::Posture { .. } => ((usize::MAX, 1), 6),
        };
        (kind, together, plainness)
    }
}

fn in_place(set: &mut RuleSet, id: RuleId, change: impl Fn(&mut Rule)) {
    let origin = set.rules[id as usize].origin.clone();
    set.rules.iter_mut().filter(|rule| is_together(&rule.origin, &origin)).for_each(change);
}

fn is_together(a: &Origin, b: &Origin) -> bool {
    (a.kind, &a.namespace, &a.policy, &a.place) == (b.kind, &b.namespace, &b.policy, &b.place)
}
