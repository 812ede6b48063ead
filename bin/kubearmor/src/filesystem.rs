//! Where the index learns what symbolic links mean: the root filesystems of containers and of the host.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ruleset::{Links, WantedLinks};
use tracing::warn;
use workload::{Budget, RootPlace};

/// A container may bring a filesystem that never answers.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) trait LinkSource: Send {
    /// What is known of the links below `root`. Never fails: unreadable means no links.
    fn links(&mut self, root: &RootPlace, wanted: WantedLinks) -> Links;
}

/// Reads real root filesystems, never waiting for long.
#[derive(Debug)]
pub(crate) struct RootFilesystems;

impl LinkSource for RootFilesystems {
    fn links(&mut self, root: &RootPlace, wanted: WantedLinks) -> Links {
        let (sender, links) = mpsc::channel();
        let place = root.clone();
        // A slow one is read in part.
        let until = Instant::now() + PATIENCE / 2;
        let reader = thread::Builder::new().name("links".to_owned()).spawn(move || {
            let budget = Budget { until: Some(until), ..Budget::default() };
            let links =
                place.open().map(|root| workload::resolve_links_within(&root, &wanted, budget));
            // Nobody waits any more if it took too long.
            let _ = sender.send(links);
        });
        let unread = |reason: String| {
            warn!("{root}: {reason}; rules cover no links there");
            Links::default()
        };
        if let Err(error) = reader {
            return unread(error.to_string());
        }
        match links.recv_timeout(PATIENCE) {
            Ok(Ok(links)) => links,
            Ok(Err(error)) => unread(error.to_string()),
            Err(_timeout) => unread(format!("no answer for {} s", PATIENCE.as_secs())),
        }
    }
}
