//! Whether a rule's object covers the object of an access: paths, applets, sockets.

use std::collections::BTreeSet;

use policy::{Action, PathObject, Protocol};

use crate::{
    AccessObject, Object, PathSet, Rule, RuleSet, Socket, SubjectPath, SyscallObject, glob::Glob,
};

/// Families that network rules judge.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_PACKET: u16 = 17;
const AF_UNIX: u16 = 1;
const AF_NETLINK: u16 = 16;

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const SOCK_RAW: u16 = 3;
const SOCK_RDM: u16 = 4;
const SOCK_SEQPACKET: u16 = 5;
const SOCK_DCCP: u16 = 6;
const SOCK_PACKET: u16 = 10;

const IPPROTO_ANY: u16 = 0;
const IPPROTO_ICMP: u16 = 1;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_ICMPV6: u16 = 58;
const IPPROTO_SCTP: u16 = 132;
const IPPROTO_UDPLITE: u16 = 136;
const IPPROTO_MPTCP: u16 = 262;

/// Whether a path rule's object names this path, links aside. The path is canonical and not virtual.
pub fn matches(object: &PathObject, path: &[u8]) -> bool {
    match object {
        PathObject::Path(named) => named.as_bytes() == path,
        PathObject::ExecName(name) => last_component(path) == name.as_bytes(),
        PathObject::Directory { dir, recursive } => {
            is_directory(dir, path)
                || path.strip_prefix(dir.as_bytes()).is_some_and(|below| {
                    !below.is_empty() && (*recursive || !below.contains(&b'/'))
                })
        }
        PathObject::Pattern(pattern) => Glob::parse(pattern).is_ok_and(|glob| glob.matches(path)),
    }
}

fn is_directory(dir: &str, path: &[u8]) -> bool {
    match dir.as_bytes() {
        b"/" => path == b"/",
        dir => dir.strip_suffix(b"/").unwrap_or(dir) == path,
    }
}

/// Whether a queried name is the domain or lies below it. No rule names a label with one of the bytes that mean
/// something to the automaton.
fn is_at_or_below(domain: &str, name: &[u8]) -> bool {
    let Some(below) = name.len().checked_sub(domain.len()) else { return false };
    name[below..].eq_ignore_ascii_case(domain.as_bytes())
        && !domain.contains(['/', '\0'])
        && (below == 0 || name[below - 1] == b'.')
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Splits `/bin/busybox//cat` into the multi-call binary and its applet.
pub fn split_applet<'p>(
    path: &'p [u8],
    multicall: &BTreeSet<String>,
) -> Option<(&'p [u8], &'p [u8])> {
    let at = path.windows(2).position(|pair| pair == b"//")?;
    let (binary, applet) = (&path[..at], &path[at + 2..]);
    let known = !binary.is_empty() && multicall.iter().any(|known| known.as_bytes() == binary);
    known.then_some((binary, applet))
}

/// As [`matches`], for a path that may be virtual: what covers a multi-call binary covers all its applets, and an
/// applet can be covered alone by its virtual path or its name.
pub(crate) fn matches_virtual(
    object: &PathObject,
    path: &[u8],
    multicall: &BTreeSet<String>,
) -> bool {
    let Some((binary, applet)) = split_applet(path, multicall) else {
        return matches(object, path);
    };
    matches(object, binary)
        || match object {
            PathObject::Path(named) => named.as_bytes() == path,
            PathObject::ExecName(name) => name.as_bytes() == applet,
            PathObject::Directory { .. } | PathObject::Pattern(_) => false,
        }
}

impl PathSet {
    fn covers(&self, path: &[u8], multicall: &BTreeSet<String>) -> bool {
        std::iter::once(&self.named)
            .chain(&self.linked)
            .any(|object| matches_virtual(object, path, multicall))
    }
}

impl RuleSet {
    /// Object and source of the rule are those of the access; modifiers are not looked at.
    pub(crate) fn concerns(&self, rule: &Rule, access: &crate::Access<'_>) -> bool {
        self.covers_object(rule, &access.object)
            && self.is_watched(&rule.object, access.subject)
            && rule.source.as_ref().is_none_or(|source| self.is_subject(source, access.subject))
    }

