//! Wires the agent together: what starts in which order, and how it ends.

use std::{fs, io::IsTerminal as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use feed::{Feed, FeedOptions, Services};
use telemetry::Node;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, Notify, mpsc, watch},
};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use workload::{Appearing, WorkloadEvent};

use crate::{
    arrivals::{self, Arrivals},
    backend::{self, Chosen},
    config::{Config, Sources},
    events::{self, Accounts},
    filesystem::RootFilesystems,
    identities::Identities,
    index::{self, Index, IndexHandle},
    instance::Instance,
    reload::{Reloader, event_settings, own_places, policy_settings},
    restore,
    store::Store,
    submissions::Desk,
    transport::{self, Offer},
    watch as follow, ways,
};

/// Containers that start at once before the scanner has to wait.
const WORKLOAD_QUEUE: usize = 1024;

/// What clients have to read what is on its way to them, once the agent is told to end.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// What tasks have to end after that.
const LAST_TASKS: Duration = Duration::from_millis(500);

/// Runs the agent until it is told to end. Fails only if nothing useful can run.
pub(crate) fn run(sources: Sources) -> anyhow::Result<()> {
    let debug = sources.environment.get("DEBUG").is_some_and(|value| value == "true");
    log_to_stderr(debug);
    info!("starting, {}", telemetry::VERSION);
    let config = sources.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads to run on")?;
    let done = runtime.block_on(serve(sources, config));
    runtime.shutdown_timeout(LAST_TASKS);
    done
}

