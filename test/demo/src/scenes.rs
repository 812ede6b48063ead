//! What is shown: for each policy what it leaves alone, then what it forbids or reports.

/// One policy and what is tried under it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) title: &'static str,
    /// The policy's name, and its file's name in `policies/examples` without the extension.
    pub(crate) policy: &'static str,
    /// What the policy does not speak of.
    pub(crate) permitted: &'static [&'static str],
    /// What it refuses or reports.
    pub(crate) caught: &'static [Caught],
}

/// An action that a policy has a word about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caught {
    pub(crate) command: &'static str,
    /// Typed into the shell in the container, or run by the container runtime.
    pub(crate) by: By,
    pub(crate) outcome: Outcome,
    /// Of the alert.
    pub(crate) operation: &'static str,
    /// Part of the alert's resource.
    pub(crate) resource: &'static str,
}

impl Caught {
    pub(crate) fn program(&self) -> &'static str {
        self.command.split_whitespace().next().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Shell,
    Runtime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    Reported,
}

const fn refused(command: &'static str, operation: &'static str, resource: &'static str) -> Caught {
    Caught { command, by: By::Shell, outcome: Outcome::Refused, operation, resource }
}

const fn by_runtime(caught: Caught) -> Caught {
    Caught { by: By::Runtime, ..caught }
}

const fn reported(caught: Caught) -> Caught {
    Caught { outcome: Outcome::Reported, ..caught }
}

pub(crate) const SCENES: &[Scene] = &[
    Scene {
        title: "Nobody opens a shell in the application",
        policy: "block-shells",
        permitted: &["/usr/bin/ls /srv"],
        caught: &[
            by_runtime(refused("/bin/sh -c id", "Process", "/usr/bin/dash -c id")),
            refused("/bin/bash -c id", "Process", "/usr/bin/bash -c id"),
        ],
    },
    Scene {
        title: "No tools for looking around in the network",
        policy: "block-network-tools",
        permitted: &["/usr/bin/wget -q -O - http://127.0.0.1:8080/"],
        caught: &[
            refused("/usr/bin/nmap 127.0.0.1", "Process", "/usr/bin/nmap 127.0.0.1"),
            refused("/usr/bin/nc -z 127.0.0.1 8080", "Process", "-z 127.0.0.1 8080"),
            refused("/usr/bin/netcat -z localhost 8080", "Process", "-z localhost 8080"),
        ],
    },
    Scene {
        title: "Secrets and root's home directory are closed",
        policy: "protect-secrets",
        permitted: &["/usr/bin/cat /srv/index.html"],
        caught: &[
            refused("/usr/bin/cat /etc/secrets/token", "File", "/etc/secrets/token"),
            refused("/usr/bin/cat /var/run/secrets/password", "File", "/run/secrets/password"),
            refused("/usr/bin/cat /root/.ssh/id_ed25519", "File", "/root/.ssh/id_ed25519"),
        ],
    },
    Scene {
        title: "curl gets no TCP connection, other programs do",
        policy: "block-curl-tcp",
        permitted: &["/usr/bin/wget -q -O - http://127.0.0.1:8080/"],
        caught: &[refused("/usr/bin/curl -sS http://127.0.0.1:8080/", "Network", "TCP")],
    },
    Scene {
        title: "Granted rights are taken away",
        policy: "restrict-capabilities",
        permitted: &["/usr/bin/chown 1 /srv/index.html"],
        caught: &[
            refused("/usr/bin/mount -t tmpfs tmpfs /mnt", "Capabilities", "CAP_SYS_ADMIN"),
            refused("/usr/bin/ip link set lo mtu 60000", "Capabilities", "CAP_NET_ADMIN"),
        ],
    },
    Scene {
        title: "Reading the list of users is reported, not hindered",
        policy: "audit-passwd",
        permitted: &["/usr/bin/head -n 1 /etc/group"],
        caught: &[reported(refused("/usr/bin/head -n 1 /etc/passwd", "File", "/etc/passwd"))],
    },
    Scene {
        title: "All that a web application has no need of, in one policy",
        policy: "web-application",
        permitted: &["/usr/bin/curl -q -sS http://127.0.0.1:8080/", "/usr/bin/cat /etc/group"],
        caught: &[
            refused("/bin/sh -c id", "Process", "/usr/bin/dash -c id"),
            refused("/usr/bin/cat /etc/passwd", "File", "/etc/passwd"),
            refused("/usr/bin/cat /etc/shadow", "File", "/etc/shadow"),
            refused("/usr/bin/ls /root", "File", "/root"),
            refused("/usr/bin/wget -q -t 1 -O - http://127.0.0.1:8080/", "Network", "TCP"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_scene_has_its_policy_and_every_policy_its_scene() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
        let mut files: Vec<String> = std::fs::read_dir(&examples)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut scenes: Vec<String> =
            SCENES.iter().map(|scene| format!("{}.yaml", scene.policy)).collect();
        scenes.sort();
        assert_eq!(files, scenes);
        for scene in SCENES {
            let path = examples.join(format!("{}.yaml", scene.policy));
            let text = std::fs::read_to_string(&path).unwrap();
            let parsed = policy::parse(&text, scene.policy);
            assert_eq!(parsed.diagnostics, []);
            assert_eq!(parsed.policies.len(), 1);
            assert_eq!(parsed.policies[0].id.name, scene.policy);
            assert_eq!(parsed.policies[0].not_enforced_yet(), []);
        }
    }
}
