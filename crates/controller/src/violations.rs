//! Kubernetes events on violations: alerts of all nodes, counted by policy and workload, told once in a while.
//!
//! Alerts come from the relay, or from whoever else speaks the feed: agents need no rights for it, and what they
//! tell costs the API server one event for each policy and workload in a minute, however many alerts there are.

mod tally;
mod tell;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use feed::{
    ClientIdentity, Provider,
    client::{Client, ClientError},
};
use policy::PolicyId;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_stream::StreamExt as _;
use tracing::{info, warn};

pub use self::{
    tally::{Subject, Tally, Violation, Workload},
    tell::Teller,
};
use crate::{lease::Leading, metrics::Leadership};

/// Events that are written then; the rest waits for the next time.
const AT_ONCE: usize = 100;
/// Until another attempt to reach the relay.
const AGAIN: Duration = Duration::from_secs(5);

/// Where alerts come from, and how often they are told.
#[derive(Clone, Debug)]
pub struct AlertSource {
    pub address: String,
    /// The directory of the certificates, if it speaks TLS.
    pub certificates: Option<(PathBuf, Provider)>,
    /// Between two times that events are written.
    pub window: Duration,
}

/// Says which object a policy is now: its `metadata.uid`.
pub type Uids = Arc<dyn Fn(&PolicyId) -> Option<String> + Send + Sync>;

/// Counts alerts and writes events for as long as this replica leads, until it is dropped.
pub async fn run(
    source: AlertSource,
    teller: Teller,
    uids: Uids,
    mut leading: Leading,
    counts: Arc<Leadership>,
) {
    loop {
        leading.gained().await;
        let tally = Arc::new(Mutex::new(Tally::default()));
        tokio::select! {
            () = listen(&source, &tally, &counts) => {}
            () = tell(&teller, source.window, &uids, &tally, &counts) => {}
            () = leading.lost() => {}
        }
    }
}

async fn listen(source: &AlertSource, tally: &Mutex<Tally>, counts: &Leadership) {
    let mut told = false;
    loop {
        let ended = match connect(source).await {
            Ok(client) => {
                info!("counting the alerts of {} for events", client.address());
                told = false;
                follow(&client, tally, counts).await
            }
            Err(problem) => Err(problem),
        };
        let reason = ended.map_or_else(|problem| problem.to_string(), |()| "it ended".to_owned());
        if !told {
            warn!("no alerts from {}, and no events on violations: {reason}", source.address);
            told = true;
        }
        sleep(AGAIN).await;
    }
}

async fn connect(source: &AlertSource) -> Result<Client, ClientError> {
    let Some((directory, provider)) = source.certificates.clone() else {
        return Client::connect(&source.address).await;
    };
    // Read anew each time, since certificates are renewed.
    let identity = spawn_blocking(move || ClientIdentity::load(&directory, provider)).await;
    match identity {
        Ok(identity) => Client::connect_secure(&source.address, &identity?).await,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

async fn follow(
    client: &Client,
    tally: &Mutex<Tally>,
    counts: &Leadership,
) -> Result<(), ClientError> {
    let mut alerts = client.alerts("policy").await?;
    while let Some(alert) = alerts.next().await {
        let alert = alert?;
        if let Some(subject) = Subject::of(&alert) {
            let kept = tally.lock().unwrap_or_else(PoisonError::into_inner).add(subject, &alert);
            counts.alert(kept);
        }
    }
    Ok(())
}

async fn tell(
    teller: &Teller,
    window: Duration,
    uids: &Uids,
    tally: &Mutex<Tally>,
    counts: &Leadership,
) {
    loop {
        sleep(window).await;
        let violations = tally.lock().unwrap_or_else(PoisonError::into_inner).take(AT_ONCE);
        for (subject, violation) in violations {
            // A policy that is gone by now has nowhere to be told at.
            let Some(uid) = uids(&subject.policy) else { continue };
            let written = teller.tell(&subject, &violation, &uid).await;
            counts.event(written.is_ok());
            if let Err(problem) = written {
                warn!("an event on {} was not written: {problem}", subject.policy.name);
            }
        }
    }
}
