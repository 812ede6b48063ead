//! The network of pods: a bridge, with addresses of one range, and the host's address towards all others.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use guest::POD_NETWORK;
use serde_json::json;

/// The addresses of pods.
pub(crate) const PODS: &str = "10.244.0.0/16";

/// What kubelet and proxy take for granted, and the description by which containerd connects pods.
pub(crate) fn prepare() -> Result<()> {
    // Pods may ask to see what is mounted later.
    let status = Command::new("mount").args(["--make-rshared", "/"]).status().context("mount")?;
    ensure!(status.success(), "the mounts cannot be shared");
    for module in ["overlay", "br_netfilter"] {
        let status = Command::new("modprobe").arg(module).status().context("modprobe")?;
        ensure!(status.success(), "the kernel has no module {module}");
    }
    for path in ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/bridge/bridge-nf-call-iptables"] {
        fs::write(path, "1").context(path)?;
    }
    let network = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                "ipMasq": true,
                // A pod that calls itself by the address of a service.
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": PODS }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    // Given addresses are forgotten with the reboot that ends their pods.
                    "dataDir": "/run/testbed/addresses",
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    let path = Path::new(POD_NETWORK).join("pods.conflist");
    fs::create_dir_all(POD_NETWORK).context(POD_NETWORK)?;
    fs::write(&path, network.to_string()).with_context(|| path.display().to_string())
}
