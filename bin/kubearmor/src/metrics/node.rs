//! The node: what its kernel offers, what is in force, and how much is in use.

use std::collections::BTreeMap;

use feed::metrics::Families;
use policy::Kind;
use sensor::{Capabilities, Loaded};

use crate::{
    index::{Overview, POLICY_STATES, WorkloadState},
    submissions::Answers,
};

const KINDS: [Kind; 4] = [Kind::Container, Kind::Cluster, Kind::Host, Kind::Network];
const PLACES: [&str; 2] = ["container", "host"];

/// What does not change while the agent runs.
pub(super) fn offered(families: &mut Families, capabilities: &Capabilities, loaded: &Loaded) {
    families
        .gauge("kubearmor_build_info", "The agent's version")
        .sample(&[("version", telemetry::VERSION)], 1_u64);
    let labels =
        [("release", capabilities.kernel.as_str()), ("modules", &capabilities.lsm.join(","))];
    families
        .gauge("kubearmor_kernel_info", "The kernel and its active security modules")
        .sample(&labels, 1_u64);
    let features = families.gauge(
        "kubearmor_kernel_feature",
        "Whether the kernel has what enforcement needs: 1, or 0",
    );
    for item in &capabilities.items {
        features.sample(&[("feature", item.name)], item.state.is_ok());
    }
    families
        .gauge("kubearmor_hooks", "Hooks of the kernel that programs are attached to")
        .sample(&[], loaded.hooks.len());
    let missing = families
        .gauge("kubearmor_kernel_programs_missing", "Groups of programs that this kernel refused");
    for (group, _) in &loaded.missing {
        missing.sample(&[("group", group)], 1_u64);
    }
}

/// Policies and those whom they are for.
pub(super) fn policies(families: &mut Families, overview: &Overview, answers: &Answers) {
    families
        .gauge("kubearmor_enforcer_info", "The enforcer in force; NONE: nothing is blocked")
        .sample(&[("enforcer", overview.enforcer)], 1_u64);
    let mut counts = BTreeMap::<_, usize>::new();
    for policy in &overview.policies {
        *counts.entry((policy.id.kind, policy.state)).or_default() += 1;
    }
    let family = families.gauge("kubearmor_policies", "Policies by how far they are in force");
    for kind in KINDS {
        for state in POLICY_STATES {
            let count = counts.get(&(kind, state)).copied().unwrap_or_default();
            family.sample(&[("kind", kind.as_str()), ("state", state)], count);
        }
    }
    families
        .gauge(
            "kubearmor_policy_files_faulty",
            "Files of the policy directory that are not in force as they are",
        )
        .sample(&[], overview.faulty_files);
    let family = families
        .counter("kubearmor_policy_answers_total", "Answers to policies that came over gRPC");
    for ((kind, answer), count) in answers.given() {
        family.sample(&[("kind", kind.as_str()), ("answer", answer.word())], count);
    }
    families
        .histogram(
            "kubearmor_policy_enforcement_seconds",
            "From a policy's arrival over gRPC until the kernel decides by it",
        )
        .distribution(&[], &answers.enforced.snapshot());
    workloads(families, overview);
}

fn workloads(families: &mut Families, overview: &Overview) {
    let mut counts = BTreeMap::<_, usize>::new();
    for workload in &overview.workloads {
        let place = PLACES[usize::from(workload.host)];
        *counts.entry((place, workload.state)).or_default() += 1;
    }
    let family = families.gauge(
        "kubearmor_workloads",
        "Containers, and the host, by whether the rules that should hold for them do",
    );
    for place in PLACES {
        for state in WorkloadState::ALL {
            let count = counts.get(&(place, state)).copied().unwrap_or_default();
            family.sample(&[("place", place), ("state", state.as_str())], count);
        }
    }
}

/// What is bounded, and what the bounds have cost.
pub(super) fn in_use(families: &mut Families, overview: &Overview) {
    let lost = families.counter(
        "kubearmor_kernel_lost_total",
        "Records that found the kernel's ring full; those of alerts and logs are in their totals, too",
    );
    let counters = overview.counters;
    for (ring, count) in [
        ("alerts", counters.lost_alerts),
        ("programs", counters.lost_programs),
        ("logs", counters.lost_logs),
    ] {
        lost.sample(&[("ring", ring)], count);
    }
    families
        .counter(
            "kubearmor_refused_forks_total",
            "Forks refused since a child could not be governed",
        )
        .sample(&[], counters.refused_forks);
    let repairs = families.counter(
        "kubearmor_repairs_total",
        "What keeps rules in force, was changed by others and was put right, by kind",
    );
    for (kind, count) in overview.repairs.counts() {
        repairs.sample(&[("kind", kind.name())], count);
    }
    let usage = &overview.in_use;
    for ring in &usage.rings {
        let labels = [("ring", ring.name)];
        families
            .gauge("kubearmor_ring_bytes", "Bytes in a ring of the kernel that wait to be read")
            .sample(&labels, ring.waiting);
        families.gauge("kubearmor_ring_size_bytes", "Room of that ring").sample(&labels, ring.size);
    }
    for (name, help, number) in [
        ("kubearmor_images", "Distinct rule sets in force", usage.images as u64),
        ("kubearmor_arena_bytes", "Kernel memory that rule sets take", usage.arena_bytes),
        ("kubearmor_arena_size_bytes", "Kernel memory that there is for them", usage.arena_size),
        ("kubearmor_slots", "Workloads that have a place in the kernel", usage.slots as u64),
        ("kubearmor_slots_size", "Workloads that can have one", usage.slots_size as u64),
    ] {
        families.gauge(name, help).sample(&[], number);
    }
}
