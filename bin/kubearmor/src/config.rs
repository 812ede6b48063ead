//! The agent's configuration: its keys, what they may hold, and which may change while it runs.
//!
//! The names and most defaults are those of the existing implementation. An explicit flag wins over the environment,
//! that over the file, that over the default.

mod keys;
mod sources;
mod transport;

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use sinks::SinkList;
use wire::Visibility;

pub(crate) use self::{
    keys::KEYS,
    sources::Sources,
    transport::{CertificateProvider, Names, SocketChoice},
};

/// All keys with their values. Serialised it is what `config-in-force.json` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "one field per key, and the keys are given")]
pub(crate) struct Config {
    pub(crate) cluster: String,
    /// Empty: the kernel's host name up to its first dot.
    pub(crate) host: String,
    #[serde(rename = "gRPC")]
    pub(crate) grpc: u16,
    #[serde(rename = "gRPCAddress")]
    pub(crate) grpc_address: IpAddr,
    #[serde(rename = "gRPCHealthPort")]
    pub(crate) grpc_health_port: u16,
    #[serde(rename = "gRPCSocket")]
    pub(crate) grpc_socket: SocketChoice,
    /// Whose members may use the socket beside root, by name or number; empty for nobody.
    #[serde(rename = "gRPCSocketGroup")]
    pub(crate) grpc_socket_group: String,
    pub(crate) allow_unauthenticated_policies: bool,
    pub(crate) tls_enabled: bool,
    pub(crate) tls_cert_path: PathBuf,
    pub(crate) tls_cert_provider: CertificateProvider,
    pub(crate) tls_names: Names,
    /// `none`, `stdout` or a file.
    pub(crate) log_path: String,
    /// Where events are sent beside clients and `log_path`.
    pub(crate) sinks: SinkList,
    pub(crate) se_linux_profile_dir: PathBuf,
    pub(crate) cri_socket: String,
    pub(crate) nri_socket: String,
    pub(crate) nri_index: String,
    #[serde(rename = "enableNRI")]
    pub(crate) enable_nri: bool,
    pub(crate) containerd_socket: PathBuf,
    pub(crate) visibility: VisibilityList,
    pub(crate) host_visibility: HostVisibility,
    /// Repeats of a log within so many milliseconds are counted in the next one; 0: each is logged.
    pub(crate) log_merge_millis: u32,
    pub(crate) enable_kube_armor_policy: bool,
    pub(crate) enable_kube_armor_host_policy: bool,
    pub(crate) enable_kube_armor_vm: bool,
    pub k8s: bool,
    pub(crate) debug: bool,
    pub(crate) default_file_posture: Posture,
    /// `None` (written as an empty text): the file posture.
    pub(crate) default_process_posture: Option<Posture>,
    pub(crate) default_network_posture: Posture,
    pub(crate) default_capabilities_posture: Posture,
    pub(crate) host_default_file_posture: Posture,
    pub(crate) host_default_process_posture: Option<Posture>,
    pub(crate) host_default_network_posture: Posture,
    pub(crate) host_default_capabilities_posture: Posture,
    pub(crate) host_default_device_posture: Posture,
    pub(crate) coverage_test: bool,
    pub(crate) untracked_ns: String,
    pub(crate) lsm: String,
    pub(crate) bpf_fs_path: PathBuf,
    pub(crate) enforcer_alerts: bool,
    pub(crate) default_posture_logs: bool,
    pub(crate) init_timeout: String,
    pub(crate) enable_kube_armor_state_agent: bool,
    pub(crate) alert_throttling: bool,
    pub(crate) max_alert_per_sec: u32,
    pub(crate) throttle_sec: u32,
    pub(crate) annotate_resources: bool,
    pub(crate) procfs_mount: PathBuf,
    #[serde(rename = "machineIDPath")]
    pub(crate) machine_id_path: PathBuf,
    #[serde(rename = "useOCIHooks")]
    pub(crate) use_oci_hooks: bool,
    #[serde(rename = "enableIMA")]
    pub(crate) enable_ima: bool,
    #[serde(rename = "enableUSBDeviceHandler")]
    pub(crate) enable_usb_device_handler: bool,
    pub(crate) drop_resource_from_process_logs: bool,
    pub(crate) match_args: bool,
    pub(crate) enable_network_policy_enforcer: bool,
    /// What becomes of rules when the agent ends.
    pub(crate) on_agent_loss: OnAgentLoss,
    /// What becomes of objects that cannot be followed to the root.
    pub(crate) on_unresolved_path: Verdict,
    /// What becomes of container starts that the agent cannot be asked about.
    pub(crate) on_hook_failure: Verdict,
    /// Whether the agent gives up what it does not need once it has started.
    pub(crate) self_restriction: SelfRestriction,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    /// A directory of policy files that is followed; empty for none.
    pub(crate) policy_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        // The two answers differ in who is meant to connect: the cluster, or this machine's administrator.
        let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let grpc_address = if in_kubernetes { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        Self {
            cluster: "default".into(),
            host: String::new(),
            grpc: 32767,
            grpc_address: grpc_address.into(),
            grpc_health_port: 32766,
            grpc_socket: SocketChoice::Default,
            grpc_socket_group: String::new(),
            allow_unauthenticated_policies: false,
            tls_enabled: false,
            tls_cert_path: "/var/lib/kubearmor/tls".into(),
            tls_cert_provider: CertificateProvider::SelfMade,
            tls_names: Names::default(),
            log_path: "none".into(),
            sinks: SinkList::default(),
            se_linux_profile_dir: "/tmp/kubearmor.selinux".into(),
            cri_socket: String::new(),
            nri_socket: String::new(),
            nri_index: "99".into(),
            enable_nri: true,
            containerd_socket: workload::CONTAINERD_SOCKET.into(),
            visibility: VisibilityList::default(),
            host_visibility: HostVisibility::Default,
            log_merge_millis: 1000,
            enable_kube_armor_policy: true,
            enable_kube_armor_host_policy: false,
            enable_kube_armor_vm: false,
            k8s: in_kubernetes,
            debug: false,
            default_file_posture: Posture::Audit,
            default_process_posture: None,
            default_network_posture: Posture::Audit,
            default_capabilities_posture: Posture::Audit,
            host_default_file_posture: Posture::Audit,
            host_default_process_posture: None,
            host_default_network_posture: Posture::Audit,
            host_default_capabilities_posture: Posture::Audit,
            host_default_device_posture: Posture::Audit,
            coverage_test: false,
            untracked_ns: "kube-system,kubearmor".into(),
            lsm: "bpf,apparmor,selinux".into(),
            bpf_fs_path: "/sys/fs/bpf".into(),
            enforcer_alerts: true,
            default_posture_logs: true,
            init_timeout: "60s".into(),
            enable_kube_armor_state_agent: false,
            alert_throttling: true,
            max_alert_per_sec: 10,
            throttle_sec: 30,
            annotate_resources: false,
            procfs_mount: "/proc".into(),
            machine_id_path: "/etc/machine-id".into(),
            use_oci_hooks: false,
            enable_ima: false,
            enable_usb_device_handler: false,
            drop_resource_from_process_logs: false,
            match_args: true,
            enable_network_policy_enforcer: true,
            on_agent_loss: OnAgentLoss::Keep,
            on_unresolved_path: Verdict::Deny,
            on_hook_failure: Verdict::Deny,
            self_restriction: SelfRestriction::On,
            state_dir: "/opt/kubearmor".into(),
            run_dir: "/run/kubearmor".into(),
            policy_dir: PathBuf::new(),
        }
    }
}

