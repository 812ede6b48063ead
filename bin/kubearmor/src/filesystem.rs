//! Where the index learns what symbolic links mean: the root filesystems of containers and of the host.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use ruleset::{Links, WantedLinks};
use tracing::warn;

/// A container may bring a filesystem that never answers.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) trait LinkSource: Send {
    /// What is known of the links below `root`. Never fails: unreadable means no links.
    fn links(&mut self, root: &Path, wanted: WantedLinks) -> Links;
}

/// Reads real root filesystems, never waiting for long.
#[derive(Debug)]
pub(crate) struct RootFilesystems;

impl LinkSource for RootFilesystems {
    fn links(&mut self, root: &Path, wanted: WantedLinks) -> Links {
        let (sender, links) = mpsc::channel();
        let path: PathBuf = root.to_owned();
        let reader = thread::Builder::new().name("links".to_owned()).spawn(move || {
            let links =
                workload::Root::open(&path).map(|root| workload::resolve_links(&root, &wanted));
            // Nobody waits any more if it took too long.
            let _ = sender.send(links);
        });
        let unread = |reason: String| {
            warn!("{}: {reason}; rules cover no links there", root.display());
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
