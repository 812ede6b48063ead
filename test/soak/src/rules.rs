//! The policy that every container here is under, put in force as a person does it.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

const FILE: &str = "/run/soak-policy.yaml";

/// Label and value that the policy selects.
pub(crate) const LABEL: (&str, &str) = ("app", "soak");

/// Forbids the file, and a program that nobody starts; `revision` makes policies of one name differ.
pub(crate) fn forbid(file: &str, revision: u64) -> Result<()> {
    let (label, value) = LABEL;
    let text = format!(
        "apiVersion: security.kubearmor.com/v1\n\
         kind: KubeArmorPolicy\n\
         metadata: {{name: soak, namespace: default}}\n\
         spec:\n\
         \x20 selector: {{matchLabels: {{{label}: {value}}}}}\n\
         \x20 file: {{matchPaths: [{{path: {file}}}, {{path: /revision/{revision}}}]}}\n\
         \x20 process: {{matchPaths: [{{path: /nobody/starts/this}}]}}\n\
         \x20 action: Block\n"
    );
    fs::write(FILE, text).context(FILE)?;
    let karmor = Command::new("karmor").args(["vm", "policy", "add", FILE]).output();
    let karmor = karmor.context("cannot start karmor")?;
    if !karmor.status.success() {
        let said = [karmor.stdout, karmor.stderr].concat();
        bail!("the policy was not applied: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}
