//! Default postures as they are given: classes with their posture, or the agent's configuration file.

use std::{collections::BTreeMap, fs, path::Path, str::FromStr};

use anyhow::Context;
use ruleset::{Posture, Postures, WorkloadKind};
use serde_json::Value;

use crate::failure::Advised;

/// `file=block,network=audit`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    process: Option<Posture>,
    file: Option<Posture>,
    network: Option<Posture>,
    capabilities: Option<Posture>,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut given = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let Some((class, posture)) = item.split_once('=') else {
                let all = Some(posture(item)?);
                given = Self { process: all, file: all, network: all, capabilities: all };
                continue;
            };
            *given.class(class.trim())? = Some(self::posture(posture.trim())?);
        }
        Ok(given)
    }
}

fn posture(text: &str) -> Result<Posture, String> {
    match text.to_ascii_lowercase().as_str() {
        "allow" => Ok(Posture::Allow),
        "audit" => Ok(Posture::Audit),
        "block" => Ok(Posture::Block),
        _ => Err(format!("`{text}` is no posture: use allow, audit or block")),
    }
}

impl Given {
    fn class(&mut self, class: &str) -> Result<&mut Option<Posture>, String> {
        match class.to_ascii_lowercase().as_str() {
            "process" => Ok(&mut self.process),
            "file" => Ok(&mut self.file),
            "network" | "dns" => Ok(&mut self.network),
            "capabilities" => Ok(&mut self.capabilities),
            _ => Err(format!("`{class}` is no class: use process, file, network or capabilities")),
        }
    }

    fn over(self, below: Self) -> Self {
        Self {
            process: self.process.or(below.process),
            file: self.file.or(below.file),
            network: self.network.or(below.network),
            capabilities: self.capabilities.or(below.capabilities),
        }
    }

    /// What is not given is `audit`, as for the agent; the process posture is then that of files.
    fn complete(self) -> Postures {
        let file = self.file.unwrap_or_default();
        Postures {
            process: self.process.unwrap_or(file),
            file,
            network: self.network.unwrap_or_default(),
            capabilities: self.capabilities.unwrap_or_default(),
        }
    }

    /// The keys of the agent's configuration for such a workload; other keys are none of ours.
    fn of_config(path: &Path, kind: WorkloadKind) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let keys: BTreeMap<String, Value> = serde_saphyr::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{name} is no YAML mapping: {error}"))?;
        let mut given = Self::default();
        for (class, middle) in [
            ("process", "Process"),
            ("file", "File"),
            ("network", "Network"),
            ("capabilities", "Capabilities"),
        ] {
            let key = match kind {
                WorkloadKind::Container => format!("default{middle}Posture"),
                WorkloadKind::Host => format!("hostDefault{middle}Posture"),
            };
            let Some(text) = keys.get(&key).and_then(Value::as_str).filter(|text| !text.is_empty())
            else {
                continue;
            };
            let fault = |reason| {
                let hint = "the agent would refuse this file too";
                Advised::new(format!("{name}: {key}: {reason}"), hint)
            };
            *given.class(class).map_err(fault)? = Some(posture(text).map_err(fault)?);
        }
        Ok(given)
    }
}

/// What is given on the command line, over what the configuration says.
pub(super) fn postures(
    given: Given,
    config: Option<&Path>,
    kind: WorkloadKind,
) -> anyhow::Result<Postures> {
    let below = match config {
        Some(path) => Given::of_config(path, kind)?,
        None => Given::default(),
    };
    Ok(given.over(below).complete())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_fall_back_as_in_the_agent() {
        let given: Given = "file=Block, network=allow".parse().unwrap();
        let postures = given.complete();
        assert_eq!(postures.process, Posture::Block);
        assert_eq!(postures.capabilities, Posture::Audit);
        let all = "block,file=audit".parse::<Given>().unwrap().complete();
        assert_eq!((all.process, all.file), (Posture::Block, Posture::Audit));
        assert!("disk=block".parse::<Given>().unwrap_err().contains("`disk` is no class"));
        assert!("file=deny".parse::<Given>().is_err());
    }

    #[test]
    fn the_command_line_comes_before_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubearmor.yaml");
        fs::write(&file, "defaultFilePosture: block\nhostDefaultNetworkPosture: block\ngRPC: 1\n")
            .unwrap();
        let given: Given = "network=allow".parse().unwrap();
        let container = postures(given, Some(&file), WorkloadKind::Container).unwrap();
        assert_eq!((container.process, container.network), (Posture::Block, Posture::Allow));
        let host = postures(Given::default(), Some(&file), WorkloadKind::Host).unwrap();
        assert_eq!((host.file, host.network), (Posture::Audit, Posture::Block));
        fs::write(&file, "defaultFilePosture: deny\n").unwrap();
        assert!(postures(given, Some(&file), WorkloadKind::Container).is_err());
    }
}
