//! What a case needs of the machine and the agent, and whether it is there.

use serde::Deserialize;

/// A word of `requires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Requirement {
    Tty,
    /// The name server at 192.0.2.53.
    Dns,
    Syscalls,
    Presets,
    /// The host is governed too.
    Host,
    /// Docker, with the image `testbed/alpine`.
    Docker,
    /// Podman, with the same.
    Podman,
    Kernel(Version),
}

/// The first two numbers of a kernel's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// From `6.12` or `6.12.30-cloud-amd64`.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// Of the running kernel.
    pub fn running() -> Option<Self> {
        Self::parse(rustix::system::uname().release().to_str().ok()?)
    }
}

impl Requirement {
    /// Why the case must be skipped here, if it must.
    pub fn unmet(self, kernel: Version) -> Option<String> {
        match self {
            Self::Kernel(Version(major, minor)) if kernel < Version(major, minor) => {
                Some(format!("needs kernel {major}.{minor}, this is {}.{}", kernel.0, kernel.1))
            }
            // The runner and the product offer all of these.
            Self::Tty
            | Self::Dns
            | Self::Syscalls
            | Self::Presets
            | Self::Host
            | Self::Docker
            | Self::Podman
            | Self::Kernel(_) => None,
        }
    }
}

impl TryFrom<String> for Requirement {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "tty" => Ok(Self::Tty),
            "dns" => Ok(Self::Dns),
            "syscalls" => Ok(Self::Syscalls),
            "presets" => Ok(Self::Presets),
            "host" => Ok(Self::Host),
            "docker" => Ok(Self::Docker),
            "podman" => Ok(Self::Podman),
            other => other
                .strip_prefix("kernel>=")
                .and_then(Version::parse)
                .map(Self::Kernel)
                .ok_or_else(|| format!("unknown requirement {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_compare_by_number() {
        let wanted = Requirement::try_from("kernel>=6.2".to_owned()).unwrap();
        let kernel = |release| Version::parse(release).unwrap();
        assert_eq!(
            wanted.unmet(kernel("6.1.0-49-cloud-amd64")).unwrap(),
            "needs kernel 6.2, this is 6.1"
        );
        assert_eq!(wanted.unmet(kernel("6.12.57+deb12-cloud-amd64")), None);
        assert_eq!(wanted.unmet(kernel("7.2")), None);
    }

    #[test]
    fn unknown_words_are_errors() {
        assert!(Requirement::try_from("magic".to_owned()).is_err());
        assert!(Requirement::try_from("kernel>=new".to_owned()).is_err());
    }
}