impl Config {
    /// `self` with the keys that may change at run time taken from `new`, and the names of the changed keys that must
    /// wait for a restart.
    pub(crate) fn reloaded(&self, new: &Self) -> (Self, Vec<String>) {
        let (mut values, new) = (sources::values(self), sources::values(new));
        let mut waiting = Vec::new();
        for (key, value) in new {
            if values[&key] == value {
                continue;
            }
            if keys::may_change(&key) {
                values.insert(key, value);
            } else {
                waiting.push(key);
            }
        }
        let config = sources::config(values).unwrap_or_else(|_| self.clone());
        (config, waiting)
    }

    pub(crate) fn container_postures(&self) -> ruleset::Postures {
        ruleset::Postures {
            process: self.default_process_posture.unwrap_or(self.default_file_posture).into(),
            file: self.default_file_posture.into(),
            network: self.default_network_posture.into(),
            capabilities: self.default_capabilities_posture.into(),
        }
    }

    pub(crate) fn host_postures(&self) -> ruleset::Postures {
        ruleset::Postures {
            process: self
                .host_default_process_posture
                .unwrap_or(self.host_default_file_posture)
                .into(),
            file: self.host_default_file_posture.into(),
            network: self.host_default_network_posture.into(),
            capabilities: self.host_default_capabilities_posture.into(),
        }
    }

