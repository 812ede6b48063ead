//! `karmor policy explain`: one access, its verdict, every rule that had a part in it, and what would turn it round.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anstream::AutoStream;
use clap::Args;
use ruleset::{
    Explanation, Flip, Ground, OwnedAccess, OwnedObject, Part, Rank, RuleSet, Silence, Workload,
    WorkloadKind, decide, explain, flip,
};
use serde_json::{Value, json};

use super::{
    Outcome,
    accesses::{AccessOptions, Asked},
    context::{ContextOptions, most_selected, rules, selecting},
    set::PolicySet,
    snippet::{Instruction, instruction, instruction_json, mode_warning},
    words::{self, FAINT},
};
use crate::failure::Advised;

pub(super) const EXIT_STATUS: &str = "Exit status: 0 explained, 2 failed or wrong usage.

Example: karmor policy explain policies/examples --exec /bin/sh --from /usr/sbin/nginx -- -c id";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files or directories of policies; `-` is standard input
    #[arg(required = true, value_name = "POLICIES")]
    policies: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessOptions,
    #[command(flatten)]
    context: ContextOptions,
}

/// All that is said.
struct Told<'t> {
    set: &'t PolicySet,
    rules: &'t RuleSet,
    workload: &'t Workload,
    chosen: bool,
    access: &'t OwnedAccess,
    explanation: Explanation,
    flip: Option<(Flip, Vec<Instruction>)>,
    notes: Vec<String>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let set = PolicySet::read(&options.policies)?;
    let filesystem = options.context.surroundings.filesystem()?;
    let mut notes = vec![];
    let given = options.context.workload(&set.policies, &mut notes);
    let chosen = given.is_none();
    let Some(workload) = given.or_else(|| most_selected(&set.policies)) else {
        let hint = "name the workload with --labels, --namespace, --container or --host";
        return Err(Advised::new("no workload can be selected by these policies", hint).into());
    };
    let asked = options.access.access(&filesystem)?;
    if let (OwnedObject::Preset(_), WorkloadKind::Host) = (&asked.access.object, workload.kind) {
        let hint = "leave out --host, or ask about an access that the preset is meant to stop";
        return Err(
            Advised::new("presets are for containers; host policies have none", hint).into()
        );
    }
    let links = filesystem.links(&set.policies);
    let rules = rules(&set.policies, &workload, &options.context.surroundings, &links)?;
    notes.extend(self::notes(&asked, &rules, &set, &workload));
    if !filesystem.is_known() {
        notes.push(
            "links are not resolved: paths count as written (--root DIR follows them)".into(),
        );
    }
    let (explanation, flip) =
        asked.access.with(|access| (explain(&rules, access), flip(&rules, access)));
    let unknown = |part: &Part| *part == Part::Silent(Silence::UnknownSource);
    if explanation.considered.iter().any(|considered| unknown(&considered.part)) {
        notes.push("rules with fromSource count only when --from names the acting program".into());
    }
    let flip = flip.map(|flip| {
        let edits = flip.edits.iter();
        let told = edits.map(|edit| instruction(edit, &rules, &set, &workload, &asked.renamed));
        let told = told.collect();
        (flip, told)
    });
    let (set, rules, workload, access) = (&set, &rules, &workload, &asked.access);
    let told = Told { set, rules, workload, chosen, access, explanation, flip, notes };
    if options.json {
        writeln!(io::stdout(), "{:#}", told.json())?;
    } else {
        told.text(&mut AutoStream::auto(io::stdout()))?;
    }
    Ok(Outcome::Clean)
}

