//! Which runtimes there may be on a node, and where they listen.

use std::{fmt, fs, path::PathBuf};

/// What is spoken at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Containerd,
    Docker,
    /// Its service, which speaks Docker's language.
    Podman,
    /// Podman without a service: what it keeps on disk.
    PodmanStorage,
    /// The container runtime interface of Kubernetes.
    Cri,
}

/// Where runtimes listen unless told otherwise. Kubernetes in one package brings a containerd of its own.
const PLACES: [(Kind, &str); 7] = [
    (Kind::Containerd, "/run/containerd/containerd.sock"),
    (Kind::Containerd, "/run/k3s/containerd/containerd.sock"),
    (Kind::Containerd, "/var/snap/microk8s/common/run/containerd.sock"),
    (Kind::Docker, "/run/docker.sock"),
    (Kind::Podman, "/run/podman/podman.sock"),
    (Kind::PodmanStorage, "/var/lib/containers/storage/db.sql"),
    (Kind::Cri, "/run/crio/crio.sock"),
];

/// A runtime that may be there now or later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Runtime {
    pub kind: Kind,
    /// Of Podman's storage, its database.
    pub socket: PathBuf,
    /// It is missed where it is not there: somebody has named it, or an earlier run of the agent followed it.
    pub expected: bool,
}

impl Kind {
    /// As messages and versions name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Docker => "docker",
            Self::Podman | Self::PodmanStorage => "podman",
            Self::Cri => "cri",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Runtime {
    /// What a configuration calls the socket of a runtime: a path, or the same with `unix://`. Which runtime it is shows
    /// in the path, as everywhere around Kubernetes; `None` for what is no absolute path.
    pub fn named(address: &str) -> Option<Self> {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if !path.starts_with('/') {
            return None;
        }
        // `cri-dockerd.sock` is an interface before Docker, not Docker.
        let kind = match path.rsplit('/').next().unwrap_or_default() {
            "docker.sock" => Kind::Docker,
            "podman.sock" => Kind::Podman,
            "containerd.sock" => Kind::Containerd,
            _ => Kind::Cri,
        };
        Some(Self { kind, socket: path.into(), expected: true })
    }
}

/// All places where runtimes usually listen, and those that somebody has named, each once.
pub fn known(named: impl IntoIterator<Item = Runtime>) -> Vec<Runtime> {
    let usual = PLACES.map(|(kind, place)| Runtime { kind, socket: place.into(), expected: false });
    let mut all: Vec<Runtime> = Vec::new();
    for runtime in named.into_iter().chain(usual) {
        let place = place(&runtime);
        match all.iter_mut().find(|other| self::place(other) == place) {
            Some(other) => other.expected |= runtime.expected,
            None => all.push(runtime),
        }
    }
    all
}

/// Its socket by one name: `/var/run` usually leads to `/run`.
fn place(runtime: &Runtime) -> PathBuf {
    if let Ok(below) = runtime.socket.strip_prefix("/var/run")
        && fs::canonicalize("/var/run").ok() == fs::canonicalize("/run").ok()
    {
        return PathBuf::from("/run").join(below);
    }
    runtime.socket.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_which_runtime_listens() {
        for (address, kind) in [
            ("unix:///run/containerd/containerd.sock", Kind::Containerd),
            ("/run/k3s/containerd/containerd.sock", Kind::Containerd),
            ("unix:///var/run/docker.sock", Kind::Docker),
            ("/run/user/0/podman/podman.sock", Kind::Podman),
            ("unix:///var/run/crio/crio.sock", Kind::Cri),
            ("unix:///run/cri-dockerd.sock", Kind::Cri),
        ] {
            let named = Runtime::named(address).unwrap();
            assert_eq!((named.kind, named.expected), (kind, true), "{address}");
        }
        for address in ["", "tcp://127.0.0.1:2375", "docker.sock"] {
            assert_eq!(Runtime::named(address), None, "{address}");
        }
    }

    #[test]
    fn a_socket_that_is_named_twice_is_followed_once() {
        let usual = known([]);
        assert_eq!(usual.len(), PLACES.len());
        assert!(usual.iter().all(|runtime| !runtime.expected));
        let all = known(Runtime::named("/run/docker.sock"));
        assert_eq!(all.len(), PLACES.len());
        let expected: Vec<_> = all.iter().filter(|runtime| runtime.expected).collect();
        assert_eq!(expected.len(), 1);
        assert_eq!(expected[0].kind, Kind::Docker);
        let more = known(Runtime::named("unix:///opt/other/containerd.sock"));
        assert_eq!(more.len(), PLACES.len() + 1);
    }
}
