//! The names of protocols and socket types.

use crate::Protocol;

impl Protocol {
    pub const ALL: [Self; 13] = [
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Icmpv6,
        Self::Sctp,
        Self::Raw,
        Self::Stream,
        Self::Dgram,
        Self::Rdm,
        Self::Seqpacket,
        Self::Dccp,
        Self::Packet,
        Self::All,
    ];

    /// The name that policies write, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Sctp => "sctp",
            Self::Raw => "raw",
            Self::Stream => "stream",
            Self::Dgram => "dgram",
            Self::Rdm => "rdm",
            Self::Seqpacket => "seqpacket",
            Self::Dccp => "dccp",
            Self::Packet => "packet",
            Self::All => "all",
        }
    }

    /// Reads a name in any letter case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str().eq_ignore_ascii_case(name))
    }
}
