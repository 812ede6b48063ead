//! What a host without an agent could enforce and observe.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::table::titled;

/// The facts that decide.
pub(crate) struct Host {
    os: String,
    kernel: String,
    /// Major and minor.
    version: (u16, u16),
    btf: bool,
    headers: bool,
    /// Active security modules; `None` if the file cannot be read.
    modules: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enforcement {
    Full,
    /// Of the host only.
    Partial,
    None,
    Unknown,
}

impl Enforcement {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Partial => "Partial",
            Self::None => "None",
            Self::Unknown => "Unknown",
        }
    }
}

impl Host {
    pub(super) fn read() -> Self {
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            os: os_name(&read("/etc/os-release")),
            version: version(&kernel),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            headers: Path::new(&format!("/lib/modules/{kernel}/build")).exists(),
            modules: fs::read_to_string("/sys/kernel/security/lsm")
                .ok()
                .map(|list| list.trim().split(',').map(str::to_owned).collect()),
            kernel,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({"Probe Data": {"Host": {
            "OSImage": self.os,
            "KernelVersion": self.kernel,
            "KernelHeaderPresent": self.headers,
            "BTF": self.btf,
            "LSM": self.modules.as_deref().unwrap_or_default(),
            "Observability": self.observable(),
            "Enforcement": self.enforcement().as_str(),
        }}})
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let modules = match &self.modules {
            Some(modules) => modules.join(","),
            None => "unknown: /sys/kernel/security/lsm cannot be read".into(),
        };
        let observability = if self.observable() {
            "Supported"
        } else {
            "Not supported: needs kernel 4.14 and BTF or kernel headers"
        };
        let enforcement = match self.enforcement() {
            Enforcement::None => "None: needs bpf, apparmor or selinux among the kernel's `lsm=`",
            Enforcement::Unknown => "Unknown: is securityfs mounted, and are you root?",
            other => other.as_str(),
        };
        let rows = [
            ("OS", self.os.as_str()),
            ("Kernel", &self.kernel),
            ("BTF", if self.btf { "present" } else { "absent" }),
            ("Security modules", &modules),
            ("Observability", observability),
            ("Enforcement", enforcement),
        ];
        let rows = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value.to_owned()]);
        titled(out, "Host", &[], rows)
    }

    fn observable(&self) -> bool {
        self.version >= (4, 14) && (self.btf || self.headers)
    }

    fn enforcement(&self) -> Enforcement {
        let Some(modules) = &self.modules else { return Enforcement::Unknown };
        let has = |name: &str| modules.iter().any(|module| module == name);
        if has("bpf") || has("apparmor") {
            Enforcement::Full
        } else if has("selinux") {
            Enforcement::Partial
        } else {
            Enforcement::None
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn os_name(release: &str) -> String {
    release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

/// Major and minor of `6.12.63-cloud-amd64`; zero where there is no number.
fn version(release: &str) -> (u16, u16) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(kernel: &str, modules: &[&str]) -> Host {
        Host {
            os: String::new(),
            kernel: kernel.into(),
            version: version(kernel),
            btf: true,
            headers: false,
            modules: Some(modules.iter().map(|&name| name.to_owned()).collect()),
        }
    }

    #[test]
    fn enforcement_follows_the_security_modules() {
        assert_eq!(host("6.1", &["landlock", "bpf"]).enforcement(), Enforcement::Full);
        assert_eq!(host("6.1", &["apparmor"]).enforcement(), Enforcement::Full);
        assert_eq!(host("6.1", &["selinux"]).enforcement(), Enforcement::Partial);
        assert_eq!(host("6.1", &["yama"]).enforcement(), Enforcement::None);
        let blind = Host { modules: None, ..host("6.1", &[]) };
        assert_eq!(blind.enforcement(), Enforcement::Unknown);
    }

    #[test]
    fn observation_needs_types_or_headers_and_a_kernel_of_this_age() {
        assert!(host("6.12.63+deb12-cloud-amd64", &[]).observable());
        assert!(!host("4.9.0", &[]).observable());
        assert!(!Host { btf: false, ..host("6.12", &[]) }.observable());
    }

    #[test]
    fn names_and_versions() {
        assert_eq!(os_name("ID=debian\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!(version("6.12.63-x"), (6, 12));
        assert_eq!(version(""), (0, 0));
    }
}
