//! Inputs from whoever wants to harm: what each reader of untrusted bytes must survive.
//!
//! The functions here do with bytes what the product does. They must return, soon and with little memory, whatever the
//! bytes are. `fuzz/` calls them with an instrumented fuzzer, the tests here with mutations of seeds.

pub mod mutation;
mod told;

use compile::{Detail, compile, path_classes};
use lint::{Options, Source, lint};
use policy::{Kind, parse, parse_event};
use ruleset::{Links, RuleSet, rules_of};

/// A policy file, from its text to the image that the kernel would walk.
pub fn policy_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = parse(text, "hostile");
    for finding in &parsed.diagnostics {
        let _ = finding.render(text);
    }
    for policy in &parsed.policies {
        let rules = rules_of(policy, &Links::default());
        let set = RuleSet { rules, ..RuleSet::default() };
        if compile(&set).is_ok() {
            let _ = path_classes(&[&set], Detail::Deciding);
        }
    }
}

/// A file that is only looked at.
pub fn linted_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source { name: "hostile".to_owned(), text: text.to_owned(), named: false };
    let report = lint(&[source], &Options::default());
    let _ = report.to_sarif("0");
}

/// What a client of the policy service sends.
pub fn event(bytes: &[u8]) {
    for kind in Kind::ALL {
        let _ = parse_event(bytes, kind);
    }
}

/// What the kernel's ring holds, to what is told of it.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = wire::Record::decode(bytes) {
        told::tell(&record);
    }
}

/// What containerd answers, and the events that it sends.
pub fn containerd(bytes: &[u8]) {
    workload::read_hostile_containerd(bytes);
}

/// What a hook says to the agent.
pub fn hook_request(bytes: &[u8]) {
    workload::hook::read_hostile(bytes);
}

/// What a process shows of itself in `/proc`, its name for one.
pub fn process(bytes: &[u8]) {
    let parent = workload::read_hostile_process(bytes);
    assert!(
        parent.is_none_or(|parent| parent == 1),
        "the name has told another parent: {parent:?}"
    );
}

/// What a runtime sends over the socket of its node resource interface.
pub fn nri(bytes: &[u8]) {
    workload::nri::read_hostile(bytes);
}

/// What a runtime hands to its hooks: a state, and a specification.
pub fn hook_state(bytes: &[u8]) {
    const SOUND: &[u8] = br#"{"id": "a", "pid": 1, "status": "creating", "bundle": "/b"}"#;
    for state in [bytes, SOUND] {
        if let Ok(state) = workload::oci::State::read(state) {
            let _ = state.newcomer(bytes);
        }
    }
}
