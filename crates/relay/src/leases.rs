//! The Leases by which replicas know of each other: renewing the own, reading all.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use crate::{
    outlets::Outlets,
    replicas::{BEAT, LAPSE, Renewal},
};

/// What the Leases of replicas bear, as their pods do.
const LABEL: (&str, &str) = ("kubearmor-app", "kubearmor-relay");
const PREFIX: &str = "kubearmor-relay-";

/// One of several replicas in a cluster.
#[derive(Clone)]
pub struct Replica {
    pub client: Client,
    /// Where the Leases of all replicas are.
    pub namespace: String,
    /// That of its pod: no other has it.
    pub name: String,
}

/// Renews and listens until the end, and leaves then.
pub(crate) async fn keep(
    replica: Replica,
    outlets: Arc<Outlets>,
    mut ending: watch::Receiver<bool>,
) {
    let api: Api<Lease> = Api::namespaced(replica.client.clone(), &replica.namespace);
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complaint = String::new();
    loop {
        tokio::select! {
            _ = beats.tick() => {}
            _ = ending.wait_for(|end| *end) => break,
        }
        let beat = timeout(BEAT, beat(&api, &replica.name, &outlets)).await;
        let problem = match beat {
            Ok(Ok(())) => String::new(),
            Ok(Err(problem)) => problem.to_string(),
            Err(_) => format!("the API server has not answered within {BEAT:?}"),
        };
        if !problem.is_empty() {
            outlets.hear_nothing(Instant::now());
            if problem != complaint {
                warn!("replicas: {problem}; sinks are shared as before");
            }
        } else if !complaint.is_empty() {
            info!("replicas: that is mended");
        }
        complaint = problem;
    }
    // The others need not wait until it lapses.
    let name = lease_name(&replica.name);
    let _ = timeout(BEAT, api.delete(&name, &DeleteParams::default())).await;
}

async fn beat(api: &Api<Lease>, own: &str, outlets: &Outlets) -> Result<(), kube::Error> {
    let lease = lease(own, Timestamp::now());
    let apply = PatchParams::apply("kubearmor-relay").force();
    api.patch(&lease_name(own), &apply, &Patch::Apply(&lease)).await?;
    let (key, value) = LABEL;
    let list = api.list(&ListParams::default().labels(&format!("{key}={value}"))).await?;
    let renewals: Vec<Renewal> = list.items.iter().filter_map(renewal).collect();
    for stale in outlets.hear(&renewals, Instant::now()) {
        api.delete(&lease_name(&stale), &DeleteParams::default()).await?;
    }
    Ok(())
}

fn lease_name(replica: &str) -> String {
    format!("{PREFIX}{replica}")
}

fn lease(replica: &str, now: Timestamp) -> Lease {
    let (key, value) = LABEL;
    Lease {
        metadata: ObjectMeta {
            name: Some(lease_name(replica)),
            labels: Some([(key.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(replica.to_owned()),
            lease_duration_seconds: i32::try_from(LAPSE.as_secs()).ok(),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// The replica whose Lease it is. `None` if it is no replica's.
fn renewal(lease: &Lease) -> Option<Renewal> {
    let name = lease.name_any().strip_prefix(PREFIX)?.to_owned();
    let MicroTime(renewed) = lease.spec.as_ref()?.renew_time.as_ref()?;
    Some((name, renewed.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_is_written() {
        let now: Timestamp = "2026-12-01T02:00:00.5Z".parse().unwrap();
        let written = lease("relay-1", now);
        assert_eq!(renewal(&written), Some(("relay-1".into(), now.to_string())));
        let other = Lease { metadata: ObjectMeta::default(), ..written };
        assert_eq!(renewal(&other), None);
    }
}
