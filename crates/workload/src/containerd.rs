//! Containerd: its tasks, its event stream, and what its store knows of a container.
//!
//! All of containerd's own namespaces are followed. A container counts from the moment its task is *created*, which is
//! before its program is executed.

mod api;
mod client;

use std::path::Path;

pub(crate) use self::client::Client;
pub use self::client::read_hostile;
use crate::{
    newcomer::Newcomer,
    runtime::{Peer as _, RuntimeError},
};

/// Where containerd listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/containerd/containerd.sock";

/// Adds labels and image of a container that containerd is about to start; false if it does not know it. Asks its store
/// only: its runtime answers nobody before the container's hooks have ended.
pub(crate) async fn complete(socket: &Path, newcomer: &mut Newcomer) -> Result<bool, RuntimeError> {
    let mut client = Client::connect(socket).await?;
    let namespaces = match newcomer.runtime_namespace.as_str() {
        "" => client.namespaces().await?,
        known => vec![known.to_owned()],
    };
    for namespace in namespaces {
        let Some(record) = client.container(&namespace, &newcomer.id).await? else { continue };
        for (key, value) in record.labels {
            newcomer.labels.entry(key).or_insert(value);
        }
        if newcomer.image.is_empty() {
            newcomer.image = record.image;
        }
        if newcomer.cgroups_path.is_none() {
            newcomer.cgroups_path = record.cgroups_path;
        }
        // A pod's labels are those of the container that stands for it, and what policies select.
        if let Some(pod) = &newcomer.pod_id
            && let Some(record) = client.container(&namespace, pod).await?
        {
            for (key, value) in record.labels {
                newcomer.labels.entry(key).or_insert(value);
            }
        }
        newcomer.runtime_namespace = namespace;
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
