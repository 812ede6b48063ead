//! What is summed up adds up, and says what nodes say.

use std::collections::{BTreeMap, BTreeSet};

use cluster::summary::{NodeSummary, NotExpressed, PolicyState, PolicySummary};
use policy::{Kind, PolicyId};
use proptest::prelude::*;

use super::{reports::Touched, *};

fn id(name: &str) -> PolicyId {
    PolicyId { kind: Kind::Container, namespace: Some("shop".into()), name: name.into() }
}

fn subject(name: &str, generation: i64) -> Subject {
    let standing = Standing::Accepted { faults: Vec::new() };
    Subject { id: id(name), generation, standing }
}

fn told(name: &str, generation: i64, state: PolicyState, workloads: u32) -> PolicySummary {
    PolicySummary {
        kind: "KubeArmorPolicy".into(),
        namespace: "shop".into(),
        name: name.into(),
        generation,
        generation_in_force: None,
        state,
        reason: if state == PolicyState::Enforced { String::new() } else { "because".into() },
        workloads,
        not_expressed: Vec::new(),
        last_change: Some(format!("2026-01-01T00:00:{workloads:02}Z")),
    }
}

fn summary(policies: Vec<PolicySummary>) -> NodeSummary {
    NodeSummary { enforcer: "BPFLSM".into(), policies, ..NodeSummary::default() }
}

fn reports(nodes: impl IntoIterator<Item = PolicySummary>) -> Reports {
    let mut reports = Reports::default();
    for (number, told) in nodes.into_iter().enumerate() {
        reports.apply(&format!("n{number}"), summary(vec![told]));
    }
    reports
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(2_000_000_000 + seconds).unwrap()
}

fn status(reports: &Reports, generation: i64, previous: Option<&PolicyStatus>) -> PolicyStatus {
    let subject = subject("p", generation);
    let tally = Tally::new(&subject.id, generation, reports);
    PolicyStatus::new(&subject, tally, previous, at(0))
}

/// `Enforced=True Enforced: message`, and the word for it.
fn in_words(status: &PolicyStatus) -> String {
    let enforced = &status.conditions[1];
    let Condition { type_, status: holds, reason, message, .. } = enforced;
    format!("{}: {type_}={holds} {reason}: {message}", status.status)
}

#[test]
fn all_nodes_enforce() {
    use PolicyState::Enforced;
    let reports =
        reports([told("p", 1, Enforced, 2), told("p", 1, Enforced, 7), told("p", 1, Enforced, 0)]);
    let status = status(&reports, 1, None);
    assert_eq!(in_words(&status), "Enforced: Enforced=True Enforced: in force on 2 nodes");
    assert_eq!(status.workloads, 9);
    assert_eq!(status.enforced_everywhere_at, Some(Time("2026-01-01T00:00:07Z".parse().unwrap())));
    assert!(status.nodes.is_empty());
}

#[test]
fn a_node_that_cannot_is_named_with_its_reason() {
    let mut partial = told("p", 1, PolicyState::Partial, 1);
    let missing =
        NotExpressed { rule: "spec.file.matchPaths[0]".into(), reason: "no such hook".into() };
    partial.not_expressed = vec![missing];
    let reports = reports([told("p", 1, PolicyState::Enforced, 1), partial.clone(), partial]);
    let status = status(&reports, 1, None);
    assert_eq!(
        in_words(&status),
        "Partial: Enforced=False Partial: in force on 1 node, in force in part on 2 nodes; n1: because"
    );
    assert_eq!(
        status.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["n1", "n2"]
    );
    let missing = &status.not_expressible[0];
    assert_eq!(
        (&*missing.rule, &*missing.enforcer, missing.node_count),
        ("spec.file.matchPaths[0]", "BPFLSM", 2)
    );
    assert_eq!(missing.nodes, ["n1", "n2"]);
    assert_eq!(status.enforced_everywhere_at, None);
}