fn log_to_stderr(debug: bool) {
    let level = if debug { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn serve(sources: Sources, config: Config) -> anyhow::Result<()> {
    let instance = Arc::new(Instance::claim(&config.run_dir)?);
    let store = Store::open(&config.state_dir)?;
    for unsupported in config.not_there_yet() {
        warn!("not there yet: {unsupported}");
    }

    let capabilities = sensor::probe();
    let Chosen { backend, events: records, report } = backend::choose(&config, &capabilities);
    info!(
        "kernel {}, security modules: {}",
        capabilities.kernel,
        if capabilities.lsm.is_empty() { "none".to_owned() } else { capabilities.lsm.join(",") }
    );
    for line in report {
        info!("{line}");
    }

    let host = workload::host(&config.host);
    let node = Node {
        cluster: config.cluster.clone(),
        host: host.name.clone(),
        id: fs::read_to_string(&config.machine_id_path)
            .map(|id| id.trim().to_owned())
            .unwrap_or_default(),
    };
    let feed = Feed::new(FeedOptions { node: node.clone(), ..FeedOptions::default() });
    let log_path = config.log_path.parse().unwrap_or_default();
    if let Err(problem) = feed.write_to(&log_path) {
        error!("logPath {}: {problem}; events are not written there", config.log_path);
    }

    let identities = Arc::new(Identities::default());
    let accounts = Arc::new(Accounts::new(node, backend.name(), event_settings(&config)));
    let enforcing = records.is_some();
    if let Some(records) = records {
        events::start(records, Arc::clone(&accounts), Arc::clone(&identities), feed.clone())?;
    }

    let mut index = Index::new(
        backend,
        Box::new(RootFilesystems),
        store,
        policy_settings(&config),
        host,
        identities,
    );
    transport::make_room(&config);
    index.protect(&own_places(&config, sources.file.as_deref()));
    // The directory comes first: what it keeps goes before what was stored.
    if !config.policy_dir.as_os_str().is_empty() {
        restore::follow_directory(&mut index, restore::read_directory(&config.policy_dir));
    }
    restore::restore(&mut index)?;
    let index = index::start(index)?;

    let reloader = Arc::new(Reloader {
        sources,
        config: Mutex::new(config.clone()),
        index: index.clone(),
        accounts: Arc::clone(&accounts),
        instance: Arc::clone(&instance),
    });
    instance.in_force(&config)?;
    follow_files(&reloader, &config);

    let (end, ending) = watch::channel(false);
    let desk = Arc::new(Desk { index: index.clone(), accounts });
    let listening = Arc::new(Notify::new());
    let offer = Offer {
        config: config.clone(),
        feed: feed.clone(),
        services: Services {
            policies: Some(desk.clone()),
            probe: Some(desk),
            policies_from_anyone: config.allow_unauthenticated_policies,
        },
        listening: Arc::clone(&listening),
        ending,
    };
    tokio::spawn(transport::serve_health(offer.clone()));
    let services = tokio::spawn(offer.serve());

    let arrivals = Arc::new(Arrivals::new(&config, index.clone()));
    // Before containerd is asked: it answers only when the hooks that wait for the agent have ended.
    arrivals::listen(&arrivals, &config).await;
    let scanned = Arc::new(Notify::new());
    tokio::spawn(follow_containers(&config, Arc::clone(&arrivals), Arc::clone(&scanned)));
    tokio::spawn(ways::tell(arrivals.ways.follow(), config.clone(), capabilities, enforcing));

    let readiness = tokio::spawn({
        let instance = Arc::clone(&instance);
        async move {
            tokio::join!(scanned.notified(), listening.notified());
            if let Err(problem) = instance.ready() {
                error!("{problem}");
            }
            // Fails where nobody waits for it.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            info!("ready");
        }
    });

    until_told_to_end(&reloader).await?;
    info!("ending; rules stay in force");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    readiness.abort();
    // Nobody may be listening: the ports may never have been ours.
    let _ = end.send(true);
    let _ = tokio::time::timeout(LAST_WORDS, services).await;
    instance.leave();
    let unread = feed.waiting();
    if unread > 0 {
        warn!("ended; {unread} alerts and logs that clients had not read are lost");
    } else {
        info!("ended");
    }
    Ok(())
}

/// Reloads as often as it is asked to; returns at the signal to end.
async fn until_told_to_end(reloader: &Arc<Reloader>) -> anyhow::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => {
                reloader.reload().await;
                reloader.follow_policies().await;
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Reloads when the configuration file or a policy of the directory changes.
fn follow_files(reloader: &Arc<Reloader>, config: &Config) {
    let runtime = tokio::runtime::Handle::current();
    if let Some(file) = &reloader.sources.file {
        let (reloader, runtime) = (Arc::clone(reloader), runtime.clone());
        let text = fs::read(file).ok();
        let (path, mut before) = (file.clone(), text);
        let followed = follow::directories(&[follow::directory_of(file)], move || {
            // Its directory may hold files that change all the time.
            let now = fs::read(&path).ok();
            if now != before {
                before = now;
                runtime.block_on(reloader.reload());
            }
            true
        });
        if let Err(problem) = followed {
            warn!("{} is not followed: {problem}; send SIGHUP after a change", file.display());
        }
    }
    if !config.policy_dir.as_os_str().is_empty() {
        let reloader = Arc::clone(reloader);
        let followed = follow::directories(std::slice::from_ref(&config.policy_dir), move || {
            runtime.block_on(reloader.follow_policies());
            true
        });
        if let Err(problem) = followed {
            let directory = config.policy_dir.display();
            warn!("{directory} is not followed: {problem}; send SIGHUP after a change");
        }
    }
}

/// Hands what happens to containers to the index, and tells when all that exist are governed.
fn follow_containers(
    config: &Config,
    arrivals: Arc<Arrivals>,
    scanned: Arc<Notify>,
) -> impl Future<Output = ()> + use<> {
    let (sender, mut receiver) = mpsc::channel::<WorkloadEvent>(WORKLOAD_QUEUE);
    tokio::spawn(workload::containerd::watch(config.containerd_socket.clone(), sender));
    let index = arrivals.index.clone();
    let appearing = follow_control_groups(index.clone())
        .inspect_err(|problem| warn!("control groups are not seen as they appear: {problem}"));
    async move {
        while let Some(event) = receiver.recv().await {
            let heard = index.call(move |index| {
                index.heard(event);
                (index.is_ready(), index.unasked(), index.take_folders())
            });
            let Ok((ready, unasked, folders)) = heard.await else { return };
            arrivals.ways.started(unasked);
            if ready {
                scanned.notify_one();
            }
            for folder in folders {
                // A pod's folder goes with the pod.
                let _ = appearing.as_ref().map(|appearing| appearing.look_into(&folder));
            }
        }
    }
}

/// Hands control groups that appear to the index: they may be those of containers that start again.
fn follow_control_groups(index: IndexHandle) -> std::io::Result<Appearing> {
    let (sender, mut groups) = mpsc::channel::<PathBuf>(WORKLOAD_QUEUE);
    let appearing = Appearing::tell(sender)?;
    tokio::spawn(async move {
        while let Some(group) = groups.recv().await {
            if index.call(move |index| index.appeared(&group)).await.is_err() {
                return;
            }
        }
    });
    Ok(appearing)
}