    /// The classes of host events that are logged.
    pub(crate) fn effective_host_visibility(&self) -> VisibilityList {
        match &self.host_visibility {
            HostVisibility::These(list) => list.clone(),
            HostVisibility::Default if self.k8s => {
                VisibilityList { classes: Visibility::empty(), text: "none".to_owned() }
            }
            HostVisibility::Default => VisibilityList::default(),
        }
    }

    /// Keys that ask for something this version does not do, each with what happens instead.
    pub(crate) fn not_there_yet(&self) -> Vec<&'static str> {
        let asked = [
            (self.k8s, "k8s: policies come through gRPC and policyDir only"),
            (self.enable_kube_armor_vm, "enableKubeArmorVm: no policies come from a controller"),
            (self.enable_ima, "enableIMA: events carry no hashes"),
            (self.enable_usb_device_handler, "enableUSBDeviceHandler: device rules do nothing"),
            (self.enable_kube_armor_state_agent, "enableKubeArmorStateAgent: no such service"),
            (!self.match_args, "matchArgs: arguments are matched all the same"),
            (self.drop_resource_from_process_logs, "dropResourceFromProcessLogs: resources stay"),
            (!self.default_posture_logs, "defaultPostureLogs: postures raise alerts all the same"),
            (
                self.untracked_ns != Self::default().untracked_ns,
                "untrackedNs: no namespace is left out",
            ),
            (
                self.init_timeout != Self::default().init_timeout,
                "initTimeout: no stage has a limit",
            ),
            (self.debug, "debug: set DEBUG=true in the environment for more output"),
        ];
        asked.into_iter().filter(|(asked, _)| *asked).map(|(_, what)| what).collect()
    }
}

/// What rules do without the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnAgentLoss {
    /// They stay in force.
    Keep,
    /// They end with it.
    Open,
}

/// What is done where nothing can be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Deny,
    Allow,
}

/// How far the agent restricts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub(crate) enum SelfRestriction {
    On,
    /// System calls that would be refused are permitted, and the kernel logs them.
    Log,
    Off,
}

impl TryFrom<String> for SelfRestriction {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Some readers of YAML take the words for truth values.
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(Self::On),
            "log" => Ok(Self::Log),
            "off" | "false" => Ok(Self::Off),
            _ => Err(format!("`{text}` is none of on, log, off")),
        }
    }
}

/// A default posture as configuration files write it, in any letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub(crate) enum Posture {
    Allow,
    Audit,
    Block,
}

impl TryFrom<String> for Posture {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "allow" => Ok(Self::Allow),
            "audit" => Ok(Self::Audit),
            "block" => Ok(Self::Block),
            _ => Err(format!("`{text}` is no posture: use allow, audit or block")),
        }
    }
}

impl From<Posture> for ruleset::Posture {
    fn from(posture: Posture) -> Self {
        match posture {
            Posture::Allow => Self::Allow,
            Posture::Audit => Self::Audit,
            Posture::Block => Self::Block,
        }
    }
}

/// A comma list of event classes, shown again as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct VisibilityList {
    pub(crate) classes: Visibility,
    text: String,
}

impl Default for VisibilityList {
    fn default() -> Self {
        Self {
            classes: Visibility::PROCESS
                | Visibility::FILE
                | Visibility::NETWORK
                | Visibility::CAPABILITIES,
            text: "process,file,network,capabilities".to_owned(),
        }
    }
}

impl TryFrom<String> for VisibilityList {
    type Error = wire::UnknownClass;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(|classes| Self { classes, text })
    }
}

impl From<VisibilityList> for String {
    fn from(list: VisibilityList) -> Self {
        list.text
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum HostVisibility {
    /// `none` in Kubernetes, all classes elsewhere.
    Default,
    These(VisibilityList),
}

impl TryFrom<String> for HostVisibility {
    type Error = wire::UnknownClass;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.trim() {
            "default" => Ok(Self::Default),
            _ => text.try_into().map(Self::These),
        }
    }
}

impl From<HostVisibility> for String {
    fn from(visibility: HostVisibility) -> Self {
        match visibility {
            HostVisibility::Default => "default".into(),
            HostVisibility::These(list) => list.into(),
        }
    }
}

#[cfg(test)]
mod tests;
