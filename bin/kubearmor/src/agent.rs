//! Wires the agent together: what starts in which order, and how it ends.

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use cluster::View;
use enforce::{Losses, bpf::Rings};
use feed::{
    Feed, FeedOptions, Level, Services,
    metrics::{Process, Source},
};
use sensor::Capabilities;
use telemetry::Node;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, Notify, mpsc, watch},
};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use workload::{Appearing, Container, Followed, OwnPlace, Runtime, WorkloadEvent};

use crate::{
    arrivals::{self, Arrivals},
    backend::{self, Chosen},
    comparison::Comparison,
    config::{Config, OnAgentLoss, Sources},
    events::{self, Accounts},
    filesystem::RootFilesystems,
    group_namespace,
    identities::Identities,
    index::{self, Index, IndexHandle},
    instance::Instance,
    kubernetes, metrics, outlets, probe_file,
    reload::{Reloader, event_settings, own_places, policy_settings},
    restore,
    restriction::{self, Outcome},
    runtimes,
    store::Store,
    submissions::{Answers, Desk},
    transport::{self, Offer},
    watch as follow, ways,
};

/// Containers that start at once before the scanner has to wait.
const WORKLOAD_QUEUE: usize = 1024;

/// What clients have to read what is on its way to them, once the agent is told to end.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// What tasks have to end after that.
const LAST_TASKS: Duration = Duration::from_millis(500);

/// How the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Rules stay in force, unless `onAgentLoss` says otherwise.
    Ordered,
    /// Nothing is in force any more, as somebody wanted it.
    Detached,
}

