//! One of several replicas leads: it holds a Lease of `coordination.k8s.io`, as the field does it
//! (<https://kubernetes.io/docs/concepts/architecture/leases/>), and only it writes.
//!
//! Nobody compares clocks: a candidate takes a lease over when it has not seen it change for as long as the lease says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

/// How long a lease holds after it was renewed.
const LIFE: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long leads no more: before anybody else may.
const DOUBT: Duration = Duration::from_secs(9);
/// Between two looks.
pub const RETRY: Duration = Duration::from_secs(3);
/// What a call has, so that a silent API server is noticed before the lease runs out.
const CALL: Duration = Duration::from_secs(2);

/// Whether this replica leads.
#[derive(Clone, Debug)]
pub struct Leading(watch::Receiver<bool>);

impl Leading {
    pub fn now(&self) -> bool {
        *self.0.borrow()
    }

    /// Until this replica leads: never, once its candidate is gone.
    pub async fn gained(&mut self) {
        if self.0.wait_for(|leads| *leads).await.is_err() {
            std::future::pending().await
        }
    }

    /// Until it leads no more.
    pub async fn lost(&mut self) {
        let _ = self.0.wait_for(|leads| !*leads).await;
    }
}

/// One of those who want the lease.
pub struct Candidate {
    leases: Api<Lease>,
    namespace: String,
    name: String,
    identity: String,
    seen: Seen,
    renewed: Option<Instant>,
    leads: Arc<watch::Sender<bool>>,
}

/// The lease as it was last seen to change.
#[derive(Debug, Default)]
struct Seen {
    version: Option<String>,
    at: Option<Instant>,
}

/// What a candidate does about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Take,
    Renew,
    Wait,
}

impl Seen {
    /// Notes the lease, and says what `identity` does about it.
    fn look(&mut self, lease: &Lease, identity: &str, now: Instant) -> Step {
        if self.version != lease.metadata.resource_version || self.at.is_none() {
            *self = Self { version: lease.metadata.resource_version.clone(), at: Some(now) };
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if holder == identity {
            return Step::Renew;
        }
        let life = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let life = life.map_or(LIFE, Duration::from_secs);
        let unchanged = self.at.map_or(Duration::ZERO, |at| now.duration_since(at));
        if holder.is_empty() || unchanged > life { Step::Take } else { Step::Wait }
    }
}

impl Candidate {
    /// `identity` is what no other replica is called: the pod's name.
    pub fn new(client: &Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            seen: Seen::default(),
            renewed: None,
            leads: Arc::new(watch::Sender::new(false)),
        }
    }

    pub fn leading(&self) -> Leading {
        Leading(self.leads.subscribe())
    }

    /// Looks and writes every few seconds, until `shutdown`; then lets go, so that another can lead at once.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            self.attempt(Instant::now()).await;
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = &mut shutdown => break,
            }
        }
        self.let_go().await;
    }

    /// One look at the lease, and what follows from it.
    pub async fn attempt(&mut self, now: Instant) {
        match timeout(CALL, self.hold(now)).await.unwrap_or_else(|_| Err(silent())) {
            Ok(true) => self.renewed = Some(now),
            Ok(false) => self.renewed = None,
            Err(problem) => {
                let (namespace, name) = (&self.namespace, &self.name);
                warn!("the Lease {namespace}/{name} cannot be held: {problem}");
            }
        }
        // Without an answer an earlier one counts for a while.
        let leads = self.renewed.is_some_and(|at| now.saturating_duration_since(at) < DOUBT);
        if self.leads.send_replace(leads) != leads {
            let part = if leads { "leads" } else { "does not lead any more" };
            info!("{} {part}", self.identity);
        }
    }

    /// Whether the lease is ours afterwards.
    async fn hold(&mut self, now: Instant) -> kube::Result<bool> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let made = self.written(Lease::default(), true);
            return contested(self.leases.create(&PostParams::default(), &made).await);
        };
        let step = self.seen.look(&lease, &self.identity, now);
        if step == Step::Wait {
            return Ok(false);
        }
        let next = self.written(lease, step == Step::Take);
        contested(self.leases.replace(&self.name, &PostParams::default(), &next).await)
    }

    /// `lease` with us as its holder. It keeps its version, so that one of two who write is refused.
    fn written(&self, lease: Lease, taken: bool) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.unwrap_or_default();
        let transitions = spec.lease_transitions.unwrap_or_default();
        let known = lease.metadata.resource_version.is_some();
        Lease {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.clone()),
                name: Some(self.name.clone()),
                ..lease.metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(LIFE.as_secs()).ok(),
                acquire_time: if taken { Some(now.clone()) } else { spec.acquire_time },
                renew_time: Some(now),
                lease_transitions: Some(transitions + i32::from(taken && known)),
                ..spec
            }),
        }
    }

    async fn let_go(self) {
        let led = self.leads.send_replace(false);
        let given_up = async {
            let mut lease = self.leases.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_ref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if led && !matches!(timeout(CALL, given_up).await, Ok(Ok(()))) {
            warn!(
                "the Lease {}/{} was not given back and runs out by itself",
                self.namespace, self.name
            );
        }
    }
}

/// Somebody else's write in between means that the lease is theirs.
fn contested(written: kube::Result<Lease>) -> kube::Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(problem) => Err(problem),
    }
}

fn silent() -> kube::Error {
    kube::Error::Service(format!("no answer within {CALL:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(15),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_has_not_changed_for_its_life() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(seen.look(&lease("a", "1"), "b", start), Step::Wait);
        assert_eq!(seen.look(&lease("a", "1"), "b", after(15)), Step::Wait);
        // Renewed, whatever its holder's clock says.
        assert_eq!(seen.look(&lease("a", "2"), "b", after(16)), Step::Wait);
        assert_eq!(seen.look(&lease("a", "2"), "b", after(31)), Step::Wait);
        assert_eq!(seen.look(&lease("a", "2"), "b", after(32)), Step::Take);
    }

    #[test]
    fn ours_is_renewed_and_one_that_was_given_back_is_free() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.look(&lease("b", "1"), "b", now), Step::Renew);
        assert_eq!(seen.look(&lease("", "2"), "b", now), Step::Take);
    }
}