#[test]
fn nodes_that_are_behind_are_waited_for() {
    use PolicyState::Enforced;
    let reports = reports([
        told("p", 2, Enforced, 1),
        told("p", 1, Enforced, 1),
        told("other", 1, Enforced, 1),
    ]);
    assert_eq!(
        in_words(&status(&reports, 2, None)),
        "Pending: Enforced=Unknown Progressing: in force on 1 node; waiting for 2 nodes (n1, n2)"
    );
}

#[test]
fn words_for_what_all_nodes_agree_on() {
    for (state, word) in [
        (PolicyState::NotEnforced, "NotEnforced: Enforced=False NotEnforced: "),
        (PolicyState::NotEnabled, "NotEnabled: Enforced=False NotEnabled: "),
        (PolicyState::AuditOnly, "AuditOnly: Enforced=False AuditOnly: "),
        (PolicyState::Refused, "Refused: Enforced=False Refused: "),
    ] {
        let reports = reports([told("p", 1, state, 1), told("p", 1, state, 1)]);
        let said = in_words(&status(&reports, 1, None));
        assert!(said.starts_with(word), "{said}");
    }
    let idle = reports([told("p", 1, PolicyState::NotEnforced, 0)]);
    assert_eq!(
        in_words(&status(&idle, 1, None)),
        "NothingSelected: Enforced=True NothingSelected: it selects nothing at present"
    );
    assert_eq!(
        in_words(&status(&Reports::default(), 1, None)),
        "Pending: Enforced=Unknown NoNodes: no agent has told anything yet"
    );
}

#[test]
fn what_no_agent_takes_is_rejected_with_the_reason() {
    let standing = Standing::Rejected(vec!["spec.action: `Blok` is no action".into()]);
    let rejected = Subject { standing, ..subject("p", 3) };
    let tally = Tally::new(&rejected.id, 3, &reports([told("p", 2, PolicyState::Enforced, 1)]));
    let status = PolicyStatus::new(&rejected, tally, None, at(0));
    assert_eq!(status.status, "Rejected");
    let accepted = &status.conditions[0];
    assert_eq!(
        (&*accepted.status, &*accepted.message),
        ("False", "spec.action: `Blok` is no action")
    );
    assert_eq!(status.urgency(None), Some(Urgency::Outcome));
}

#[test]
fn a_condition_keeps_its_time_and_numbers_are_no_hurry() {
    let before = status(&reports([told("p", 1, PolicyState::Enforced, 1)]), 1, None);
    let subject = subject("p", 1);
    let later = |reports: &Reports| {
        let tally = Tally::new(&subject.id, 1, reports);
        PolicyStatus::new(&subject, tally, Some(&before), at(60))
    };
    // A pod more: the same change, in force everywhere since.
    let more = later(&reports([told("p", 1, PolicyState::Enforced, 2)]));
    assert_eq!(more.conditions[1].last_transition_time, before.conditions[1].last_transition_time);
    assert_eq!(more.enforced_everywhere_at, before.enforced_everywhere_at);
    assert_eq!(more.urgency(Some(&before)), Some(Urgency::Numbers));
    let same = later(&reports([told("p", 1, PolicyState::Enforced, 1)]));
    assert_eq!(same.urgency(Some(&before)), None);
    let worse = later(&reports([told("p", 1, PolicyState::NotEnforced, 1)]));
    assert_eq!(worse.urgency(Some(&before)), Some(Urgency::Outcome));
    assert_eq!(worse.conditions[1].last_transition_time, Time(at(60)));
}

#[test]
fn it_is_read_as_it_was_written() {
    let mut partial = told("p", 1, PolicyState::Partial, 1);
    partial.generation_in_force = Some(1);
    let status = status(&reports([partial, told("p", 1, PolicyState::Enforced, 1)]), 1, None);
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<PolicyStatus>(&text).unwrap(), status);
    // What others have written there before.
    let foreign: PolicyStatus = serde_json::from_str(r#"{"status": "ok"}"#).unwrap();
    assert_eq!(foreign.status, "ok");
}

