//! The `spec` of each kind, and the four attributes that every level of it may write.

use super::{
    Field, Object, Spelling, Value, device::DEVICE, firewall, network, path, selector,
    syscall::SYSCALLS,
};
use crate::{Action, Preset};

pub(super) static SEVERITY: Field = Field::new(
    "severity",
    Value::Number { least: Some(1), most: Some(10) },
    "How grave a violation is, from 1 to 10; alerts show it. A rule takes each of the four attributes (`severity`, \
     `tags`, `message`, `action`) from itself, else from its section, else from the spec, each on its own.",
    "severity: 7\nprocess:\n  matchPaths:\n  - path: /usr/bin/apt",
    "action-attributes-inherit-separately",
);

pub(super) static TAGS: Field = Field::new(
    "tags",
    Value::List(&Value::Text),
    "Words that alerts carry, for whoever sorts them. A level that lists tags replaces those of the levels above.",
    "tags: [MITRE, T1105]\nprocess:\n  matchPaths:\n  - path: /usr/bin/curl",
    "action-attributes-inherit-separately",
);

pub(super) static MESSAGE: Field = Field::new(
    "message",
    Value::Text,
    "A sentence that alerts carry.",
    "message: a package manager was started\nprocess:\n  matchPaths:\n  - path: /usr/bin/apt",
    "action-attributes-inherit-separately",
);

pub(super) static ACTION: Field = Field::new(
    "action",
    Value::Name(actions, Spelling::AnyCaseOrEmpty),
    "`Block` denies and alerts, `Audit` permits and alerts, `Allow` permits in silence. One `Allow` rule puts its \
     class (programs, files, network, DNS, capabilities) of the whole workload into allow-list mode: what no rule \
     names then gets the default posture. `Audit` rules change no verdict and are no entry of an allow-list. Any \
     letter case is taken.",
    "process:\n  matchPaths:\n  - path: /usr/bin/apt\naction: Audit",
    "action-missing-or-in-odd-case",
)
.or_else("`Block`");

static PROCESS: Field = Field::new(
    "process",
    Value::Object(&Object {
        fields: &[
            &path::PROCESS_PATHS,
            &path::PROCESS_DIRECTORIES,
            &path::PROCESS_PATTERNS,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    }),
    "Rules on starting programs. Scripts count twice: the script and its interpreter are judged. Where a path leads \
     through a link to a multi-call binary such as busybox, the rule concerns that one applet, whatever it is called by.",
    "process:\n  matchPaths:\n  - path: /usr/bin/apt",
    "process-path-block",
);

static FILE: Field = Field::new(
    "file",
    Value::Object(&Object {
        fields: &[
            &path::FILE_PATHS,
            &path::FILE_DIRECTORIES,
            &path::FILE_PATTERNS,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    }),
    "Rules on files and directories: a plain `Block` refuses to read, write, list, look at, rename, link and remove \
     them. Pipes, sockets and other objects without a path are never concerned.",
    "file:\n  matchPaths:\n  - path: /etc/shadow",
    "file-path-block",
);

static CAPABILITIES: Field = Field::new(
    "capabilities",
    Value::Object(&Object {
        fields: &[&network::MATCH_CAPABILITIES, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    }),
    "Rules on the use of Linux capabilities.",
    "capabilities:\n  matchCapabilities:\n  - capability: net_raw",
    "cap-block",
);

static PRESETS: Field = Field::new(
    "presets",
    Value::List(&Value::Object(&Object { fields: &[&PRESET_NAME, &PRESET_ACTION] })),
    "Ready-made protections. Severity, tags and message of their alerts are those of the spec.",
    "presets:\n- name: filelessExec",
    "preset-fileless-block",
);

static PRESET_NAME: Field = Field::new(
    "name",
    Value::Name(presets, Spelling::Unchecked),
    "`filelessExec`: no program runs from memory, from `/dev/shm` or from a file that has no name any more. \
     `anonymousMapExec`: no memory without a file behind it becomes executable. `exec`: nobody starts programs in the \
     running container from a terminal, as `kubectl exec -it` does. `protectEnv`: no process reads the environment of \
     another. `protectProc`: no process opens what `/proc` has of others; its own entries and the general files stay \
     open.",
    "presets:\n- name: protectEnv",
    "preset-protect-env-block",
)
.needed();

static PRESET_ACTION: Field = Field::new(
    "action",
    Value::Name(actions, Spelling::AnyCaseOrEmpty),
    "`Audit` permits and alerts. Anything else denies, `Allow` included.",
    "presets:\n- name: exec\n  action: Audit",
    "preset-audit-block-and-tiers",
)
.or_else("that of the spec, else `Block`");

static APPARMOR: Field = Field::new(
    "apparmor",
    Value::Text,
    "Rules in AppArmor's own language, for the workload's profile as they stand. No other enforcer can express them, \
     and the one for AppArmor is not there yet; the policy's state says so.",
    "apparmor: |\n  deny /srv/closed.txt rw,",
    "native-apparmor-text",
);

static LEVEL: Field = Field::new(
    "level",
    Value::Name(firewall::levels, Spelling::AnyCase),
    "What shares a quota: `Pod`, each selected pod has it for itself; `Policy`, all selected pods together.",
    "selector:\n  matchLabels:\n    app: web\nlevel: Policy\negress:\n- limit: 100MB\n  duration: 1h",
    "firewall-quota-of-pods",
)
.or_else("`Pod`");

pub(super) static CONTAINER: Object = Object {
    fields: &[
        &selector::PODS,
        &PROCESS,
        &FILE,
        &network::NETWORK,
        &CAPABILITIES,
        &SYSCALLS,
        &PRESETS,
        &APPARMOR,
        &SEVERITY,
        &TAGS,
        &MESSAGE,
        &ACTION,
    ],
};

pub(super) static CLUSTER: Object = Object {
    fields: &[
        &selector::NAMESPACES,
        &PROCESS,
        &FILE,
        &network::NETWORK,
        &CAPABILITIES,
        &SYSCALLS,
        &PRESETS,
        &APPARMOR,
        &SEVERITY,
        &TAGS,
        &MESSAGE,
        &ACTION,
    ],
};

pub(super) static HOST: Object = Object {
    fields: &[
        &selector::NODES,
        &PROCESS,
        &FILE,
        &network::NETWORK,
        &CAPABILITIES,
        &SYSCALLS,
        &DEVICE,
        &APPARMOR,
        &SEVERITY,
        &TAGS,
        &MESSAGE,
        &ACTION,
    ],
};

pub(super) static NETWORK: Object = Object {
    fields: &[
        &selector::NODES,
        &selector::QUOTA_PODS,
        &LEVEL,
        &firewall::INGRESS,
        &firewall::EGRESS,
        &SEVERITY,
        &TAGS,
        &MESSAGE,
        &ACTION,
    ],
};

fn actions() -> Vec<String> {
    Action::ALL.map(|action| action.as_str().to_owned()).into()
}

fn presets() -> Vec<String> {
    Preset::ALL.map(|preset| preset.as_str().to_owned()).into()
}
