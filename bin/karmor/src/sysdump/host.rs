//! What the machine is: kernel, memory, mounts, control groups, container runtimes.

use std::{fs, os::unix::fs::FileTypeExt};

use serde_json::{Map, Value, json};

use super::{
    pieces::{Piece, Root},
    program, redact,
};

/// Options of the kernel that decide what can be enforced and seen.
const OPTIONS: [&str; 9] = [
    "CONFIG_BPF",
    "CONFIG_LSM",
    "CONFIG_SECURITY",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_CGROUP",
    "CONFIG_FTRACE",
    "CONFIG_KPROBE",
    "CONFIG_IMA",
    "CONFIG_FUNCTION_",
];

const SOCKETS: [&str; 8] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/var/run/nri/nri.sock",
    "/run/nri/nri.sock",
    "/run/kubearmor/hook.sock",
];

const RUNTIMES: [&str; 7] = ["containerd", "runc", "crun", "crio", "docker", "podman", "nerdctl"];

pub(super) fn pieces(root: &Root) -> Vec<Piece> {
    let file =
        |name: &str, path: &str| Piece::new(name, root.read(path).map(|text| redact::text(&text)));
    vec![
        file("host/os-release.txt", "/etc/os-release"),
        file("host/kernel-version.txt", "/proc/version"),
        file("host/kernel-command-line.txt", "/proc/cmdline"),
        file("host/security-modules.txt", "/sys/kernel/security/lsm"),
        Piece::new("host/kernel-config.txt", kernel_config(root)),
        Piece::new("host/kernel.json", Ok(format!("{:#}\n", kernel(root)))),
        file("host/mounts.txt", "/proc/self/mountinfo"),
        file("host/meminfo.txt", "/proc/meminfo"),
        Piece::new("host/runtimes.json", Ok(format!("{:#}\n", runtimes(root)))),
    ]
}

fn kernel(root: &Root) -> Value {
    let size = fs::metadata(root.at("/sys/kernel/btf/vmlinux")).map(|file| file.len()).ok();
    let unified = root.at("/sys/fs/cgroup/cgroup.controllers");
    json!({
        "BTF": size.is_some(),
        "BTFBytes": size,
        "CgroupVersion": if unified.exists() { 2 } else { 1 },
        "CgroupControllers": fs::read_to_string(unified).map(|text| text.trim().to_owned()).ok(),
        "BPFFileSystem": root.at("/sys/fs/bpf").is_dir(),
        "Pins": root.list("/sys/fs/bpf/kubearmor").ok(),
        "Modules": root.at("/proc/modules").exists(),
    })
}

/// The lines that matter, from the first place that has them.
fn kernel_config(root: &Root) -> Result<String, String> {
    let release = root.read("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    let places = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    let text = places.iter().find_map(|place| root.read(place).ok());
    let text = text.ok_or_else(|| format!("neither {} can be read", places.join(" nor ")))?;
    let matters = |line: &&str| {
        let option = line.trim_start_matches("# ");
        OPTIONS.iter().any(|known| option.starts_with(known))
    };
    Ok(text.split_inclusive('\n').filter(matters).collect())
}

fn runtimes(root: &Root) -> Value {
    let is_socket =
        |path: &str| fs::metadata(root.at(path)).is_ok_and(|file| file.file_type().is_socket());
    let sockets: Map<_, _> =
        SOCKETS.iter().map(|&path| (path.to_owned(), is_socket(path).into())).collect();
    let versions = RUNTIMES.iter().map(|&program| {
        let told = match program::output(program, &["--version"]) {
            Ok(text) => json!(redact::text(text.trim())),
            Err(reason) => json!({"Missing": reason}),
        };
        (program.to_owned(), told)
    });
    json!({"Sockets": sockets, "Versions": versions.collect::<Map<_, _>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> (Root, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root(directory.path().to_owned());
        for (path, text) in files {
            fs::create_dir_all(root.at(path).parent().unwrap()).unwrap();
            fs::write(root.at(path), text).unwrap();
        }
        (root, directory)
    }

    #[test]
    fn files_are_redacted_and_what_is_missing_is_told() {
        let (root, _directory) = root(&[
            ("/proc/cmdline", "BOOT_IMAGE=/vmlinuz lsm=bpf rescue.token=abc"),
            ("/proc/sys/kernel/osrelease", "6.12\n"),
            (
                "/boot/config-6.12",
                "CONFIG_BPF_LSM=y\nCONFIG_USB=y\n# CONFIG_IMA is not set\nCONFIG_LSM=\"bpf\"\n",
            ),
            ("/sys/kernel/btf/vmlinux", "x"),
        ]);
        let pieces = pieces(&root);
        let content = |name: &str| &pieces.iter().find(|piece| piece.name == name).unwrap().content;
        let line = content("host/kernel-command-line.txt").as_ref().unwrap();
        assert_eq!(line, "BOOT_IMAGE=/vmlinuz lsm=bpf rescue.token=[redacted]");
        let config = content("host/kernel-config.txt").as_ref().unwrap();
        assert_eq!(config, "CONFIG_BPF_LSM=y\n# CONFIG_IMA is not set\nCONFIG_LSM=\"bpf\"\n");
        let reason = content("host/security-modules.txt").as_ref().unwrap_err();
        assert!(reason.contains("/sys/kernel/security/lsm"), "{reason}");
        let kernel: Value =
            serde_json::from_str(content("host/kernel.json").as_ref().unwrap()).unwrap();
        assert_eq!((&kernel["BTF"], &kernel["CgroupVersion"]), (&json!(true), &json!(1)));
    }
}
