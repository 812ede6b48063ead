//! The kernel's numbers as alerts name them. Clients parse these strings: none may change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy::{Capability, syscall};
use wire::{Operation, Record};

/// The `Operation` field.
pub(crate) fn operation(operation: Operation) -> &'static str {
    use Operation as O;
    match operation {
        O::Exec
        | O::Load
        | O::FilelessExec
        | O::ExecPreset
        | O::Signal
        | O::Ptrace
        | O::SetLimits => "Process",
        O::Open
        | O::Unlink
        | O::Mkdir
        | O::Rmdir
        | O::Mknod
        | O::Symlink
        | O::Link
        | O::Rename
        | O::Chmod
        | O::Chown
        | O::Truncate
        | O::Utimes
        | O::Setxattr
        | O::Getattr
        | O::Mmap
        | O::Inherit
        | O::Receive
        | O::Use
        | O::Mount
        | O::Umount
        | O::Setattr
        | O::AnonymousMapExec
        | O::ProtectEnv
        | O::ProtectProc => "File",
        O::SocketCreate
        | O::SocketConnect
        | O::SocketSendmsg
        | O::SocketBind
        | O::SocketListen
        | O::SocketAccept
        | O::SocketRecvmsg
        | O::DnsQuery => "Network",
        O::Capable => "Capabilities",
        O::Syscall | O::Bpf => "Syscall",
    }
}

/// Whether the object is a program that somebody tried to become.
pub(crate) fn starts(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::Exec | O::FilelessExec | O::ExecPreset)
}

/// The hook in `Data`, behind `lsm=`. Alerts of presets do not name theirs.
pub(crate) fn hook(operation: Operation) -> Option<&'static str> {
    use Operation as O;
    Some(match operation {
        O::Exec => "SECURITY_BPRM_CHECK",
        O::Open => "FILE_OPEN",
        O::Unlink => "FILE_UNLINK",
        O::Mkdir => "FILE_MKDIR",
        O::Rmdir => "FILE_RMDIR",
        O::Mknod => "FILE_MKNOD",
        O::Symlink => "FILE_SYMLINK",
        O::Link => "FILE_LINK",
        O::Rename => "FILE_RENAME",
        O::Chmod => "FILE_CHMOD",
        O::Chown => "FILE_CHOWN",
        O::Truncate => "FILE_TRUNCATE",
        O::Utimes => "FILE_UTIMES",
        O::Setxattr => "FILE_SETXATTR",
        O::Getattr => "FILE_GETATTR",
        O::Mmap => "FILE_MMAP",
        O::Load => "MMAP_FILE",
        O::Inherit => "FILE_INHERIT",
        O::Receive => "FILE_RECEIVE",
        O::Use => "FILE_PERMISSION",
        O::Mount => "SB_MOUNT",
        O::Umount => "SB_UMOUNT",
        O::Setattr => "FILE_SETATTR",
        O::SocketCreate => "SOCKET_CREATE",
        O::SocketRecvmsg => "SOCKET_RECVMSG",
        O::SocketConnect => "SOCKET_CONNECT",
        O::SocketSendmsg | O::DnsQuery => "SOCKET_SENDMSG",
        O::SocketBind => "SOCKET_BIND",
        O::SocketListen => "SOCKET_LISTEN",
        O::SocketAccept => "SOCKET_ACCEPT",
        O::Capable => "CAPABLE",
        O::Syscall => "SYSCALL",
        O::Signal => "TASK_KILL",
        O::Ptrace => "PTRACE_ACCESS_CHECK",
        O::SetLimits => "TASK_SETRLIMIT",
        O::Bpf => "BPF",
        O::AnonymousMapExec | O::FilelessExec | O::ProtectEnv | O::ExecPreset | O::ProtectProc => {
            return None;
        }
    })
}

