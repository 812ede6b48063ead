//! The case format. An unknown key is an error: nothing is ignored.

mod step;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{matcher::Matcher, requirement::Requirement};

pub(crate) use step::HOST;
pub use step::{AgentAction, Counted, Deleted, Expectation, Seen, Step};

/// One behaviour case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique; the file's name without `.yaml`.
    pub name: String,
    pub about: String,
    /// The enforcers under which the case must hold.
    pub enforcers: Vec<Enforcer>,
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// Configuration keys of the agent.
    #[serde(default)]
    pub agent: BTreeMap<String, Value>,
    #[serde(default)]
    pub containers: Vec<Container>,
    /// In force before the first step.
    #[serde(default)]
    pub policies: Vec<PolicyText>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Enforcer {
    Bpf,
    #[value(name = "apparmor")]
    AppArmor,
    #[value(name = "selinux")]
    SeLinux,
}

/// A container as a case declares it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    pub name: String,
    #[serde(default)]
    pub rootfs: Rootfs,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default = "default_namespace")]
    pub namespace: String,
    #[serde(default)]
    pub uid: u32,
    /// Added to the runtime's default set; without `CAP_`.
    #[serde(default)]
    pub caps: Vec<String>,
    #[serde(default)]
    pub privileged: bool,
    #[serde(default, rename = "hostPID")]
    pub host_pid: bool,
    /// The main process, instead of the sleeping one.
    pub command: Option<Vec<String>>,
    /// What is there before the container starts, by absolute path.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, Content>,
    /// `false` leaves the container to a `start` step.
    #[serde(default = "default_started")]
    pub started: bool,
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn default_started() -> bool {
    true
}

/// The root file systems that a container may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rootfs {
    #[default]
    Debian,
    Split,
    Alpine,
}

impl Rootfs {
    /// The name in cases and of the image.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Split => "split",
            Self::Alpine => "alpine",
        }
    }
}

/// What a file of a container is. A path that ends in `/` is a directory, whatever its content says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Link(Link),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The link's target, as written.
    pub link: String,
}

/// A policy as it reaches the agent: a text block byte for byte, a mapping as YAML made from it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub struct PolicyText(pub String);

impl From<Value> for PolicyText {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self(text),
            // JSON is YAML, and needs no guesses about quoting.
            mapping => Self(format!("{mapping:#}\n")),
        }
    }
}

/// Fields of an event and what each must be. All must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct EventPattern(pub BTreeMap<String, Matcher>);

/// Why a case cannot be run at all.
#[derive(Debug)]
pub enum FormatError {
    Unreadable { path: PathBuf, source: io::Error },
    Malformed { path: PathBuf, message: String },
}

impl std::error::Error for FormatError {}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Malformed { path, message } => write!(f, "{}: {message}", path.display()),
        }
    }
}

impl Case {
    /// Reads one file.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let text = fs::read_to_string(path)
            .map_err(|source| FormatError::Unreadable { path: path.to_owned(), source })?;
        let malformed = |message| FormatError::Malformed { path: path.to_owned(), message };
        let case = Self::parse(&text).map_err(malformed)?;
        if path.file_stem().is_none_or(|stem| stem != case.name.as_str()) {
            return Err(malformed(format!(
                "the name is {}, and the file should be named after it",
                case.name
            )));
        }
        Ok(case)
    }

    /// Reads the text of a case and checks that its names fit together.
    pub fn parse(text: &str) -> Result<Self, String> {
        let case: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        case.check()?;
        Ok(case)
    }

    /// All cases of a folder and the folders below it, by path.
    pub fn read_folder(folder: &Path) -> Result<Vec<Self>, FormatError> {
        let unreadable = |source| FormatError::Unreadable { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        let mut cases = Vec::new();
        for path in paths {
            if path.is_dir() {
                cases.extend(Self::read_folder(&path)?);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                cases.push(Self::read(&path)?);
            }
        }
        Ok(cases)
    }

    fn check(&self) -> Result<(), String> {
        for (number, step) in self.steps.iter().enumerate() {
            let Some(place) = step.container().filter(|place| *place != HOST) else {
                continue;
            };
            if !self.containers.iter().any(|container| container.name == place) {
                return Err(format!("step {}: no container {place}", number + 1));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