    pub(crate) fn covers_object(&self, rule: &Rule, accessed: &AccessObject<'_>) -> bool {
        match (&rule.object, accessed) {
            (Object::Process(paths), AccessObject::Execute { path: Some(path), .. })
            | (Object::File(paths), AccessObject::File { path, .. }) => {
                paths.covers(path, &self.multicall)
            }
            (Object::Network(protocol), AccessObject::Socket(socket)) => socket.is_of(*protocol),
            (Object::Capability(named), AccessObject::Capability(used)) => named == used,
            (Object::Preset(named), AccessObject::Preset(watched)) => named == watched,
            (Object::Dns(domain), AccessObject::Dns(Some(name))) => is_at_or_below(domain, name),
            // It may be any of the names that are blocked.
            (Object::Dns(_), AccessObject::Dns(None)) => rule.action == Action::Block,
            (Object::Syscall(watched), AccessObject::Syscall { name, path }) => {
                watched.calls.contains(*name)
                    && match (&watched.path, path) {
                        (Some(paths), Some(path)) => paths.covers(path, &self.multicall),
                        (None, None) => true,
                        _ => false,
                    }
            }
            _ => false,
        }
    }

    /// What a system call rule says of its subjects; other rules say it in [`Rule::source`].
    fn is_watched(&self, object: &Object, subject: Option<&[u8]>) -> bool {
        let Object::Syscall(SyscallObject { sources: Some(sources), .. }) = object else {
            return true;
        };
        let is_source = |path| sources.iter().any(|s| matches_virtual(s, path, &self.multicall));
        subject.is_some_and(is_source)
    }

    fn is_subject(&self, source: &BTreeSet<SubjectPath>, subject: Option<&[u8]>) -> bool {
        let Some(subject) = subject else { return false };
        let binary = split_applet(subject, &self.multicall).map(|(binary, _)| binary);
        source.iter().any(|s| s.as_bytes() == subject || Some(s.as_bytes()) == binary)
    }
}

impl Socket {
    /// Network rules judge IPv4, IPv6 and packet sockets, and raw ones of all families but the two local ones.
    pub fn is_judged(self) -> bool {
        let local = matches!(self.family, AF_UNIX | AF_NETLINK);
        self.has_protocols() || self.kind == SOCK_RAW && !local
    }

    /// Elsewhere `raw` is the only word of the language that means something.
    fn has_protocols(self) -> bool {
        self.is_inet() || self.family == AF_PACKET
    }

    fn is_inet(self) -> bool {
        matches!(self.family, AF_INET | AF_INET6)
    }