/// What the answer depends on beside what was asked.
fn notes(asked: &Asked, rules: &RuleSet, set: &PolicySet, workload: &Workload) -> Vec<String> {
    let mut notes = vec![];
    for (written, found) in &asked.renamed {
        notes.push(format!("{written} is {found} in that root file system"));
    }
    if selecting(&set.policies, workload) == 0 {
        notes.push("no policy selects this workload".to_owned());
    }
    let decision = |access: &OwnedAccess| access.with(|access| decide(rules, access));
    let here = decision(&asked.access);
    let owner = OwnedAccess { owner: true, ..asked.access.clone() };
    if asked.owner_open && decision(&owner).permitted != here.permitted {
        let (verdict, _) = words::verdict(decision(&owner));
        notes.push(format!("for the owner it is {verdict} (--owner)"));
    }
    let terminal = OwnedAccess { terminal: true, ..asked.access.clone() };
    if !asked.access.terminal && decision(&terminal).permitted != here.permitted {
        let (verdict, _) = words::verdict(decision(&terminal));
        notes.push(format!("from a terminal it is {verdict} (--tty)"));
    }
    notes.extend(set.remarks());
    notes.extend(set.not_judged().into_iter().map(|reason| format!("not considered: {reason}")));
    notes
}

impl Told<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { set, rules, explanation, .. } = self;
        let (verdict, style) = words::verdict(explanation.decision);
        writeln!(out, "{style}{verdict}{style:#}: {}", words::access(self.access))?;
        writeln!(out, "  by {}", self.decider())?;
        if let Some(alert) = explanation.decision.alert.filter(|_| explanation.decision.permitted) {
            writeln!(out, "  alert by {}", words::decider(Some(alert), rules, set))?;
        }
        let selected = selecting(&set.policies, self.workload);
        let chosen = if self.chosen { "; chosen, as none was given" } else { "" };
        writeln!(
            out,
            "  in {} ({selected} of {} policies select it{chosen})",
            words::workload(self.workload),
            set.policies.len()
        )?;
        self.chain(out)?;
        self.turn(out)?;
        for note in &self.notes {
            writeln!(out, "{FAINT}note: {note}{FAINT:#}")?;
        }
        Ok(())
    }

    fn decider(&self) -> String {
        let by = self.explanation.decision.by;
        match self.explanation.class {
            None => "nothing: rules do not concern such sockets".to_owned(),
            Some(_) => words::decider(by, self.rules, self.set),
        }
    }

    fn chain(&self, out: &mut dyn Write) -> io::Result<()> {
        let explanation = &self.explanation;
        let Some(class) = explanation.class else { return Ok(()) };
        let name = words::class(class);
        if explanation.considered.is_empty() {
            writeln!(out, "\nno rule of class {name} names this")?;
        } else {
            writeln!(out, "\nrules that name it, first in precedence first:")?;
        }
        for (number, considered) in (1..).zip(&explanation.considered) {
            let rule = &self.rules.rules[considered.rule as usize];
            let style = match considered.part {
                Part::Decides { permits, .. } if permits => words::PERMITTED,
                Part::Decides { .. } => words::DENIED,
                Part::Alerts => words::ALERTED,
                _ => FAINT,
            };
            let part = self.part(&considered.part);
            writeln!(out, "  {number}. {}: {style}{part}{style:#}", words::rule(rule))?;
            writeln!(out, "     {}", words::place(&rule.origin, self.set))?;
        }
        if explanation.elsewhere > 0 {
            writeln!(
                out,
                "  {} other rules of class {name} name other objects",
                explanation.elsewhere
            )?;
        }
        let posture = words::posture(self.rules.postures.of(class));
        if explanation.allow_listed {
            writeln!(out, "class {name} is in allow-list mode, its default posture is {posture}")?;
        }
        Ok(())
    }

    fn turn(&self, out: &mut dyn Write) -> io::Result<()> {
        let wish = if self.explanation.decision.permitted { "deny" } else { "permit" };
        let Some((flip, told)) = &self.flip else {
            return writeln!(out, "\nno rule could {wish} it");
        };
        writeln!(out, "\nthe smallest change to {wish} it:")?;
        for Instruction { what, yaml } in told {
            writeln!(out, "  {what}")?;
            for line in yaml.iter().flat_map(|yaml| yaml.lines()) {
                writeln!(out, "      {line}")?;
            }
        }
        if let (true, Some(class)) = (flip.switches_mode, self.explanation.class) {
            let warning = mode_warning(class, self.explanation.allow_listed, self.rules);
            writeln!(out, "  {}{warning}{:#}", words::ALERTED, words::ALERTED)?;
        }
        let (verdict, style) = words::verdict(flip.decision);
        writeln!(out, "  tried: the access is then {style}{verdict}{style:#}")
    }

    fn part(&self, part: &Part) -> String {
        match part {
            Part::Decides { permits, ground } => format!("decides, {}", says(*permits, ground)),
            Part::Yields { permits, ground, to, rank } => {
                let winner = self.explanation.considered.iter();
                let number = winner.take_while(|considered| considered.rule != *to).count() + 1;
                let says = says(*permits, ground);
                format!("{says}, but {number} comes first: {}", rank_words(*rank))
            }
            Part::Alerts => "raises the alert".to_owned(),
            Part::Silent(silence) => self.silence(silence),
        }
    }

    fn silence(&self, silence: &Silence) -> String {
        match silence {
            Silence::OtherSource => "has no say: it is for other programs".to_owned(),
            Silence::UnknownSource => "has no say: the acting program is not known".to_owned(),
            Silence::NotRecursive => {
                "has no say: it is not `recursive`, and this lies deeper".to_owned()
            }
            Silence::NoTerminal => "has no say: it bites on a terminal only".to_owned(),
            Silence::Argument(argument) => {
                format!("has no say: `allowedArgs` does not list `{}`", words::text(argument))
            }
            Silence::ProperUse => "is silent: its conditions hold".to_owned(),
            Silence::Denied => "is silent: Audit rules speak of what is permitted".to_owned(),
            Silence::AfterAudit(other) => {
                let before = self.explanation.considered.iter();
                let number = before.take_while(|considered| considered.rule != *other).count() + 1;
                format!("is silent: {number} raises the alert already")
            }
            Silence::Metadata => "is silent: looking at metadata is not audited".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let explanation = &self.explanation;
        let considered = explanation.considered.iter().map(|considered| {
            let rule = &self.rules.rules[considered.rule as usize];
            let mut value = words::rule_json(rule, self.set);
            value["part"] = json!(part_name(&considered.part));
            value["why"] = json!(self.part(&considered.part));
            value
        });
        let flip = self.flip.as_ref().map(|(flip, told)| {
            json!({
                "edits": told.iter().map(instruction_json).collect::<Vec<_>>(),
                "switchesMode": flip.switches_mode,
                "verdict": if flip.decision.permitted { "permitted" } else { "denied" },
            })
        });
        let mut out = words::decision_json(explanation.decision, self.rules, self.set);
        out["access"] = words::access_json(self.access);
        out["workload"] = words::workload_json(self.workload);
        out["class"] = json!(explanation.class.map(words::class));
        out["allowListed"] = json!(explanation.allow_listed);
        out["considered"] = considered.collect();
        out["otherRules"] = json!(explanation.elsewhere);
        out["change"] = json!(flip);
        out["notes"] = json!(self.notes);
        out
    }
}

