//! The host as a workload.

use std::collections::BTreeMap;

use ruleset::{Workload, WorkloadKind};

/// The label by which host policies select a host.
pub const HOSTNAME_LABEL: &str = "kubearmor.io/hostname";

/// The host called `name`; an empty one is asked from the kernel, and ends at its first dot.
pub fn host(name: &str) -> Workload {
    let name = if name.is_empty() { kernel_name() } else { name.to_owned() };
    Workload {
        kind: WorkloadKind::Host,
        labels: BTreeMap::from([
            (HOSTNAME_LABEL.to_owned(), name.clone()),
            ("kubernetes.io/hostname".to_owned(), name.clone()),
        ]),
        name,
        namespace: String::new(),
    }
}

fn kernel_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_carries_its_name_as_a_label() {
        let named = host("node-1.example");
        assert_eq!(named.name, "node-1.example");
        assert_eq!(named.labels[HOSTNAME_LABEL], "node-1.example");
        assert!(!host("").name.contains('.'));
    }
}
