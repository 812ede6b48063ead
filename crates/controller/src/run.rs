//! Who starts whom, and how all of it ends.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use kube::Client;
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};
use tracing::{info, warn};

use crate::{
    admission::Strictness,
    certificates::{Keeper, Place},
    follow::{self, Uids},
    lease::Candidate,
    metrics::{Admissions, Controller, Leadership},
    serve::{Probes, Shown, Webhook, serve_probes, serve_webhook},
    violations::{self, AlertSource, Teller},
};

/// Between two looks at the certificates, as long as another replica may be behind.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// What the controller is told on its command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where API servers ask about policies, over HTTPS.
    pub webhook: SocketAddr,
    /// Probes and metrics, over HTTP.
    pub probes: SocketAddr,
    pub place: Place,
    /// The Lease that the leader holds, in the namespace of `place`.
    pub lease: String,
    /// What no other replica is called.
    pub identity: String,
    pub strictness: Strictness,
    /// Statuses that are written in one second at most.
    pub writes: usize,
    /// Whose alerts become events; `None`: there are no events.
    pub alerts: Option<AlertSource>,
}

/// Runs until it is told to end by a signal.
pub fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::try_default().await.context(
            "no way to the API server: run in a pod with a service account, or name a file with KUBECONFIG",
        )?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        run_until(client, options, told).await
    })
}

/// The same with a client and an end of the caller's.
pub async fn run_until(
    client: Client,
    options: Options,
    told: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Options { webhook, probes, place, lease, identity, strictness, writes, alerts } = options;
    let webhook = listen(webhook).await?;
    let probes = listen(probes).await?;
    let (end, ends) = watch::channel(false);
    let shown = Arc::new(Shown::default());
    let admissions = Arc::new(Admissions::default());
    let leadership = Arc::new(Leadership::default());
    let candidate = Candidate::new(&client, &place.namespace, &lease, &identity);
    let leading = candidate.leading();
    let source = Controller {
        admissions: Arc::clone(&admissions),
        leadership: Arc::clone(&leadership),
        leading: leading.clone(),
        shown: Arc::clone(&shown),
    };
    let sources: Vec<Arc<dyn feed::metrics::Source>> =
        vec![Arc::new(source), Arc::new(feed::metrics::Process)];

    let probing = tokio::spawn(serve_probes(
        probes,
        Probes { shown: Arc::clone(&shown), sources },
        ends.clone(),
    ));
    let keeper = Keeper::new(client.clone(), place, Arc::clone(&shown));
    let keeping = tokio::spawn(keep(keeper));
    let judging = tokio::spawn(serve_webhook(
        webhook,
        Webhook { shown, strictness, admissions },
        ends.clone(),
    ));
    let mut ended = ends.clone();
    let leading_task = tokio::spawn(candidate.run(async move {
        let _ = ended.wait_for(|ends| *ends).await;
    }));
    let uids = Uids::default();
    let following = tokio::spawn(follow::run(
        client.clone(),
        writes,
        leading.clone(),
        Arc::clone(&leadership),
        Arc::clone(&uids),
    ));
    let telling = alerts.map(|alerts| {
        let teller = Teller::new(client, &identity);
        let uid = Arc::new(move |id: &policy::PolicyId| {
            uids.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
        });
        tokio::spawn(violations::run(alerts, teller, uid, leading, leadership))
    });

    told.await;
    info!("ending");
    end.send_replace(true);
    // Who writes stops before another may lead.
    following.abort();
    keeping.abort();
    telling.iter().for_each(|telling| telling.abort());
    leading_task.await.context("the lease was held by a task that failed")?;
    judging.await.context("the webhook was served by a task that failed")??;
    probing.await.context("the probes were served by a task that failed")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another port with --webhook-port or --health-probe-bind-address")
    })
}

/// Looks at the certificates every few seconds. What fails is said when it begins to, and when it says something else.
async fn keep(mut keeper: Keeper) {
    let mut said = String::new();
    loop {
        let problem = keeper.tend(OffsetDateTime::now_utc()).await.err();
        let problem = problem.map(|problem| problem.to_string()).unwrap_or_default();
        if problem != said {
            if problem.is_empty() {
                info!("the certificates are in order again");
            } else {
                warn!("the certificates: {problem}");
            }
            said = problem;
        }
        sleep(CERTIFICATES).await;
    }
}