fn any_state() -> impl Strategy<Value = PolicyState> {
    prop::sample::select(PolicyState::ALL.to_vec())
}

/// One thing that happens to a node: it tells, or goes.
fn happening() -> impl Strategy<Value = (u8, Option<Vec<PolicySummary>>)> {
    let entry = (0_u8..4, 0_i64..3, any_state(), 0_u32..3).prop_map(
        |(name, generation, state, workloads)| {
            told(&format!("p{name}"), generation, state, workloads)
        },
    );
    (0_u8..6, prop::option::weighted(0.8, prop::collection::vec(entry, 0..5)))
}

proptest! {
    #[test]
    fn what_is_summed_up_adds_up(happenings in prop::collection::vec(happening(), 0..40)) {
        let mut reports = Reports::default();
        let mut plain: BTreeMap<String, Vec<PolicySummary>> = BTreeMap::new();
        for (node, policies) in happenings {
            let name = format!("n{node}");
            let before: Vec<Tally> = all(&reports);
            let touched = match policies {
                Some(policies) => {
                    plain.insert(name.clone(), policies.clone());
                    reports.apply(&name, summary(policies))
                }
                None => {
                    plain.remove(&name);
                    reports.remove(&name)
                }
            };
            // Whoever is not said to be touched stands as before.
            for (at, (before, after)) in before.iter().zip(all(&reports)).enumerate() {
                let (policy, _) = places()[at].clone();
                prop_assert!(*before == after || is_touched(&touched, &policy));
            }
        }
        for ((policy, generation), tally) in places().into_iter().zip(all(&reports)) {
            prop_assert_eq!(tally.counts.all() as usize, plain.len());
            // The last one of a name counts, as in a map.
            let entries = plain.values().filter_map(|policies| {
                policies.iter().rev().find(|told| told.name == policy.name && told.generation > 0)
            });
            let current: Vec<_> = entries.filter(|told| told.generation == generation).collect();
            let workloads: u64 = current.iter().map(|told| u64::from(told.workloads)).sum();
            prop_assert_eq!(tally.workloads, workloads);
            prop_assert_eq!(tally.counts.pending as usize, plain.len() - current.len());
            let enforced = current.iter().filter(|told| told.state == PolicyState::Enforced && told.workloads > 0);
            prop_assert_eq!(tally.counts.enforced as usize, enforced.count());
            let status = PolicyStatus::new(&Subject { generation, ..subject(&policy.name, 1) }, tally, None, at(0));
            let holds = status.conditions[1].status == "True";
            let at_odds = current.iter().any(|told| told.state != PolicyState::Enforced && (told.workloads > 0 || told.state == PolicyState::Refused));
            prop_assert_eq!(holds, !plain.is_empty() && !at_odds && current.len() == plain.len());
        }
    }
}

/// Each policy in each generation.
fn places() -> Vec<(PolicyId, i64)> {
    (0..4)
        .flat_map(|name| (1..3).map(move |generation| (id(&format!("p{name}")), generation)))
        .collect()
}

fn all(reports: &Reports) -> Vec<Tally> {
    places().iter().map(|(id, generation)| Tally::new(id, *generation, reports)).collect()
}

fn is_touched(touched: &Touched, id: &PolicyId) -> bool {
    match touched {
        Touched::All => true,
        Touched::These(ids) => ids.contains(id),
    }
}

#[test]
fn nodes_that_are_gone_after_a_new_list_are_forgotten() {
    let mut reports =
        reports([told("p", 1, PolicyState::Enforced, 1), told("p", 1, PolicyState::Enforced, 1)]);
    let there = BTreeSet::from(["n1".to_owned()]);
    assert_eq!(reports.keep(&there), Touched::All);
    assert_eq!(reports.node_count(), 1);
    assert_eq!(reports.keep(&there), Touched::These(BTreeSet::new()));
}
