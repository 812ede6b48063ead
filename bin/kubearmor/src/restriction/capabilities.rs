//! The capabilities that the running agent needs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

use crate::{config::Config, watch::directory_of};

/// A capability that is kept, why, and with which configuration. `docs/operators.md` has the same table.
struct Kept {
    capability: CapabilitySet,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers, and for the test of the documentation")
    )]
    because: &'static str,
    when: fn(&Config) -> bool,
}

const KEPT: &[Kept] = &[
    Kept {
        capability: CapabilitySet::SYS_PTRACE,
        because: "roots, programs and descriptors of other processes in /proc",
        when: always,
    },
    Kept {
        capability: CapabilitySet::DAC_READ_SEARCH,
        because: "links and files in the roots of containers, whoever owns them",
        when: always,
    },
    Kept {
        capability: CapabilitySet::NET_ADMIN,
        because: "attaching the program that judges DNS packets, when rules first ask for it",
        when: always,
    },
    Kept {
        capability: CapabilitySet::CHOWN,
        because: "giving the socket to gRPCSocketGroup, if it is set",
        when: |config| !config.grpc_socket_group.is_empty(),
    },
    Kept {
        capability: CapabilitySet::NET_BIND_SERVICE,
        because: "gRPC and gRPCHealthPort, if one is below 1024",
        when: |config| {
            [config.grpc, config.grpc_health_port].iter().any(|port| (1..1024).contains(port))
        },
    },
    Kept {
        capability: CapabilitySet::DAC_OVERRIDE,
        because: "stateDir, runDir, tlsCertPath, bpfFsPath, or where gRPCSocket or logPath lie, if one is another user's",
        when: writes_to_others,
    },
];

const MOST: u32 = 64;

fn always(_: &Config) -> bool {
    true
}

fn writes_to_others(config: &Config) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_others = |place: &Path| fs::metadata(place).is_ok_and(|data| data.uid() != own);
    let kept = [&config.state_dir, &config.run_dir, &config.tls_cert_path, &config.bpf_fs_path];
    let log = Path::new(&config.log_path).is_absolute().then(|| PathBuf::from(&config.log_path));
    let files = config.socket().into_iter().chain(log);
    kept.into_iter().any(|place| is_others(place))
        || files.into_iter().any(|file| is_others(&directory_of(&file)))
}

pub(super) fn kept(config: &Config) -> CapabilitySet {
    let kept = KEPT.iter().filter(|kept| (kept.when)(config));
    kept.fold(CapabilitySet::empty(), |all, kept| all | kept.capability)
}

/// Gives up every other capability, in each of the thread's sets. None is kept to be inherited.
pub(super) fn drop_all_but(kept: CapabilitySet) -> Result<String, String> {
    let failed = |what: &'static str| move |problem| format!("{what}: {problem}");
    let had = capabilities(None).map_err(failed("capget"))?.permitted;
    let left = had & kept;
    clear_ambient_capability_set().map_err(failed("the ambient set"))?;
    for number in 0..MOST {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // The kernel does not know those that come after its last.
        let Ok(there) = capability_is_in_bounding_set(one) else { break };
        if there && !kept.contains(one) {
            let dropped = remove_capability_from_bounding_set(one);
            // Without CAP_SETPCAP the set stays; nothing can be got out of it, since nothing can be executed.
            if had.contains(CapabilitySet::SETPCAP) {
                dropped.map_err(failed("the bounding set"))?;
            }
        }
    }
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable })
        .map_err(failed("capset"))?;
    Ok(format!("capabilities kept: {}; {} given up", names(left), (had - left).iter().count()))
}

fn names(set: CapabilitySet) -> String {
    let names: Vec<_> = set.iter_names().map(|(name, _)| name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_does_not_ask_for_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().to_owned();
        let plain = Config {
            state_dir: own.clone(),
            run_dir: own.clone(),
            tls_cert_path: own.clone(),
            bpf_fs_path: own,
            ..Config::default()
        };
        assert_eq!(names(kept(&plain)), "DAC_READ_SEARCH NET_ADMIN SYS_PTRACE");
        let config = Config { grpc_socket_group: "adm".into(), grpc: 443, ..plain.clone() };
        let more = kept(&config) - kept(&plain);
        assert_eq!(names(more), "CHOWN NET_BIND_SERVICE");
        let config = Config { grpc: 0, ..plain.clone() };
        assert_eq!(kept(&config), kept(&plain), "any port is none below 1024");
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let documented = include_str!("../../../../docs/operators.md");
        for kept in KEPT {
            let line = format!("| `CAP_{}` | {} |", names(kept.capability), kept.because);
            assert!(documented.contains(&line), "{line}");
        }
        let rows = documented.lines().filter(|line| line.starts_with("| `CAP_")).count();
        assert_eq!(rows, KEPT.len());
    }
}