fn says(permits: bool, ground: &Ground) -> String {
    let verb = if permits { "permits" } else { "denies" };
    match ground {
        Ground::Action => verb.to_owned(),
        Ground::ProperUse => format!("{verb}: its conditions hold"),
        Ground::NotOwner => format!("{verb}: ownerOnly, and the process is not the owner"),
        Ground::Change => format!("{verb}: readOnly, and this is a change"),
        Ground::Argument(argument) => {
            format!("{verb}: `allowedArgs` does not list `{}`", words::text(argument))
        }
        Ground::Terminal => format!("{verb}: it is on a terminal"),
    }
}

fn rank_words(rank: Rank) -> &'static str {
    match rank {
        Rank::ClusterTier => "a denial by a cluster policy is final",
        Rank::NamespacedTier => "what cluster policies permit, others decide",
        Rank::Source => "with `fromSource` before without",
        Rank::Kind => "a path before a name, a pattern, a directory",
        Rank::Exactness => "it is more specific",
        Rank::Action => "Block before Allow",
        Rank::Order => "it says the same",
    }
}

fn part_name(part: &Part) -> &'static str {
    match part {
        Part::Decides { .. } => "decides",
        Part::Yields { .. } => "yields",
        Part::Alerts => "alerts",
        Part::Silent(_) => "silent",
    }
}
