//! Where events go beside clients: the log file, the history, the sinks, as the configuration has them.

use std::sync::Arc;

use feed::{Feed, HistoryBounds, Level, Rotation};
use sinks::Sinks;
use tracing::{error, warn};

use crate::config::{Config, Switch};

/// From here on each event goes there as well. What cannot be opened is told.
pub(crate) async fn open(feed: &Feed, config: &Config) -> Sinks {
    write_lines(feed, config);
    keep_history(config, feed);
    start_sinks(feed, config).await
}

fn write_lines(feed: &Feed, config: &Config) {
    let log_path = config.log_path.parse().unwrap_or_default();
    let rotation = Rotation {
        bytes: u64::from(config.log_rotate_megabytes) * 1_000_000,
        files: config.log_rotate_files,
    };
    if let Err(problem) = feed.write_to(&log_path, rotation) {
        error!("logPath {}: {problem}; events are not written there", config.log_path);
    }
}

/// What people should know of them is a message like others.
async fn start_sinks(feed: &Feed, config: &Config) -> Sinks {
    let tell = {
        let feed = feed.clone();
        Arc::new(move |text: String| {
            warn!("{text}");
            feed.publish_message(Level::Warn, text);
        })
    };
    let sinks = Sinks::new(config.state_dir.join("spool"), tell);
    sinks.apply(&config.sinks).await;
    feed.send_to(sinks.clone());
    sinks
}

fn keep_history(config: &Config, feed: &Feed) {
    if config.history == Switch::Off {
        return;
    }
    let directory = config.state_dir.join("history");
    let bounds = HistoryBounds {
        bytes: u64::from(config.history_megabytes) * 1_000_000,
        days: config.history_days,
    };
    if let Err(problem) = feed.keep_history(&directory, bounds) {
        error!("{problem}; events are not kept");
    }
}
