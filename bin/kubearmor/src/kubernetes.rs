//! The agent as part of a cluster: what the API server tells goes to the index and to the configuration, and what the
//! agent has to say of its node goes back.
//!
//! What is known of the cluster is kept on disk, so that an agent which starts while the API server is away goes on where
//! the last one was.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cluster::{Change, Client, Place, Report, View};
use feed::{Feed, Level};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    config::{Config, Sources},
    index::{Gone, IndexHandle},
    instance::write_whole,
    reload::Reloader,
};

/// Changes that wait for the index. A full queue makes the watching wait, and the API server keep the rest.
const QUEUE: usize = 64;
/// Between two looks at what is to be kept or told: at most one write to the API server in this time.
const LOOK: Duration = Duration::from_secs(10);
/// After a write that failed, so many looks are left out; the server has enough to do.
const LEFT_OUT: u32 = 5;

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("cluster.json")
}

/// What an earlier run knew of the cluster; nothing if there was none, or if it cannot be read.
pub(crate) fn remember(state_dir: &Path) -> View {
    let path = file(state_dir);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(problem) => {
            if problem.kind() != std::io::ErrorKind::NotFound {
                error!("{}: {problem}; the API server will tell anew", path.display());
            }
            return View::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|problem| {
        error!("{}: {problem}; the API server will tell anew", path.display());
        View::default()
    })
}

/// The configuration with what the cluster said last. What was wrong with it then does not keep the agent from starting.
pub(crate) fn configured(sources: &Sources, view: &View, without: Config) -> Config {
    sources.cluster.replace(view.configuration().clone());
    match sources.load() {
        Ok(config) => config,
        Err(problem) => {
            error!("the cluster's configuration does nothing: {problem}");
            sources.cluster.replace(BTreeMap::new());
            without
        }
    }
}

/// Follows the API server for as long as the agent runs.
pub(crate) async fn follow(reloader: Arc<Reloader>, feed: Feed, config: Config) {
    let place = Place::find(&reloader.sources.environment, &workload::host(&config.host).name);
    let client = match cluster::connect().await {
        Ok(client) => client,
        Err(problem) => {
            error!("{problem}; what is known of the cluster stays in force");
            return;
        }
    };
    info!("following the API server for node {}, namespace {}", place.node, place.namespace);
    let (sender, changes) = mpsc::channel(QUEUE);
    let say = move |text: String| {
        warn!("{text}");
        feed.publish_message(Level::Warn, text);
    };
    let index = reloader.index.clone();
    tokio::join!(
        cluster::watch(client.clone(), place, sender, say),
        take(changes, &reloader),
        keep(index.clone(), &config.state_dir),
        report(client, index),
    );
}

/// Hands changes on, in their order.
async fn take(mut changes: mpsc::Receiver<Change>, reloader: &Reloader) {
    while let Some(change) = changes.recv().await {
        if let Change::Configuration(keys) = &change {
            reloader.follow_cluster(keys.clone()).await;
        }
        if reloader.index.call(|index| index.learn(change)).await.is_err() {
            return;
        }
    }
}

/// Brings what is known of the cluster to disk when it has changed.
async fn keep(index: IndexHandle, state_dir: &Path) {
    let path = file(state_dir);
    let mut kept = String::new();
    let mut failed = false;
    let mut looks = looks();
    loop {
        looks.tick().await;
        let Ok(view) = index.call(|index| serde_json::to_string(index.view())).await else {
            return;
        };
        let Ok(text) = view else { continue };
        if text == kept {
            continue;
        }
        match write_whole(&path, &text, 0o600) {
            Ok(()) => (kept, failed) = (text, false),
            Err(problem) => {
                if !failed {
                    warn!("{}: {problem}; the next run may not know the cluster", path.display());
                }
                failed = true;
            }
        }
    }
}

/// Tells the API server of this node when there is something new.
async fn report(client: Client, index: IndexHandle) {
    let mut report = Report::new(client);
    let mut looks = looks();
    let mut left_out = 0;
    let mut failed = false;
    loop {
        looks.tick().await;
        if left_out > 0 {
            left_out -= 1;
            continue;
        }
        let asked: Result<_, Gone> =
            index.call(|index| (index.view().node().cloned(), index.summary())).await;
        let Ok((node, summary)) = asked else { return };
        // Until the node's own object was seen, nobody knows what the summary belongs to.
        let Some(node) = node.filter(|node| !node.uid.is_empty()) else { continue };
        if report.is_written(&summary) {
            continue;
        }
        match report.write(&node, summary).await {
            Ok(()) => failed = false,
            Err(problem) => {
                if !failed {
                    warn!("the state of this node is not told to the API server: {problem}");
                }
                (failed, left_out) = (true, LEFT_OUT);
            }
        }
    }
}

fn looks() -> tokio::time::Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(keys: &[(&str, &str)]) -> View {
        let keys = keys.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut view = View::default();
        view.learn(Change::Configuration(keys));
        view
    }

    #[test]
    fn a_restart_knows_what_the_last_run_knew() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(remember(directory.path()), View::default());
        let view = told(&[("cluster", "prod")]);
        fs::write(file(directory.path()), serde_json::to_string(&view).unwrap()).unwrap();
        assert_eq!(remember(directory.path()), view);
        fs::write(file(directory.path()), "{\"pods\":").unwrap();
        assert_eq!(remember(directory.path()), View::default());
    }

    #[test]
    fn the_clusters_configuration_wins_and_what_is_absent_stays() {
        let flags = [("defaultNetworkPosture".to_owned(), "block".to_owned())].into();
        let sources = Sources { flags, ..Sources::default() };
        let without = sources.load().unwrap();
        let view = told(&[
            ("cluster", "prod"),
            ("defaultFilePosture", "Block"),
            ("alertThrottling", "false"),
            ("maxAlertPerSec", "7"),
            ("gRPC", "1"),
            ("karmor.yaml", "cluster: other"),
        ]);
        let config = configured(&sources, &view, without.clone());
        assert_eq!((config.cluster.as_str(), config.max_alert_per_sec), ("prod", 7));
        assert!(!config.alert_throttling);
        assert_eq!(config.default_file_posture, crate::config::Posture::Block);
        assert_eq!(config.default_network_posture, without.default_network_posture);
        assert_eq!((config.grpc, config.throttle_sec), (without.grpc, without.throttle_sec));
    }

    #[test]
    fn a_faulty_configuration_of_the_cluster_does_nothing_at_all() {
        let sources = Sources::default();
        let without = sources.load().unwrap();
        let view = told(&[("cluster", "prod"), ("defaultFilePosture", "blok")]);
        assert_eq!(configured(&sources, &view, without.clone()), without);
        assert_eq!(sources.load().unwrap(), without);
    }
}
