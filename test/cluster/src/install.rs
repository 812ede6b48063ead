//! The definitions and the agent, as the tests need them.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::cluster::{AGENT, AGENT_NAMESPACE, Cluster};

/// Installs them; returns when the agent is ready.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for manifests in ["../../deploy/crds", "manifests"] {
        let manifests = here.join(manifests);
        let output = cluster.everywhere(&["apply", "-f", &manifests.to_string_lossy()])?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", manifests.display(), said.trim_end());
    }
    let ready = ["rollout", "status", AGENT, "--timeout=300s"];
    cluster.kubectl(&[&["-n", AGENT_NAMESPACE], &ready[..]].concat()).map(drop)
}