/// Runs the agent until it is told to end. Fails only if nothing useful can run.
pub(crate) fn run(sources: Sources) -> anyhow::Result<End> {
    let debug = sources.environment.get("DEBUG").is_some_and(|value| value == "true");
    log_to_stderr(debug);
    info!("starting, {}", telemetry::VERSION);
    let mut config = sources.load()?;
    let remembered = config.k8s.then(|| kubernetes::remember(&config.state_dir));
    if let Some(view) = &remembered {
        config = kubernetes::configured(&sources, view, config);
    }
    match group_namespace::enter_hosts() {
        Ok(true) => info!("entered the host's control group namespace"),
        Ok(false) => {}
        Err(problem) => info!("the agent's own control group namespace is kept: {problem}"),
    }
    let loaded = load(&sources, &config, remembered)?;
    // Before there are other threads: each has rights of its own.
    for outcome in restriction::apply(&config) {
        match outcome {
            Outcome::Done(done) => info!("self-restriction: {done}"),
            Outcome::Problem(problem) => warn!("self-restriction: {problem}"),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads to run on")?;
    let done = runtime.block_on(serve(sources, config, loaded));
    runtime.shutdown_timeout(LAST_TASKS);
    done
}

pub(crate) fn log_to_stderr(debug: bool) {
    let level = if debug { "debug" } else { "info" };
    // What the client of Kubernetes complains of at each attempt is told by those who use it, once.
    let usual = format!("{level},kube_client=off,kube_runtime=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// What takes rights that the agent gives up afterwards. No thread has been started.
struct Loaded {
    instance: Arc<Instance>,
    capabilities: Capabilities,
    rings: Option<Rings>,
    losses: Option<Losses>,
    programs: sensor::Loaded,
    enforcer: &'static str,
    identities: Arc<Identities>,
    index: Index,
}

/// Claims what there is one of on a machine, loads the programs and protects what is the agent's.
fn load(sources: &Sources, config: &Config, remembered: Option<View>) -> anyhow::Result<Loaded> {
    let instance = Arc::new(Instance::claim(&config.run_dir)?);
    let store = Store::open(&config.state_dir)?;
    for unsupported in config.not_there_yet() {
        warn!("not there yet: {unsupported}");
    }

    let capabilities = sensor::probe();
    let Chosen { backend, rings, losses, programs, report } =
        backend::choose(config, &capabilities);
    info!(
        "kernel {}, security modules: {}",
        capabilities.kernel,
        if capabilities.lsm.is_empty() { "none".to_owned() } else { capabilities.lsm.join(",") }
    );
    for line in report {
        info!("{line}");
    }

    let enforcer = backend.name();
    let identities = Arc::new(Identities::default());
    let mut index = Index::new(
        backend,
        Box::new(RootFilesystems),
        store,
        policy_settings(config),
        workload::host(&config.host),
        Arc::clone(&identities),
    );
    if let Some(view) = remembered {
        index.remember_cluster(view);
        index.keep_objects_in(Store::of_cluster(&config.state_dir)?);
    }
    index.runs_at(OwnPlace::find());
    transport::make_room(config);
    probe_file::clear(Path::new(probe_file::PATH));
    index.protect(&own_places(config, sources.file.as_deref()));
    Ok(Loaded { instance, capabilities, rings, losses, programs, enforcer, identities, index })
}

async fn serve(sources: Sources, config: Config, loaded: Loaded) -> anyhow::Result<End> {
    let Loaded { instance, capabilities, rings, losses, programs, enforcer, identities, mut index } =
        loaded;
    let node = Node {
        cluster: config.cluster.clone(),
        host: workload::host(&config.host).name,
        id: fs::read_to_string(&config.machine_id_path)
            .map(|id| id.trim().to_owned())
            .unwrap_or_default(),
    };
    let feed = Feed::new(FeedOptions { node: node.clone(), ..FeedOptions::default() });
    let sinks = outlets::open(&feed, &config).await;

    let accounts = Accounts::new(node, enforcer, event_settings(&config), losses);
    let accounts = Arc::new(accounts);
    let enforcing = rings.is_some();
    if let Some(rings) = rings {
        let records = rings.read().context("the kernel's rings")?;
        events::start(records, Arc::clone(&accounts), identities, feed.clone())?;
    }

    // The directory comes first: what it keeps goes before what was stored.
    if !config.policy_dir.as_os_str().is_empty() {
        restore::follow_directory(&mut index, restore::read_directory(&config.policy_dir));
    }
    restore::restore(&mut index)?;
    let index = index::start(index)?;

    let comparison = Comparison::new(index.clone(), feed.clone());
    let comparison = Arc::new(comparison);
    let reloader = Arc::new(Reloader {
        sources,
        config: Mutex::new(config.clone()),
        index: index.clone(),
        accounts: Arc::clone(&accounts),
        sinks: sinks.clone(),
        instance: Arc::clone(&instance),
        comparison: Arc::clone(&comparison),
    });
    instance.in_force(&config)?;
    follow_files(&reloader, &config);
    if config.k8s {
        tokio::spawn(kubernetes::follow(Arc::clone(&reloader), feed.clone(), config.clone()));
    }

    let (end, ending) = watch::channel(false);
    let answers = Arc::new(Answers::default());
    let metrics = metrics::Agent {
        index: index.clone(),
        accounts: Arc::clone(&accounts),
        answers: Arc::clone(&answers),
        capabilities: capabilities.clone(),
        loaded: programs,
    };
    let desk = Arc::new(Desk { index: index.clone(), accounts, answers });
    let listening = Arc::new(Notify::new());
    let offer = Offer {
        config: config.clone(),
        feed: feed.clone(),
        services: Services {
            policies: Some(desk.clone()),
            probe: Some(desk),
            policies_from_anyone: config.allow_unauthenticated_policies,
        },
        certificates: Arc::default(),
        listening: Arc::clone(&listening),
        ending,
    };
    tokio::spawn(transport::serve_health(offer.clone()));
    let sources: Vec<Arc<dyn Source>> =
        vec![Arc::new(metrics), Arc::new(feed.clone()), Arc::new(Process)];
    tokio::spawn(transport::serve_metrics(offer.clone(), sources));
    let services = tokio::spawn(offer.serve());

    let known = runtimes::known(&config);
    let arrivals = runtimes::of_containerd(&known);
    let arrivals = Arc::new(Arrivals::new(&config, arrivals, index.clone()));
    // Before runtimes are asked: they answer only when the hooks that wait for the agent have ended.
    arrivals::listen(&arrivals, &config).await;
    let scanned = Arc::new(Notify::new());
    let followed = watch::Sender::new(Followed::new());
    tokio::spawn(runtimes::keep(config.clone(), followed.subscribe()));
    let (ways, told) = (arrivals.ways.follow(), followed.subscribe());
    tokio::spawn(ways::tell(ways, told, config.clone(), capabilities, enforcing));
    tokio::spawn(follow_containers(known, &followed, arrivals, Arc::clone(&scanned)));

    let comparing = tokio::spawn(comparison.go_on());

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

    let how = until_told_to_end(&reloader).await?;
    comparing.abort();
    match how {
        End::Ordered if config.on_agent_loss == OnAgentLoss::Keep => {
            info!("ending; rules stay in force");
        }
        End::Ordered => info!("ending; rules end as well, as `onAgentLoss: open` says"),
        End::Detached => detach(&reloader.index, &feed).await,
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    readiness.abort();
    // Nobody may be listening: the ports may never have been ours.
    let _ = end.send(true);
    let (_, ()) = tokio::join!(tokio::time::timeout(LAST_WORDS, services), sinks.close(LAST_WORDS));
    feed.flush();
    instance.leave();
    let unread = feed.waiting();
    if unread > 0 {
        warn!("ended; {unread} alerts and logs that clients had not read are lost");
    } else {
        info!("ended");
    }
    Ok(how)
}

/// Ends enforcement on purpose, and says so to everyone who listens.
async fn detach(index: &IndexHandle, feed: &Feed) {
    let text = match index.call(Index::let_go).await {
        Ok(Err(problem)) => format!("detached on purpose, but pins may be left: {problem}"),
        Ok(Ok(())) | Err(_) => "detached on purpose: nothing is enforced any more".to_owned(),
    };
    warn!("{text}");
    feed.publish_message(Level::Warn, text);
}

/// Reloads as often as it is asked to; returns at the signal to end.
async fn until_told_to_end(reloader: &Arc<Reloader>) -> anyhow::Result<End> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut detach = signal(SignalKind::user_defined2())?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => {
                reloader.reload().await;
                reloader.follow_policies().await;
            }
            _ = terminate.recv() => return Ok(End::Ordered),
            _ = interrupt.recv() => return Ok(End::Ordered),
            _ = detach.recv() => return Ok(End::Detached),
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
    runtimes: Vec<Runtime>,
    followed: &watch::Sender<Followed>,
    arrivals: Arc<Arrivals>,
    scanned: Arc<Notify>,
) -> impl Future<Output = ()> + use<> {
    let (sender, mut receiver) = mpsc::channel::<WorkloadEvent>(WORKLOAD_QUEUE);
    workload::follow(runtimes, &sender, followed);
    drop(sender);
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
            if index.call(move |index| index.appeared(&group, Container::is_there)).await.is_err() {
                return;
            }
        }
    });
    Ok(appearing)
}