/// `Data` of a log: the system call with what is worth knowing of its arguments.
pub(crate) fn call(record: &Record) -> String {
    use Operation as O;
    if let (O::Capable, Some(hook)) = (record.operation, hook(record.operation)) {
        return format!("lsm={hook} {}", capability(record.detail[0]));
    }
    if record.operation == O::DnsQuery {
        return question(record);
    }
    let number = record.syscall.and_then(|number| u16::try_from(number).ok());
    let native = syscall::Architecture::native();
    let known = number.zip(native).and_then(|(number, native)| syscall::name(number, native));
    let name = known.unwrap_or(match record.operation {
        O::Exec => "execve",
        O::SocketCreate => "socket",
        O::SocketConnect => "connect",
        O::SocketSendmsg => "sendto",
        O::SocketBind => "bind",
        O::SocketListen => "listen",
        O::SocketAccept => "accept",
        _ => "openat",
    });
    let descriptor = match name {
        "openat" | "openat2" => Some(record.detail[1].cast_signed()),
        "execveat" | "connect" | "bind" | "listen" | "accept" | "accept4" | "sendto"
        | "sendmsg" | "sendmmsg" => Some(record.descriptor),
        _ => None,
    };
    let call = format!("syscall=SYS_{}", name.to_ascii_uppercase());
    let descriptor = descriptor.map(|descriptor| format!("fd={descriptor}"));
    let flags =
        (record.operation == O::Open).then(|| format!("flags={}", open_flags(record.detail[0])));
    [Some(call), descriptor, flags].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A question to a name server, in the words that clients know it by.
fn question(record: &Record) -> String {
    let name = String::from_utf8_lossy(&record.path).to_lowercase();
    let to = Socket::of(record).ip().map(|ip| ip.to_string()).unwrap_or_default();
    let kind = match record.detail[1] {
        1 => "A".to_owned(),
        2 => "NS".to_owned(),
        5 => "CNAME".to_owned(),
        6 => "SOA".to_owned(),
        12 => "PTR".to_owned(),
        15 => "MX".to_owned(),
        16 => "TXT".to_owned(),
        28 => "AAAA".to_owned(),
        33 => "SRV".to_owned(),
        65 => "HTTPS".to_owned(),
        255 => "ANY".to_owned(),
        // RFC 3597
        other => format!("TYPE{other}"),
    };
    format!("kfunc=UDP_SENDSKB domain={name} daddr={to} qtype={kind}")
}

/// The `Result` field: the C library's text for a negative errno.
pub(crate) fn result(result: i32) -> String {
    match result.saturating_neg() {
        i32::MIN..=0 => "Passed".into(),
        libc::EPERM => "Operation not permitted".into(),
        libc::EACCES => "Permission denied".into(),
        errno => {
            let text = std::io::Error::from_raw_os_error(errno).to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
    }
}

pub(crate) fn capability(number: u32) -> String {
    Capability::all()
        .find(|capability| u32::from(capability.0) == number)
        .map_or_else(|| format!("CAP_{number}"), |capability| capability.name().to_owned())
}

/// A system call, as `Data` shows it behind `syscall=`. `number` is that of its name.
pub(crate) fn syscall(number: u32) -> String {
    let name = u16::try_from(number).ok().and_then(syscall::at);
    name.map_or_else(|| format!("SYS_{number}"), |name| format!("SYS_{}", name.to_uppercase()))
}

/// The `flags` of an open, access mode first.
pub(crate) fn open_flags(flags: u32) -> String {
    let flags = flags.cast_signed();
    let mut names = vec![match flags & libc::O_ACCMODE {
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_RDONLY",
    }];
    let rest = [
        (libc::O_CREAT, "O_CREAT"),
        (libc::O_EXCL, "O_EXCL"),
        (libc::O_NOCTTY, "O_NOCTTY"),
        (libc::O_TRUNC, "O_TRUNC"),
        (libc::O_APPEND, "O_APPEND"),
        (libc::O_NONBLOCK, "O_NONBLOCK"),
        (libc::O_SYNC, "O_SYNC"),
        (libc::O_DIRECTORY, "O_DIRECTORY"),
        (libc::O_NOFOLLOW, "O_NOFOLLOW"),
        (libc::O_CLOEXEC, "O_CLOEXEC"),
        (libc::O_DIRECT, "O_DIRECT"),
        (libc::O_NOATIME, "O_NOATIME"),
        (libc::O_PATH, "O_PATH"),
    ];
    // O_TMPFILE contains O_DIRECTORY, and O_SYNC contains O_DSYNC: a flag counts with all its bits.
    names.extend(rest.iter().filter(|(bits, _)| flags & bits == *bits).map(|(_, name)| *name));
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        names.push("O_TMPFILE");
    }
    names.join("|")
}

/// The families that are seen; others by their number.
fn family(number: i32) -> String {
    match number {
        libc::AF_UNSPEC => "AF_UNSPEC".into(),
        libc::AF_UNIX => "AF_UNIX".into(),
        libc::AF_INET => "AF_INET".into(),
        libc::AF_INET6 => "AF_INET6".into(),
        libc::AF_NETLINK => "AF_NETLINK".into(),
        libc::AF_PACKET => "AF_PACKET".into(),
        libc::AF_ALG => "AF_ALG".into(),
        libc::AF_VSOCK => "AF_VSOCK".into(),
        libc::AF_BLUETOOTH => "AF_BLUETOOTH".into(),
        libc::AF_KEY => "AF_KEY".into(),
        libc::AF_XDP => "AF_XDP".into(),
        other => other.to_string(),
    }
}

/// A socket as its record describes it.
pub(crate) struct Socket {
    family: i32,
    kind: i32,
    protocol: i32,
    port: u32,
    address: [u8; 16],
}

impl Socket {
    pub(crate) fn of(record: &Record) -> Self {
        let [family, kind, protocol, port] = record.detail;
        Self {
            family: family.cast_signed(),
            // The low four bits are the type, the rest are SOCK_NONBLOCK and SOCK_CLOEXEC.
            kind: kind.cast_signed() & 0xf,
            protocol: protocol.cast_signed(),
            port,
            address: record.address,
        }
    }

    /// `protocol=TCP type=SOCK_STREAM`; without the protocol where it has no IP meaning.
    pub(crate) fn resource(&self) -> String {
        let kind = self.kind_name();
        match self.protocol_name() {
            Some(protocol) => format!("protocol={protocol} type={kind}"),
            None => format!("type={kind}"),
        }
    }

    /// The resource of a socket that was made.
    pub(crate) fn created(&self) -> String {
        let kind = self.kind_name();
        let protocol = self.protocol_name().unwrap_or_else(|| self.protocol.to_string());
        format!("domain={} type={kind} protocol={protocol}", family(self.family))
    }

    /// The other end, or the own one of a socket that is bound or listens; `path` is that of a local address.
    pub(crate) fn end(&self, path: &[u8]) -> String {
        if self.family == libc::AF_UNIX {
            // The port says that the name is an abstract one.
            let sign = if self.port == 0 { "" } else { "@" };
            return format!("sa_family=AF_UNIX sun_path={sign}{}", String::from_utf8_lossy(path));
        }
        match self.ip() {
            Some(ip) => {
                format!("sa_family={} sin_port={} sin_addr={ip}", family(self.family), self.port)
            }
            None => format!("sa_family={}", family(self.family)),
        }
    }

    /// Whom a question went to, as clients know it: without the address, which is in the data.
    pub(crate) fn server(&self) -> String {
        format!("sa_family={} sin_port={}", family(self.family), self.port)
    }

    /// Data and resource by which clients know a TCP connection that was made or accepted.
    pub(crate) fn connection(&self, record: &Record) -> Option<(String, String)> {
        let (what, made) = match record.operation {
            Operation::SocketConnect => {
                ("connect", [0, -libc::EINPROGRESS].contains(&record.result))
            }
            Operation::SocketAccept => ("accept", record.result == 0),
            _ => return None,
        };
        if !made || self.protocol_name()? != "TCP" {
            return None;
        }
        let (ip, port) = (self.ip()?, self.port);
        Some((
            format!("kprobe=tcp_{what} domain={}", family(self.family)),
            format!("remoteip={ip} port={port} protocol=TCP"),
        ))
    }

    fn ip(&self) -> Option<IpAddr> {
        match self.family {
            libc::AF_INET => {
                let [a, b, c, d, ..] = self.address;
                Some(Ipv4Addr::new(a, b, c, d).into())
            }
            libc::AF_INET6 => Some(Ipv6Addr::from(self.address).into()),
            _ => None,
        }
    }

    fn kind_name(&self) -> String {
        match self.kind {
            libc::SOCK_STREAM => "SOCK_STREAM".into(),
            libc::SOCK_DGRAM => "SOCK_DGRAM".into(),
            libc::SOCK_RAW => "SOCK_RAW".into(),
            libc::SOCK_RDM => "SOCK_RDM".into(),
            libc::SOCK_SEQPACKET => "SOCK_SEQPACKET".into(),
            libc::SOCK_DCCP => "SOCK_DCCP".into(),
            10 => "SOCK_PACKET".into(),
            other => other.to_string(),
        }
    }

    fn protocol_name(&self) -> Option<String> {
        if self.family != libc::AF_INET && self.family != libc::AF_INET6 {
            return None;
        }
        let name = match (self.protocol, self.kind) {
            (libc::IPPROTO_TCP, _) | (0, libc::SOCK_STREAM) => "TCP",
            (libc::IPPROTO_UDP, _) | (0, libc::SOCK_DGRAM) => "UDP",
            (0 | libc::IPPROTO_RAW, _) => return None,
            (libc::IPPROTO_ICMP, _) => "ICMP",
            (libc::IPPROTO_ICMPV6, _) => "IPv6-ICMP",
            (libc::IPPROTO_IGMP, _) => "IGMP",
            (libc::IPPROTO_DCCP, _) => "DCCP",
            (libc::IPPROTO_SCTP, _) => "SCTP",
            (libc::IPPROTO_UDPLITE, _) => "UDPLite",
            (libc::IPPROTO_MPTCP, _) => "MPTCP",
            (libc::IPPROTO_GRE, _) => "GRE",
            (libc::IPPROTO_ESP, _) => "ESP",
            (libc::IPPROTO_AH, _) => "AH",
            (other, _) => return Some(other.to_string()),
        };
        Some(name.to_owned())
    }

    /// The other end (of a bind: the own one), in the words of a `connect` log.
    pub(crate) fn address(&self) -> Option<[(&'static str, String); 3]> {
        Some([
            ("Sa_family", family(self.family)),
            ("Sin_addr", self.ip()?.to_string()),
            ("Sin_port", self.port.to_string()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(family: i32, kind: i32, protocol: i32) -> String {
        Socket { family, kind, protocol, port: 0, address: [0; 16] }.resource()
    }

    #[test]
    fn sockets() {
        let (v4, v6) = (libc::AF_INET, libc::AF_INET6);
        assert_eq!(socket(v4, libc::SOCK_STREAM, 0), "protocol=TCP type=SOCK_STREAM");
        assert_eq!(socket(v6, libc::SOCK_DGRAM, 17), "protocol=UDP type=SOCK_DGRAM");
        assert_eq!(socket(v4, libc::SOCK_RAW, 1), "protocol=ICMP type=SOCK_RAW");
        assert_eq!(socket(v6, libc::SOCK_RAW, 58), "protocol=IPv6-ICMP type=SOCK_RAW");
        assert_eq!(socket(v4, libc::SOCK_SEQPACKET, 132), "protocol=SCTP type=SOCK_SEQPACKET");
        assert_eq!(socket(v4, libc::SOCK_RAW, 255), "type=SOCK_RAW");
        assert_eq!(socket(libc::AF_PACKET, libc::SOCK_RAW, 768), "type=SOCK_RAW");
    }

    #[test]
    fn capabilities_to_the_last_and_beyond() {
        assert_eq!(capability(0), "CAP_CHOWN");
        assert_eq!(capability(13), "CAP_NET_RAW");
        assert_eq!(capability(40), "CAP_CHECKPOINT_RESTORE");
        assert_eq!(capability(41), "CAP_41");
    }

    #[test]
    fn flags_in_the_order_of_the_reference() {
        assert_eq!(open_flags(0), "O_RDONLY");
        let write = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        assert_eq!(open_flags(write.cast_unsigned()), "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC");
        let unnamed = libc::O_RDWR | libc::O_TMPFILE;
        assert_eq!(open_flags(unnamed.cast_unsigned()), "O_RDWR|O_DIRECTORY|O_TMPFILE");
    }

    #[test]
    fn results() {
        assert_eq!(result(0), "Passed");
        assert_eq!(result(-libc::EACCES), "Permission denied");
        assert_eq!(result(-libc::EPERM), "Operation not permitted");
        assert!(result(-libc::ENOENT).starts_with("No such file"));
    }
}
