//! Which container runtimes are followed: all that are usual, and those that the configuration names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::sync::watch;
use tracing::{info, warn};
use workload::{CONTAINERD_SOCKET, Followed, Kind, Runtime};

use crate::{config::Config, instance::write_whole};

/// Those to follow. What an earlier run has followed is missed where it is not there: its containers may still run.
pub(crate) fn known(config: &Config) -> Vec<Runtime> {
    let mut named = Vec::new();
    if config.containerd_socket != Path::new(CONTAINERD_SOCKET) {
        named.push(Runtime {
            kind: Kind::Containerd,
            socket: config.containerd_socket.clone(),
            expected: true,
        });
    }
    match Runtime::named(&config.cri_socket) {
        Some(runtime) => named.push(runtime),
        None if config.cri_socket.is_empty() => {}
        None => warn!(
            "criSocket: `{}` is no socket's path, such as unix:///run/crio/crio.sock; it is not followed",
            config.cri_socket
        ),
    }
    let mut known = workload::known(named);
    let earlier = earlier(&file(config));
    for runtime in &mut known {
        runtime.expected |= earlier.contains(&runtime.socket);
    }
    known
}

/// Where containerd listens, or may listen.
pub(crate) fn of_containerd(runtimes: &[Runtime]) -> Vec<PathBuf> {
    let containerds = runtimes.iter().filter(|runtime| runtime.kind == Kind::Containerd);
    containerds.map(|runtime| runtime.socket.clone()).collect()
}

/// As `karmor probe` shows them.
pub(crate) fn line(followed: &Followed) -> String {
    followed.values().cloned().collect::<Vec<_>>().join(", ")
}

/// Keeps for the next run which runtimes are followed.
pub(crate) async fn keep(config: Config, mut followed: watch::Receiver<Followed>) {
    let file = file(&config);
    loop {
        let now = followed.borrow_and_update().clone();
        info!("container runtimes: {}", if now.is_empty() { "none".into() } else { line(&now) });
        let mut all = earlier(&file);
        all.extend(now.into_keys());
        all.sort();
        all.dedup();
        let kept = serde_json::to_string(&all).map_err(Into::into);
        if let Err(problem) = kept.and_then(|text| write_whole(&file, &text, 0o600)) {
            warn!("{}: {problem}; the next run may not miss a runtime", file.display());
        }
        if followed.changed().await.is_err() {
            return;
        }
    }
}

fn file(config: &Config) -> PathBuf {
    config.run_dir.join("runtimes.json")
}

fn earlier(file: &Path) -> Vec<PathBuf> {
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(config: &Config) -> Vec<(Kind, PathBuf)> {
        let known = known(config).into_iter().filter(|runtime| runtime.expected);
        known.map(|runtime| (runtime.kind, runtime.socket)).collect()
    }

    #[test]
    fn what_is_named_is_missed_and_the_usual_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let plain = Config { run_dir: directory.path().to_owned(), ..Config::default() };
        assert_eq!(expected(&plain), []);
        assert!(of_containerd(&known(&plain)).contains(&CONTAINERD_SOCKET.into()));
        let named = Config {
            containerd_socket: "/opt/own.sock".into(),
            cri_socket: "unix:///var/run/crio/crio.sock".into(),
            ..plain.clone()
        };
        let wanted = [
            (Kind::Containerd, PathBuf::from("/opt/own.sock")),
            (Kind::Cri, "/var/run/crio/crio.sock".into()),
        ];
        assert_eq!(expected(&named), wanted);
        let odd = Config { cri_socket: "crio".into(), ..plain };
        assert_eq!(expected(&odd), []);
    }

    #[tokio::test]
    async fn what_was_followed_is_missed_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { run_dir: directory.path().to_owned(), ..Config::default() };
        let docker = PathBuf::from("/run/docker.sock");
        for followed in
            [Followed::from([(docker.clone(), "docker://26".to_owned())]), Followed::new()]
        {
            let (sender, receiver) = watch::channel(followed);
            drop(sender);
            keep(config.clone(), receiver).await;
        }
        assert_eq!(expected(&config), [(Kind::Docker, docker)], "also after it has ended");
    }
}
