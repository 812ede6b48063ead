//! The values of keys about how clients reach the agent.

use std::{ops::Deref, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Config;

/// The name of the socket in `runDir`, by which clients find it there.
const SOCKET_NAME: &str = "kubearmor.sock";

impl Config {
    /// Where the unix socket is to be, if there is to be one.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        match &self.grpc_socket {
            SocketChoice::None => None,
            // There, policies come from the cluster.
            SocketChoice::Default if self.k8s => None,
            SocketChoice::Default => Some(self.run_dir.join(SOCKET_NAME)),
            SocketChoice::At(path) => Some(path.clone()),
        }
    }

    /// Whether the agent writes certificates of its own.
    pub(crate) fn issues_certificates(&self) -> bool {
        self.tls_enabled && self.tls_cert_provider == CertificateProvider::SelfMade
    }
}

/// Where the unix socket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum SocketChoice {
    /// In `runDir`; in Kubernetes nowhere.
    Default,
    None,
    At(PathBuf),
}

impl TryFrom<String> for SocketChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "default" => Ok(Self::Default),
            "none" => Ok(Self::None),
            path if path.starts_with('/') => Ok(Self::At(path.into())),
            _ => Err(format!("`{text}` is no absolute path; write one, or default or none")),
        }
    }
}

impl From<SocketChoice> for String {
    fn from(choice: SocketChoice) -> Self {
        match choice {
            SocketChoice::Default => "default".into(),
            SocketChoice::None => "none".into(),
            SocketChoice::At(path) => path.display().to_string(),
        }
    }
}

/// Where certificates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CertificateProvider {
    #[serde(rename = "self")]
    SelfMade,
    External,
}

/// A comma list of host names and addresses, shown again as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Names {
    names: Vec<String>,
    text: String,
}

impl Deref for Names {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.names
    }
}

impl TryFrom<String> for Names {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names: Vec<String> = text
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:*".contains(c);
        match names.iter().find(|name| !name.chars().all(is_part)) {
            Some(name) => Err(format!("`{name}` is neither a host name nor an address")),
            None => Ok(Self { names, text }),
        }
    }
}

impl From<Names> for String {
    fn from(names: Names) -> Self {
        names.text
    }
}
