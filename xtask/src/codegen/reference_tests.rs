//! The reference has every field once, its links lead somewhere, and it promises nothing that is not there.

use std::{collections::BTreeSet, fs, path::Path};

use policy::description::every_field;

use super::{
    reference::{anchor, text, waiting},
    status::STATES,
};

#[test]
fn links_of_the_reference_lead_somewhere() {
    let page = text();
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let anchors: Vec<String> = headings.map(anchor).collect();
    assert_eq!(anchors.iter().collect::<BTreeSet<_>>().len(), anchors.len());
    let links: Vec<&str> =
        page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 100);
    for link in links {
        assert!(anchors.iter().any(|anchor| anchor == link), "{link}");
    }
}

/// The part of the reference about one field.
fn about<'p>(page: &'p str, heading: &str) -> &'p str {
    let rest = page.split_once(&format!("\n### {heading}\n")).expect("the field is there").1;
    rest.split_once("\n### ").map_or(rest, |(section, _)| section)
}

#[test]
fn what_is_not_enforced_yet_says_so() {
    const MARK: &str = "**Accepted, not enforced yet**: ";
    let page = text();
    for pending in [
        "spec.device",
        "spec.device.matchDevice[].level",
        "spec.ingress",
        "spec.egress[].to",
        "spec.level",
        "spec.ingress[].limit",
        "spec.apparmor",
    ] {
        assert!(about(&page, pending).contains(MARK), "{pending}");
    }
    for enforced in
        ["spec.process", "spec.nodeSelector", "spec.selector", "spec.action", "spec.presets"]
    {
        assert!(!about(&page, enforced).contains(MARK), "{enforced}");
    }
    for described in every_field() {
        let Some(reason) = waiting(described.field.case) else { continue };
        let case =
            format!("Behaviour case: `{}` (waits until it is enforced)", described.field.case);
        assert!(page.contains(&case), "{}: {reason}", described.field.name);
    }
}

/// The agent is no dependency of the tools; what it says is read out of its source.
#[test]
fn the_states_are_those_that_the_agent_tells() {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../bin/kubearmor/src/index/overview.rs");
    let source = fs::read_to_string(source).expect("the agent's source is there");
    let words = source.split('"').skip(1).step_by(2);
    let states: BTreeSet<&str> =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).collect();
    assert_eq!(states, BTreeSet::from(STATES));
}
