//! Sockets and what is done with them.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use rustix::net::{self, AddressFamily, Protocol, SendFlags, SocketType, ipproto, sockopt};

use crate::{
    errno::Errno,
    words::{Outcome, Refusal, Words},
};

/// A peer that does not answer must not keep a case waiting.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn socket(words: &Words) -> Outcome {
    let family = constant(FAMILIES, words, 0, "FAMILY")?;
    let kind = constant(TYPES, words, 1, "TYPE")?;
    let protocol = constant(PROTOCOLS, words, 2, "PROTO")?;
    open(family, kind, protocol)?;
    Ok(())
}

/// socket(2) with the kernel's own numbers, known to a library or not.
pub(crate) fn open(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: socket(2) takes three numbers.
    let descriptor = unsafe { libc::socket(family, kind, protocol) };
    if descriptor < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel just gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

pub(crate) fn connect(words: &Words) -> Outcome {
    let (socket, address) = socket_and_address(words)?;
    Ok(net::connect(&socket, &address)?)
}

pub(crate) fn sendto(words: &Words) -> Outcome {
    let (socket, address) = socket_and_address(words)?;
    net::sendto(&socket, b"probe", SendFlags::NOSIGNAL, &address)?;
    Ok(())
}

pub(crate) fn bind(words: &Words) -> Outcome {
    let (socket, address) = socket_and_address(words)?;
    Ok(net::bind(&socket, &address)?)
}

pub(crate) fn listen(words: &Words) -> Outcome {
    let (socket, address) = socket_and_address(words)?;
    net::bind(&socket, &address)?;
    Ok(net::listen(&socket, 1)?)
}

/// A socket of the transport in the second word (tcp when absent) for the address in the first.
fn socket_and_address(words: &Words) -> Result<(OwnedFd, SocketAddr), Refusal> {
    let address = address(words.text(0, "HOST:PORT")?)?;
    let transport = if words.len() > 1 { words.text(1, "transport")? } else { "tcp" };
    let (kind, protocol) = match transport {
        "tcp" => (SocketType::STREAM, ipproto::TCP),
        "udp" => (SocketType::DGRAM, ipproto::UDP),
        "sctp" => (SocketType::STREAM, ipproto::SCTP),
        other => return Err(Refusal::Usage(format!("not tcp, udp or sctp: {other}"))),
    };
    Ok((patient(&address, kind, protocol)?, address))
}

/// A socket that gives up after [`PATIENCE`].
pub(crate) fn patient(
    address: &SocketAddr,
    kind: SocketType,
    protocol: Protocol,
) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket(family, kind, Some(protocol))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

fn address(text: &str) -> Result<SocketAddr, Refusal> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    text.to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Refusal::Usage(format!("not HOST:PORT: {text}")))
}

/// Sets one option of a socket to a number.
pub(crate) fn set_option(
    socket: &OwnedFd,
    level: i32,
    option: i32,
    value: libc::c_int,
) -> Result<(), Errno> {
    // SAFETY: the option's value is one int, whose address and size are given.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4),
        )
    };
    if answer < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// The kernel's constant that a word names, or the number that it is.
fn constant(
    known: &[(&str, i32)],
    words: &Words,
    place: usize,
    name: &str,
) -> Result<i32, Refusal> {
    let text = words.text(place, name)?;
    known
        .iter()
        .find(|(constant, _)| *constant == text)
        .map(|(_, value)| *value)
        .or_else(|| match text.strip_prefix("0x") {
            Some(digits) => i32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        })
        .ok_or_else(|| Refusal::Usage(format!("{name}: neither a constant nor a number: {text}")))
}

macro_rules! constants {
    ($($name:ident)* $(, $other:literal = $value:literal)*) => {
        &[$((stringify!($name), libc::$name),)* $(($other, $value)),*]
    };
}

#[rustfmt::skip]
const FAMILIES: &[(&str, i32)] = constants! {
    AF_UNSPEC AF_UNIX AF_LOCAL AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_NETROM AF_BRIDGE AF_ATMPVC AF_X25
    AF_INET6 AF_ROSE AF_DECnet AF_NETBEUI AF_SECURITY AF_KEY AF_NETLINK AF_ROUTE AF_PACKET AF_ASH
    AF_ECONET AF_ATMSVC AF_RDS AF_SNA AF_IRDA AF_PPPOX AF_WANPIPE AF_LLC AF_IB AF_MPLS AF_CAN AF_TIPC
    AF_BLUETOOTH AF_IUCV AF_RXRPC AF_ISDN AF_PHONET AF_IEEE802154 AF_CAIF AF_ALG AF_NFC AF_VSOCK AF_XDP,
    "AF_KCM" = 41, "AF_QIPCRTR" = 42, "AF_SMC" = 43, "AF_MCTP" = 45
};

const TYPES: &[(&str, i32)] = constants! {
    SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP,
    "SOCK_PACKET" = 10
};

#[rustfmt::skip]
const PROTOCOLS: &[(&str, i32)] = constants! {
    IPPROTO_IP IPPROTO_ICMP IPPROTO_IGMP IPPROTO_IPIP IPPROTO_TCP IPPROTO_EGP IPPROTO_PUP IPPROTO_UDP
    IPPROTO_IDP IPPROTO_TP IPPROTO_DCCP IPPROTO_IPV6 IPPROTO_RSVP IPPROTO_GRE IPPROTO_ESP IPPROTO_AH
    IPPROTO_ICMPV6 IPPROTO_MTP IPPROTO_BEETPH IPPROTO_ENCAP IPPROTO_PIM IPPROTO_COMP IPPROTO_SCTP
    IPPROTO_UDPLITE IPPROTO_MPLS IPPROTO_RAW IPPROTO_MPTCP
};

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Words {
        Words::new(texts.iter().map(|text| std::ffi::CString::new(*text).unwrap()))
    }

    #[test]
    fn takes_constants_and_numbers() {
        assert_eq!(constant(FAMILIES, &words(&["AF_INET6"]), 0, "FAMILY").unwrap(), 10);
        assert_eq!(constant(PROTOCOLS, &words(&["262"]), 0, "PROTO").unwrap(), 262);
        assert_eq!(constant(PROTOCOLS, &words(&["IPPROTO_MPTCP"]), 0, "PROTO").unwrap(), 262);
        assert_eq!(constant(TYPES, &words(&["0x3"]), 0, "TYPE").unwrap(), 3);
        assert!(constant(TYPES, &words(&["SOCK_STEAM"]), 0, "TYPE").is_err());
    }

    #[test]
    fn opens_a_unix_socket() {
        assert_eq!(socket(&words(&["AF_UNIX", "SOCK_DGRAM", "0"])), Ok(()));
        assert_eq!(
            socket(&words(&["AF_UNIX", "99", "0"])),
            Err(Refusal::Kernel(Errno::INVAL)),
            "the kernel decides about numbers"
        );
    }

    #[test]
    fn reads_mapped_addresses() {
        assert_eq!(
            address("[::ffff:7f00:1]:9").unwrap(),
            "[::ffff:127.0.0.1]:9".parse::<SocketAddr>().unwrap()
        );
    }
}
