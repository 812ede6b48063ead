//! The OCI runtime specification of a container, and of a program executed in it.

use serde_json::{Value, json};

use crate::format::Container;

/// The main process of a container that a case gives no command.
const SLEEP: [&str; 2] = ["sleep", "1000000"];
const SEARCH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const OTHER_CAPABILITIES: [&str; 27] = [
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "LEASE",
    "AUDIT_CONTROL",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Variables of a program, as `NAME=value`.
pub(crate) fn variables(environment: &[(&str, String)]) -> Vec<String> {
    let given = environment.iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once(SEARCH.to_owned()).chain(given).collect()
}

/// A program of a container, run by that user.
pub(crate) fn process(
    container: &Container,
    argv: &[String],
    uid: u32,
    tty: bool,
    environment: &[(&str, String)],
) -> Value {
    let mut capabilities: Vec<_> =
        DEFAULT_CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let added: Vec<_> = if container.privileged {
        OTHER_CAPABILITIES.iter().map(|name| (*name).to_owned()).collect()
    } else {
        container.caps.iter().map(|name| name.to_ascii_uppercase()).collect()
    };
    for name in added {
        let name = format!("CAP_{}", name.trim_start_matches("CAP_"));
        if !capabilities.contains(&name) {
            capabilities.push(name);
        }
    }
    let mut variables = variables(environment);
    if tty {
        variables.push("TERM=xterm".to_owned());
    }
    json!({
        "terminal": tty,
        "user": {"uid": uid, "gid": uid},
        "args": argv,
        "env": variables,
        "cwd": "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "noNewPrivileges": false,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1_048_576}],
    })
}

/// The whole container. `root` is its mounted root file system, `shared_memory` what is at /dev/shm if files had to
/// be put there first.
pub(crate) fn container(
    container: &Container,
    id: &str,
    root: &str,
    shared_memory: Option<&str>,
    environment: &[(&str, String)],
) -> Value {
    let argv = match &container.command {
        Some(argv) => argv.clone(),
        None => SLEEP.map(str::to_owned).to_vec(),
    };
    let mut namespaces = vec!["network", "ipc", "uts", "mount", "cgroup"];
    if !container.host_pid {
        namespaces.push("pid");
    }
    let namespaces: Vec<_> = namespaces.into_iter().map(|kind| json!({"type": kind})).collect();
    let devices = if container.privileged {
        json!([{"allow": true, "access": "rwm"}])
    } else {
        json!([{"allow": false, "access": "rwm"}])
    };
    json!({
        "ociVersion": "1.0.2",
        "process": process(container, &argv, container.uid, false, environment),
        "root": {"path": root, "readonly": false},
        "hostname": container.name,
        "mounts": mounts(container, shared_memory),
        "linux": {
            "cgroupsPath": format!("/default/{id}"),
            "namespaces": namespaces,
            "resources": {"devices": devices},
        },
    })
}

fn mounts(container: &Container, shared_memory: Option<&str>) -> Value {
    let sys = if container.privileged { "rw" } else { "ro" };
    let shm = match shared_memory {
        Some(source) => json!({
            "destination": "/dev/shm", "type": "bind", "source": source, "options": ["rbind", "rw"],
        }),
        None => json!({
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "nodev", "mode=1777", "size=67108864"],
        }),
    };
    json!([
        {
            "destination": "/proc", "type": "proc", "source": "proc",
            "options": ["nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        shm,
        {
            "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", sys],
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(more: &Value) -> Container {
        let mut fields = json!({"name": "web"});
        for (key, value) in more.as_object().unwrap() {
            fields[key] = value.clone();
        }
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn has_the_default_capabilities_and_those_added() {
        let spec =
            process(&declared(&json!({"caps": ["SYS_ADMIN", "NET_RAW"]})), &[], 0, false, &[]);
        let bounding = spec["capabilities"]["bounding"].as_array().unwrap();
        assert_eq!(bounding.len(), 15, "NET_RAW is there already");
        assert!(bounding.contains(&json!("CAP_SYS_ADMIN")));
    }

    #[test]
    fn privileged_has_them_all() {
        let spec = process(&declared(&json!({"privileged": true})), &[], 0, false, &[]);
        assert_eq!(spec["capabilities"]["effective"].as_array().unwrap().len(), 41);
    }

    #[test]
    fn nothing_but_the_agent_refuses() {
        let spec = container(&declared(&json!({})), "id", "/root", None, &[]);
        assert!(spec["linux"].get("seccomp").is_none());
        assert!(spec["process"].get("apparmorProfile").is_none());
        let mounts = spec["mounts"].as_array().unwrap();
        let shm = mounts.iter().find(|mount| mount["destination"] == "/dev/shm").unwrap();
        assert!(!shm["options"].as_array().unwrap().contains(&json!("noexec")));
    }

    #[test]
    fn namespaces_are_its_own_but_for_host_pid() {
        let kinds = |spec: Value| {
            let namespaces = spec["linux"]["namespaces"].as_array().unwrap().clone();
            namespaces.iter().any(|namespace| namespace["type"] == "pid")
        };
        assert!(kinds(container(&declared(&json!({})), "id", "/", None, &[])));
        assert!(!kinds(container(&declared(&json!({"hostPID": true})), "id", "/", None, &[])));
    }

    #[test]
    fn programs_find_the_agent() {
        let environment = [("AGENT_PID", "42".to_owned())];
        let spec = process(&declared(&json!({})), &["id".to_owned()], 1000, true, &environment);
        assert!(spec["env"].as_array().unwrap().contains(&json!("AGENT_PID=42")));
        assert_eq!(spec["user"]["uid"], 1000);
    }
}
