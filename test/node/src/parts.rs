//! The kubelet and the proxy of services.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{LOGS, network::PODS};

/// Where their configurations are written.
const CONFIGURATION: &str = "/run/testbed";

/// They end when this is dropped.
pub(crate) struct Parts(Vec<Child>);

impl Parts {
    pub(crate) fn start() -> Result<Self> {
        let mut parts = Self(Vec::new());
        let kubelet = write("kubelet.json", &kubelet())?;
        parts.start_one(
            "kubelet",
            &[
                &format!("--config={}", kubelet.display()),
                &format!("--kubeconfig={}", certificate("kubelet.kubeconfig")),
                &format!("--hostname-override={}", guest::HOST_NAME),
                &format!("--node-ip={}", guest::network::ADDRESS),
            ],
        )?;
        let proxy = write("kube-proxy.json", &proxy())?;
        parts.start_one(
            "kube-proxy",
            &[
                &format!("--config={}", proxy.display()),
                &format!("--hostname-override={}", guest::HOST_NAME),
            ],
        )?;
        Ok(parts)
    }

    fn start_one(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let log = File::create(Path::new(LOGS).join(format!("{name}.log")))?;
        let child = Command::new(below(node::PROGRAMS).join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        self.0.push(child);
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Fails when it has ended, which is the aim.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn kubelet() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": certificate("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": certificate("kubelet-server.crt"),
        "tlsPrivateKeyFile": certificate("kubelet-server.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        // There is no systemd to ask.
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        // Images come with the node and cannot be had again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi" },
        "registerNode": true,
        "shutdownGracePeriod": "0s",
    })
}

fn proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": { "kubeconfig": certificate("proxy.kubeconfig") },
        "clusterCIDR": PODS,
        // Limits of the kernel's table of connections, which a machine of one processor need not raise.
        "conntrack": { "maxPerCore": 0 },
    })
}

fn write(name: &str, configuration: &Value) -> Result<PathBuf> {
    let path = Path::new(CONFIGURATION).join(name);
    fs::create_dir_all(CONFIGURATION).context(CONFIGURATION)?;
    fs::write(&path, configuration.to_string()).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn certificate(name: &str) -> String {
    below(node::CERTIFICATES).join(name).display().to_string()
}

fn below(directory: &str) -> PathBuf {
    Path::new(node::DIRECTORY).join(directory)
}
