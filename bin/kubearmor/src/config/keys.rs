//! The keys, what each is for, and which may change while the agent runs.

/// Key and help text, in the order in which `--help` shows them.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("cluster", "Cluster name that events carry"),
    ("host", "Host name that events carry and host policies select (default: the kernel's)"),
    ("gRPC", "Port of the gRPC services; 0 takes any and writes it to STATE_DIR/kubearmor.pid"),
    ("gRPCAddress", "Address that the gRPC services listen on"),
    ("gRPCHealthPort", "Port of the gRPC health service"),
    (
        "gRPCSocket",
        "Unix socket of the same services; `default` is RUN_DIR/kubearmor.sock, in Kubernetes none; `none`",
    ),
    ("gRPCSocketGroup", "Group whose members may use the socket beside root, by name or number"),
    (
        "allowUnauthenticatedPolicies",
        "Take policies over gRPCAddress from anyone, without a client certificate",
    ),
    ("tlsEnabled", "Require TLS with client certificates on gRPCAddress"),
    ("tlsCertPath", "Directory of certificates: ca.crt, server.crt, server.key and more"),
    (
        "tlsCertProvider",
        "Where certificates come from: self (issued here by ca.crt and ca.key, made if missing), external",
    ),
    ("tlsNames", "Further host names and addresses, comma separated, that self-made ones are for"),
    ("logPath", "Where events are written as JSON lines: none, stdout or a file"),
    ("sinks", "Peers that events are sent to: a list, as in the configuration file, in one line"),
    ("seLinuxProfileDir", "Directory of SELinux modules"),
    (
        "criSocket",
        "Socket of a container runtime at an unusual place, such as unix:///run/crio/crio.sock",
    ),
    (
        "nriSocket",
        "Socket of the node resource interface (default: /var/run/nri/nri.sock or /run/nri/nri.sock)",
    ),
    ("nriIndex", "Place among that interface's plugins: two digits"),
    ("enableNRI", "Be asked by that interface before a container starts, where it is there"),
    ("containerdSocket", "Socket of containerd, followed beside all usual ones of runtimes"),
    (
        "visibility",
        "Classes of container events to log: process,file,network,capabilities,dns,ima or none",
    ),
    (
        "hostVisibility",
        "The same for host events; `default` is none in Kubernetes and all elsewhere",
    ),
    (
        "logMergeMillis",
        "Repeats of a log within so many milliseconds are counted in the next; 0 logs each",
    ),
    ("enableKubeArmorPolicy", "Enforce container policies"),
    ("enableKubeArmorHostPolicy", "Enforce host policies"),
    ("enableKubeArmorVm", "Take policies from a controller of virtual machines"),
    ("k8s", "Run as part of a Kubernetes cluster"),
    ("debug", "Log more, and publish messages"),
    (
        "defaultFilePosture",
        "What becomes of files that no rule of an allow-list names: allow, audit, block",
    ),
    ("defaultProcessPosture", "The same for programs (default: as files)"),
    ("defaultNetworkPosture", "The same for sockets and DNS"),
    ("defaultCapabilitiesPosture", "The same for capabilities"),
    ("hostDefaultFilePosture", "defaultFilePosture of the host"),
    ("hostDefaultProcessPosture", "defaultProcessPosture of the host"),
    ("hostDefaultNetworkPosture", "defaultNetworkPosture of the host"),
    ("hostDefaultCapabilitiesPosture", "defaultCapabilitiesPosture of the host"),
    ("hostDefaultDevicePosture", "What becomes of devices that no rule of an allow-list names"),
    ("coverageTest", "Accepted for compatibility, does nothing"),
    ("untrackedNs", "Kubernetes namespaces that are left alone"),
    ("lsm", "Enforcers to try, best first; `none` enforces nothing"),
    ("bpfFsPath", "Where the BPF file system is mounted"),
    ("enforcerAlerts", "Accepted for compatibility: denials always raise alerts"),
    ("defaultPostureLogs", "Raise alerts for the default posture"),
    ("initTimeout", "Longest time that starting may take"),
    ("enableKubeArmorStateAgent", "Serve the state of this node"),
    ("alertThrottling", "Limit the alerts of a rule in a container"),
    ("maxAlertPerSec", "That limit"),
    ("throttleSec", "Seconds of silence once it is passed"),
    ("annotateResources", "Annotate pod templates with AppArmor profiles"),
    ("procfsMount", "Where the host's proc file system is mounted"),
    ("machineIDPath", "File that holds the node's id"),
    ("useOCIHooks", "Accepted for compatibility: OCI hooks always get an answer"),
    ("enableIMA", "Add hashes of files to events"),
    ("enableUSBDeviceHandler", "Enforce device rules"),
    ("dropResourceFromProcessLogs", "Leave the command line out of process logs"),
    ("matchArgs", "Honour allowedArgs"),
    ("enableNetworkPolicyEnforcer", "Enforce network policies"),
    ("onAgentLoss", "What rules do when the agent ends: keep, open"),
    (
        "onUnresolvedPath",
        "What becomes of objects that cannot be followed to the root: deny, allow",
    ),
    ("onHookFailure", "What a container start does while the agent cannot be asked: deny, allow"),
    (
        "selfRestriction",
        "Give up capabilities and system calls that the agent does not need once it has started: on, log, off",
    ),
    ("stateDir", "Where applied policies are kept"),
    ("runDir", "Where the agent's lock, pid and state in force are"),
    ("policyDir", "Directory of policy files that is followed"),
];

/// Whether a change of the key takes effect without a restart.
pub(super) fn may_change(key: &str) -> bool {
    matches!(
        key,
        "visibility"
            | "sinks"
            | "hostVisibility"
            | "logMergeMillis"
            | "cluster"
            | "defaultFilePosture"
            | "defaultProcessPosture"
            | "defaultNetworkPosture"
            | "defaultCapabilitiesPosture"
            | "hostDefaultFilePosture"
            | "hostDefaultProcessPosture"
            | "hostDefaultNetworkPosture"
            | "hostDefaultCapabilitiesPosture"
            | "hostDefaultDevicePosture"
            | "enableKubeArmorPolicy"
            | "enableKubeArmorHostPolicy"
            | "alertThrottling"
            | "maxAlertPerSec"
            | "throttleSec"
            | "defaultPostureLogs"
            | "dropResourceFromProcessLogs"
            | "onUnresolvedPath"
            | "onHookFailure"
    )
}
