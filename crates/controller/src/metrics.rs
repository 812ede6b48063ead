//! What the controller counts, as Prometheus reads it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use feed::metrics::{Families, Histogram, Source};

use crate::{admission::Verdict, lease::Leading, serve::Shown};

/// Seconds. API servers wait for ten by default.
const BOUNDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// Counts by a name out of a fixed list.
#[derive(Debug)]
struct Counts(BTreeMap<&'static str, AtomicU64>);

impl Counts {
    fn of(names: &[&'static str]) -> Self {
        Self(names.iter().map(|name| (*name, AtomicU64::new(0))).collect())
    }

    fn add(&self, name: &str, number: u64) {
        if let Some(count) = self.0.get(name) {
            count.fetch_add(number, Ordering::Relaxed);
        }
    }

    fn tell(&self, label: &str, name: &'static str, help: &'static str, families: &mut Families) {
        let family = families.counter(name, help);
        for (value, count) in &self.0 {
            family.sample(&[(label, value)], count.load(Ordering::Relaxed));
        }
    }
}

/// Why a question got no verdict. API servers then go by the failure policy: the policy is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No TLS: most likely the authority is not trusted.
    Handshake,
    /// No `AdmissionReview`, or too long.
    Unreadable,
    Internal,
}

impl Failure {
    const ALL: [Self; 3] = [Self::Handshake, Self::Unreadable, Self::Internal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Unreadable => "unreadable",
            Self::Internal => "internal",
        }
    }
}

/// Questions about admission.
#[derive(Debug)]
pub struct Admissions {
    verdicts: Counts,
    failures: Counts,
    duration: Histogram,
}

impl Default for Admissions {
    fn default() -> Self {
        Self {
            verdicts: Counts::of(&Verdict::ALL.map(Verdict::as_str)),
            failures: Counts::of(&Failure::ALL.map(Failure::as_str)),
            duration: Histogram::new(BOUNDS),
        }
    }
}

impl Admissions {
    pub(crate) fn answered(&self, verdict: Verdict, took: Duration) {
        self.verdicts.add(verdict.as_str(), 1);
        self.duration.observe(took);
    }

    pub(crate) fn failed(&self, failure: Failure) {
        self.failures.add(failure.as_str(), 1);
    }
}

/// What became of a status that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Written,
    /// The API server has it like that already.
    Unchanged,
    /// The policy is gone, or is another one of that name.
    Gone,
    Failed,
}

impl Write {
    const ALL: [Self; 4] = [Self::Written, Self::Unchanged, Self::Gone, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

/// What the one who leads does.
#[derive(Debug)]
pub struct Leadership {
    writes: Counts,
    waiting: AtomicU64,
    policies: Counts,
    nodes: AtomicU64,
    alerts: AtomicU64,
    alerts_lost: AtomicU64,
    events: Counts,
}

/// How the policies of a cluster stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub accepted: u64,
    /// No agent takes them.
    pub rejected: u64,
    /// Taken, and admission would have refused them: they came while it did not answer, or before it was there.
    pub unjudged: u64,
    pub nodes: u64,
}

impl Default for Leadership {
    fn default() -> Self {
        Self {
            writes: Counts::of(&Write::ALL.map(Write::as_str)),
            waiting: AtomicU64::new(0),
            policies: Counts::of(&["accepted", "rejected", "unjudged"]),
            nodes: AtomicU64::new(0),
            alerts: AtomicU64::new(0),
            alerts_lost: AtomicU64::new(0),
            events: Counts::of(&["written", "failed"]),
        }
    }
}

impl Leadership {
    pub(crate) fn wrote(&self, what: Write) {
        self.writes.add(what.as_str(), 1);
    }

    pub(crate) fn wait(&self, waiting: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, census: Census) {
        let Census { accepted, rejected, unjudged, nodes } = census;
        for (name, number) in
            [("accepted", accepted), ("rejected", rejected), ("unjudged", unjudged)]
        {
            if let Some(count) = self.policies.0.get(name) {
                count.store(number, Ordering::Relaxed);
            }
        }
        self.nodes.store(nodes, Ordering::Relaxed);
    }

    pub(crate) fn alert(&self, kept: bool) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
        self.alerts_lost.fetch_add(u64::from(!kept), Ordering::Relaxed);
    }

    pub(crate) fn event(&self, written: bool) {
        self.events.add(if written { "written" } else { "failed" }, 1);
    }
}

/// All of it, for the page.
pub struct Controller {
    pub admissions: Arc<Admissions>,
    pub leadership: Arc<Leadership>,
    pub leading: Leading,
    pub shown: Arc<Shown>,
}

#[feed::async_trait]
impl Source for Controller {
    async fn collect(&self, families: &mut Families) {
        self.admissions.tell(families);
        if let Some(ends) = self.shown.ends() {
            families
                .gauge(
                    "kubearmor_controller_certificate_expiry_seconds",
                    "When the webhook's certificate ends, in seconds since 1970",
                )
                .sample(&[], ends);
        }
        let leads = self.leading.now();
        families
            .gauge("kubearmor_controller_leader", "Whether this replica leads and writes")
            .sample(&[], leads);
        self.leadership.tell(leads, families);
    }
}

impl Admissions {
    fn tell(&self, families: &mut Families) {
        self.verdicts.tell(
            "verdict",
            "kubearmor_controller_admission_requests_total",
            "Questions about admission that were answered",
            families,
        );
        self.failures.tell(
            "reason",
            "kubearmor_controller_admission_failures_total",
            "Questions about admission without an answer: by the failure policy Ignore the object is taken as it is",
            families,
        );
        families
            .histogram("kubearmor_controller_admission_seconds", "What answering took")
            .distribution(&[], &self.duration.snapshot());
    }
}

impl Leadership {
    fn tell(&self, leads: bool, families: &mut Families) {
        self.writes.tell(
            "result",
            "kubearmor_controller_status_writes_total",
            "Statuses of policies that were to be written",
            families,
        );
        self.events.tell(
            "result",
            "kubearmor_controller_events_total",
            "Events on violations that were to be written",
            families,
        );
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        families
            .counter("kubearmor_controller_alerts_total", "Alerts that were counted for events")
            .sample(&[], number(&self.alerts));
        families
            .counter(
                "kubearmor_controller_alerts_lost_total",
                "Alerts for which there was no room among those that are counted for events",
            )
            .sample(&[], number(&self.alerts_lost));
        // Whoever does not lead knows nothing of these.
        if !leads {
            return;
        }
        let policies = families.gauge(
            "kubearmor_controller_policies",
            "Policies in the cluster: accepted or rejected by the language; unjudged are those that admission would refuse and that are there all the same",
        );
        for (state, count) in &self.policies.0 {
            policies.sample(&[("state", state)], number(count));
        }
        families
            .gauge("kubearmor_controller_nodes", "Nodes whose agents tell what is in force")
            .sample(&[], number(&self.nodes));
        families
            .gauge("kubearmor_controller_status_waiting", "Statuses that wait to be written")
            .sample(&[], number(&self.waiting));
    }
}
