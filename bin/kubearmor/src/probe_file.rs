//! The file from which `karmor probe` learns what this node offers.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use sensor::Capabilities;
use serde::Serialize;
use tracing::warn;

use crate::{
    config::Config,
    config::Posture,
    instance::{temporary, write_whole},
};

/// Where clients look for it.
pub(crate) const PATH: &str = "/tmp/karmorProbeData.cfg";

#[derive(Serialize)]
struct ProbeFile<'a> {
    #[serde(rename = "OSImage")]
    os_image: String,
    #[serde(rename = "KernelVersion")]
    kernel_version: &'a str,
    #[serde(rename = "KubeletVersion")]
    kubelet_version: &'a str,
    #[serde(rename = "ContainerRuntime")]
    container_runtime: &'a str,
    #[serde(rename = "ActiveLSM")]
    active_lsm: &'a str,
    #[serde(rename = "KernelHeaderPresent")]
    kernel_header_present: bool,
    #[serde(rename = "HostSecurity")]
    host_security: bool,
    #[serde(rename = "ContainerSecurity")]
    container_security: bool,
    #[serde(rename = "ContainerDefaultPosture")]
    container_postures: Postures,
    #[serde(rename = "HostDefaultPosture")]
    host_postures: Postures,
    #[serde(rename = "HostVisibility")]
    host_visibility: String,
    #[serde(rename = "ContainerStart")]
    container_start: &'a str,
}

#[derive(Serialize)]
struct Postures {
    file: Posture,
    network: Posture,
    capabilities: Posture,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Posture>,
}

/// What there is on this node.
pub(crate) struct Node<'a> {
    pub(crate) config: &'a Config,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) enforcing: bool,
    /// The container runtimes that are followed, with their versions.
    pub(crate) runtimes: &'a str,
}

/// Takes away what other users may have put in its place. Among files of a directory that is everybody's this takes
/// `CAP_FOWNER`, which the agent gives up later.
pub(crate) fn clear(path: &Path) {
    clear_unless_of(path, rustix::process::geteuid().as_raw());
}

fn clear_unless_of(path: &Path, own: u32) {
    for place in [path.to_owned(), temporary(path)] {
        if place.symlink_metadata().is_ok_and(|found| found.uid() != own)
            && let Err(problem) = fs::remove_file(&place)
        {
            warn!("{} is another user's: {problem}", place.display());
        }
    }
}

/// Replaces the file at `path`. `container_start` says whether a container's first program is governed.
pub(crate) fn write(path: &Path, node: &Node<'_>, container_start: &str) -> io::Result<()> {
    let &Node { config, capabilities, enforcing, runtimes } = node;
    let probe = ProbeFile {
        os_image: os_image(),
        kernel_version: &capabilities.kernel,
        kubelet_version: "",
        container_runtime: runtimes,
        active_lsm: if enforcing { "BPFLSM" } else { "" },
        // The programs carry their own type information; no headers are needed.
        kernel_header_present: true,
        host_security: enforcing && config.enable_kube_armor_host_policy,
        container_security: enforcing && config.enable_kube_armor_policy,
        container_postures: Postures {
            file: config.default_file_posture,
            network: config.default_network_posture,
            capabilities: config.default_capabilities_posture,
            device: None,
        },
        host_postures: Postures {
            file: config.host_default_file_posture,
            network: config.host_default_network_posture,
            capabilities: config.host_default_capabilities_posture,
            device: Some(config.host_default_device_posture),
        },
        host_visibility: config.effective_host_visibility().into(),
        container_start,
    };
    write_whole(path, &serde_json::to_string(&probe)?, 0o600)
}

fn os_image() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_user_has_put_there_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("probe");
        fs::write(&path, "").unwrap();
        fs::write(temporary(&path), "").unwrap();
        let own = fs::metadata(&path).unwrap().uid();
        clear_unless_of(&path, own);
        assert!(path.exists() && temporary(&path).exists());
        clear_unless_of(&path, own + 1);
        assert!(!path.exists() && !temporary(&path).exists());
    }
}
