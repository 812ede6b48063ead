//! Brings a changed configuration and a changed policy directory into force.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sinks::Sinks;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::{
    comparison::Comparison,
    config::{Config, Sources, Verdict},
    events::Accounts,
    index::{IndexHandle, Settings},
    instance::Instance,
    restore,
};

/// What a reload reads and whom it tells.
pub(crate) struct Reloader {
    pub(crate) sources: Sources,
    /// In force. Locked for the whole of a reload, so that reloads do not overtake each other.
    pub(crate) config: Mutex<Config>,
    pub(crate) index: IndexHandle,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) sinks: Sinks,
    pub(crate) instance: Arc<Instance>,
    pub(crate) comparison: Arc<Comparison>,
}

impl Reloader {
    /// Reads file and environment again. A configuration with an error changes nothing.
    pub(crate) async fn reload(&self) {
        let mut config = self.config.lock().await;
        let new = match self.sources.load() {
            Ok(new) => new,
            Err(problem) => {
                error!("the configuration stays as it was: {problem}");
                return;
            }
        };
        let (new, waiting) = config.reloaded(&new);
        if !waiting.is_empty() {
            warn!("takes effect at the next start: {}", waiting.join(", "));
        }
        if new != *config {
            let settings = policy_settings(&new);
            if self.index.call(move |index| index.reconfigure(settings)).await.is_err() {
                return;
            }
            self.accounts.set(event_settings(&new));
            self.sinks.apply(&new.sinks).await;
            *config = new;
            info!("the configuration was read again");
        }
        // A changed file may be another file of the same name.
        let own = own_places(&config, self.sources.file.as_deref());
        if self.index.call(move |index| index.protect(&own)).await.is_err() {
            return;
        }
        // Whoever suspects that something is not in force need not wait for the next comparison.
        if self.comparison.now().await.is_err() {
            return;
        }
        // Written even if nothing changed: whoever asked for the reload waits for it.
        if let Err(problem) = self.instance.in_force(&config) {
            error!("{problem}");
        }
    }

    /// Reads the policy directory again.
    pub(crate) async fn follow_policies(&self) {
        let directory = self.config.lock().await.policy_dir.clone();
        if directory.as_os_str().is_empty() {
            return;
        }
        let reading = restore::read_directory(&directory);
        // Fails only while the agent goes down.
        let _ = self.index.call(move |index| restore::follow_directory(index, reading)).await;
    }
}

/// What nobody in a container is to change: where the agent keeps things, what it reads, and its program.
pub(crate) fn own_places(config: &Config, file: Option<&Path>) -> Vec<PathBuf> {
    let kept = [&config.state_dir, &config.run_dir, &config.policy_dir, &config.tls_cert_path];
    let mut places: Vec<PathBuf> = kept.into_iter().cloned().collect();
    places.extend(file.map(Path::to_owned));
    places.extend(std::env::current_exe());
    // Keys may name what is not there, such as certificates that nobody asked for.
    places.retain(|place| place.exists());
    places
}

pub(crate) fn policy_settings(config: &Config) -> Settings {
    Settings {
        container_policies: config.enable_kube_armor_policy,
        host_policies: config.enable_kube_armor_host_policy,
        containers: config.container_postures(),
        host: config.host_postures(),
        visible: config.visibility.classes,
        host_visible: config.effective_host_visibility().classes,
        permit_unresolved: config.on_unresolved_path == Verdict::Allow,
        start_ungoverned: config.on_hook_failure == Verdict::Allow,
        merge_window: Duration::from_millis(config.log_merge_millis.into()),
    }
}

pub(crate) fn event_settings(config: &Config) -> telemetry::Settings {
    telemetry::Settings {
        limit: telemetry::Limit {
            on: config.alert_throttling,
            per_second: config.max_alert_per_sec,
            silence_seconds: config.throttle_sec,
        },
    }
}
