//! [`Visibility`]: the classes of events that are logged although no policy speaks of them. The kernel filters by the
//! same bits.

use bitflags::bitflags;

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Visibility: u8 {
        const PROCESS = 1;
        const FILE = 2;
        const NETWORK = 4;
        const CAPABILITIES = 8;
        const DNS = 16;
        const IMA = 32;
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass(pub String);

impl std::fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "unknown visibility class `{}`: use process, file, network, capabilities, dns, ima or none",
            self.0
        )
    }
}

impl std::error::Error for UnknownClass {}

impl std::str::FromStr for Visibility {
    type Err = UnknownClass;

    /// Reads a comma list of class names; `none` and the empty list are no class at all.
    fn from_str(list: &str) -> Result<Self, UnknownClass> {
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(
            Self::empty(),
            |seen, name| {
                let class = match name {
                    "process" => Self::PROCESS,
                    "file" => Self::FILE,
                    "network" => Self::NETWORK,
                    "capabilities" => Self::CAPABILITIES,
                    "dns" => Self::DNS,
                    "ima" => Self::IMA,
                    "none" => Self::empty(),
                    other => return Err(UnknownClass(other.to_owned())),
                };
                Ok(seen | class)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_none() {
        assert_eq!("process, file".parse(), Ok(Visibility::PROCESS | Visibility::FILE));
        assert_eq!("none".parse(), Ok(Visibility::empty()));
        assert_eq!("".parse(), Ok(Visibility::empty()));
    }

    #[test]
    fn an_unknown_class_is_named() {
        assert_eq!("process,disk".parse::<Visibility>(), Err(UnknownClass("disk".into())));
    }
}
