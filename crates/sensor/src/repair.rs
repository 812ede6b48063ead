//! What was repaired in the kernel, as those who are told of it see it.

/// What kind of thing was not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepairKind {
    /// A pin that keeps a link, or what the next agent needs, when the agent is gone.
    Pin,
    /// A program that was not attached any more.
    Link,
    /// Which image judges a workload, and which labels count.
    Slot,
    /// Which workload a control group is.
    ControlGroup,
    /// What the agent protects for itself.
    Mark,
    /// The words of an image.
    Image,
    /// Further names of files that rules mean.
    Alias,
    /// What holds for the whole machine.
    Setting,
}

impl RepairKind {
    pub const ALL: [Self; 8] = [
        Self::Pin,
        Self::Link,
        Self::Slot,
        Self::ControlGroup,
        Self::Mark,
        Self::Image,
        Self::Alias,
        Self::Setting,
    ];

    /// As messages and metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Link => "link",
            Self::Slot => "slot",
            Self::ControlGroup => "control_group",
            Self::Mark => "mark",
            Self::Image => "image",
            Self::Alias => "alias",
            Self::Setting => "setting",
        }
    }
}

/// Something in the kernel that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub kind: RepairKind,
    /// What, and what was wrong with it.
    pub what: String,
    /// Why it still is as it should not be; `None`: it was repaired.
    pub failed: Option<String>,
}

impl Repair {
    pub fn done(kind: RepairKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), failed: None }
    }

    pub fn tried<E: std::fmt::Display>(
        kind: RepairKind,
        what: impl Into<String>,
        outcome: Result<(), E>,
    ) -> Self {
        Self { kind, what: what.into(), failed: outcome.err().map(|error| error.to_string()) }
    }
}