    /// Whether a rule for this protocol or type covers the socket.
    pub fn is_of(self, protocol: Protocol) -> bool {
        // The protocol field of a packet socket holds an Ethernet type, not an IP protocol.
        let ip = self.is_inet().then_some(self.protocol);
        let unnamed = |kind: u16| ip == Some(IPPROTO_ANY) && self.kind == kind;
        if !self.has_protocols() {
            return protocol == Protocol::Raw && self.is_judged();
        }
        match protocol {
            Protocol::Tcp => {
                matches!(ip, Some(IPPROTO_TCP | IPPROTO_MPTCP)) || unnamed(SOCK_STREAM)
            }
            Protocol::Udp => {
                matches!(ip, Some(IPPROTO_UDP | IPPROTO_UDPLITE)) || unnamed(SOCK_DGRAM)
            }
            Protocol::Icmp => ip == Some(IPPROTO_ICMP),
            Protocol::Icmpv6 => ip == Some(IPPROTO_ICMPV6),
            // The kernel's only sequenced-packet protocol over IP.
            Protocol::Sctp => ip == Some(IPPROTO_SCTP) || unnamed(SOCK_SEQPACKET),
            Protocol::Raw => self.kind == SOCK_RAW,
            Protocol::Stream => self.kind == SOCK_STREAM,
            Protocol::Dgram => self.kind == SOCK_DGRAM,
            Protocol::Rdm => self.kind == SOCK_RDM,
            Protocol::Seqpacket => self.kind == SOCK_SEQPACKET,
            Protocol::Dccp => self.kind == SOCK_DCCP,
            Protocol::Packet => self.family == AF_PACKET || self.kind == SOCK_PACKET,
            Protocol::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(dir: &str, recursive: bool) -> PathObject {
        PathObject::Directory { dir: dir.into(), recursive }
    }

    #[test]
    fn a_directory_is_itself_and_its_entries() {
        let flat = directory("/srv/box/", false);
        assert!(matches(&flat, b"/srv/box"));
        assert!(matches(&flat, b"/srv/box/a"));
        assert!(!matches(&flat, b"/srv/box/a/b"));
        assert!(!matches(&flat, b"/srv/boxes"));
        assert!(matches(&directory("/srv/box/", true), b"/srv/box/a/b"));
        assert!(matches(&directory("/", false), b"/"));
        assert!(matches(&directory("/", false), b"/a"));
        assert!(!matches(&directory("/", false), b"/a/b"));
        assert!(matches(&directory("/", true), b"/a/b"));
    }

    #[test]
    fn an_applet_is_covered_with_its_binary_or_alone() {
        let multicall = BTreeSet::from(["/bin/busybox".to_owned()]);
        let covers =
            |object: PathObject, path: &str| matches_virtual(&object, path.as_bytes(), &multicall);
        assert!(covers(PathObject::Path("/bin/busybox".into()), "/bin/busybox//cat"));
        assert!(covers(PathObject::Path("/bin/busybox//cat".into()), "/bin/busybox//cat"));
        assert!(!covers(PathObject::Path("/bin/busybox//cat".into()), "/bin/busybox//id"));
        assert!(!covers(PathObject::Path("/bin/busybox//cat".into()), "/bin/busybox"));
        assert!(covers(PathObject::ExecName("cat".into()), "/bin/busybox//cat"));
        assert!(covers(PathObject::ExecName("busybox".into()), "/bin/busybox//cat"));
        assert!(covers(directory("/bin/", false), "/bin/busybox//cat"));
        assert!(covers(PathObject::Pattern("/bin/*box".into()), "/bin/busybox//cat"));
        assert!(!covers(PathObject::ExecName("cat".into()), "/bin/other//x"));
    }

    #[test]
    fn sockets_by_protocol_and_type() {
        let socket = |family, kind, protocol| Socket { family, kind, protocol };
        assert!(socket(AF_INET, SOCK_STREAM, 0).is_of(Protocol::Tcp));
        assert!(socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP).is_of(Protocol::Tcp));
        assert!(socket(AF_INET, SOCK_RAW, IPPROTO_TCP).is_of(Protocol::Tcp));
        assert!(socket(AF_INET, SOCK_RAW, IPPROTO_TCP).is_of(Protocol::Raw));
        assert!(!socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP).is_of(Protocol::Tcp));
        assert!(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE).is_of(Protocol::Udp));
        assert!(!socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).is_of(Protocol::Udp));
        assert!(socket(AF_PACKET, SOCK_RAW, 0x0300).is_of(Protocol::Raw));
        assert!(socket(AF_PACKET, SOCK_DGRAM, 0x0300).is_of(Protocol::Packet));
        assert!(!socket(AF_PACKET, SOCK_DGRAM, 0).is_of(Protocol::Udp));
        assert!(!socket(AF_UNIX, SOCK_STREAM, 0).is_of(Protocol::All));
        assert!(!socket(AF_NETLINK, SOCK_RAW, 0).is_of(Protocol::Raw));
        assert!(!socket(AF_UNIX, SOCK_RAW, 0).is_of(Protocol::Raw));
        let key = socket(15, SOCK_RAW, 2);
        assert!(key.is_of(Protocol::Raw) && !key.is_of(Protocol::All));
        assert!(!socket(38, SOCK_SEQPACKET, 0).is_judged());
    }
}
