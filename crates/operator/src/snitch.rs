//! `kubearmor snitch`: what kind of node this is.

use std::{
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use manifests::NodeFacts;
use workload::Kind;

/// Sockets of the node resource interface.
const NRI: [&str; 2] = ["/run/nri/nri.sock", "/var/run/nri/nri.sock"];

#[derive(Clone, Debug)]
pub struct Options {
    /// Where the node's root is seen.
    pub path_prefix: PathBuf,
    /// Enforcers, best first.
    pub lsm_order: Vec<String>,
    /// The runtime of which the kubelet tells, if known: it is taken where several are there.
    pub runtime: String,
    /// A file for what was found, beside standard output.
    pub tell: Option<PathBuf>,
}

/// Looks, and tells the node's labels as one JSON object.
pub fn run(options: &Options) -> Result<()> {
    let text = serde_json::to_string(&look(options).labels())?;
    println!("{text}");
    if let Some(file) = &options.tell {
        fs::write(file, &text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn look(options: &Options) -> NodeFacts {
    let kernel = sensor::probe();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let (runtime, socket) = runtime(&options.path_prefix, &options.runtime);
    NodeFacts {
        enforcer: enforcer(&options.lsm_order, &kernel.lsm, btf).to_owned(),
        runtime: runtime.to_owned(),
        socket,
        nri_socket: NRI
            .into_iter()
            .find(|socket| is_there(&options.path_prefix, socket))
            .map(str::to_owned),
        btf,
        apparmor_fs: Path::new("/sys/kernel/security/apparmor").exists(),
        security_fs: !kernel.lsm.is_empty(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
    }
}

/// The first of those that are wanted and active. BPF needs the kernel's types as well.
fn enforcer<'o>(order: &'o [String], active: &[String], btf: bool) -> &'o str {
    order
        .iter()
        .find(|wanted| active.contains(wanted) && (*wanted != "bpf" || btf))
        .map_or("none", String::as_str)
}

/// The runtime of which the kubelet tells, where its socket is there; else whichever is.
fn runtime(root: &Path, told: &str) -> (&'static str, Option<String>) {
    let known = workload::known([]);
    let there: Vec<_> = known
        .iter()
        .filter_map(|runtime| Some((name(runtime.kind), runtime.socket.to_str()?)))
        .filter(|(_, socket)| is_there(root, socket))
        .collect();
    let chosen = there.iter().find(|(name, _)| *name == told).or(there.first());
    chosen.map_or(("none", None), |(name, socket)| (*name, Some((*socket).to_owned())))
}

/// As the kubelet and the existing labels call it.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cri => "cri-o",
        other => other.name(),
    }
}

fn is_there(root: &Path, place: &str) -> bool {
    let path = root.join(place.trim_start_matches('/'));
    fs::metadata(path).is_ok_and(|data| data.file_type().is_socket() || data.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn node(sockets: &[&str]) -> (tempfile::TempDir, Vec<UnixListener>) {
        let root = tempfile::tempdir().unwrap();
        let listeners = sockets.iter().map(|socket| {
            let path = root.path().join(socket.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            UnixListener::bind(path).unwrap()
        });
        let listeners = listeners.collect();
        (root, listeners)
    }

    #[test]
    fn the_first_active_module_of_the_order_enforces() {
        let order = ["bpf", "apparmor", "selinux"].map(str::to_owned);
        let active = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(enforcer(&order, &active(&["yama", "apparmor", "bpf"]), true), "bpf");
        assert_eq!(enforcer(&order, &active(&["apparmor", "bpf"]), false), "apparmor");
        assert_eq!(enforcer(&order, &active(&["yama"]), true), "none");
        assert_eq!(enforcer(&[], &active(&["bpf"]), true), "none");
    }

    #[test]
    fn the_kubelets_runtime_is_taken_where_several_are_there() {
        let both = ["/run/containerd/containerd.sock", "/run/docker.sock"];
        let (root, _listeners) = node(&both);
        assert_eq!(runtime(root.path(), "docker"), ("docker", Some(both[1].to_owned())));
        assert_eq!(runtime(root.path(), ""), ("containerd", Some(both[0].to_owned())));
        assert_eq!(runtime(root.path(), "cri-o").0, "containerd");
    }

    #[test]
    fn a_node_without_a_runtime_says_so() {
        let (root, _) = node(&[]);
        assert_eq!(runtime(root.path(), "containerd"), ("none", None));
        let (root, _listeners) = node(&["/run/crio/crio.sock"]);
        assert_eq!(runtime(root.path(), "cri-o").0, "cri-o");
    }

    #[test]
    fn what_was_found_is_told_in_a_file() {
        let (root, _listeners) = node(&["/run/containerd/containerd.sock", "/run/nri/nri.sock"]);
        let tell = root.path().join("told");
        let options = Options {
            path_prefix: root.path().to_owned(),
            lsm_order: vec![],
            runtime: "containerd".into(),
            tell: Some(tell.clone()),
        };
        run(&options).unwrap();
        let told: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&fs::read_to_string(tell).unwrap()).unwrap();
        assert_eq!(told["kubearmor.io/enforcer"], "none");
        assert_eq!(told["kubearmor.io/socket"], "run_containerd_containerd.sock");
        assert_eq!(told["kubearmor.io/nri-socket"], "run_nri_nri.sock");
    }
}
