//! Names that others look for: labels, annotations and objects of the existing implementation.

/// What part of `KubeArmor` a pod is. Clients find the relay and the agents by it.
pub const APP: &str = "kubearmor-app";

pub const AGENT: &str = "kubearmor";
pub const RELAY: &str = "kubearmor-relay";
pub const CONTROLLER: &str = "kubearmor-controller";
pub const OPERATOR: &str = "kubearmor-operator";
pub const SNITCH: &str = "kubearmor-snitch";
pub const CONFIG_MAP: &str = "kubearmor-configmap";

/// Who applies an object, and takes it away again.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on whatever the operator applies.
pub const BY_OPERATOR: &str = "kubearmor-operator";
/// On everything that an installation brings, so that `karmor uninstall` finds it.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
pub const PRODUCT: &str = "kubearmor";

/// Labels of nodes, as snitch finds them.
pub const ENFORCER: &str = "kubearmor.io/enforcer";
pub const RUNTIME: &str = "kubearmor.io/runtime";
pub const SOCKET: &str = "kubearmor.io/socket";
pub const NRI_SOCKET: &str = "kubearmor.io/nri-socket";
pub const BTF: &str = "kubearmor.io/btf";
pub const APPARMOR_FS: &str = "kubearmor.io/apparmorfs";
pub const SECURITY_FS: &str = "kubearmor.io/securityfs";
pub const SECCOMP: &str = "kubearmor.io/seccomp";
/// All of them: nothing else is ever written to a node.
pub const OF_NODES: [&str; 8] =
    [ENFORCER, RUNTIME, SOCKET, NRI_SOCKET, BTF, APPARMOR_FS, SECURITY_FS, SECCOMP];

/// An annotation of nodes: the start of the machine that the labels are of.
pub const LOOKED_AT: &str = "kubearmor.io/looked-at-boot";

pub const CONFIG_MAP_NAME: &str = "kubearmor-config";
/// The service of the relay.
pub const SERVICE: &str = "kubearmor";
pub const CA_SECRET: &str = "kubearmor-ca";
pub const CLIENT_SECRET: &str = "kubearmor-client-certs";
pub const RELAY_SECRET: &str = "kubearmor-relay-server-certs";
/// The existing implementation gives each agent the authority's key; ours get a certificate instead.
pub const AGENT_SECRET: &str = "kubearmor-server-certs";
pub const CONFIG_NAME: &str = "kubearmorconfig-default";
/// Where pods find their certificates.
pub const TLS_PATH: &str = "/var/lib/kubearmor/tls";
