//! One DNS query, sent in each of the ways that a resolver or an evader may choose.

use std::{
    io::IoSlice,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::net::{
    self, SendAncillaryBuffer, SendFlags, SocketType, ipproto, send, sendmsg_addr, sendto,
};

use crate::{
    errno::Errno,
    socket::patient,
    words::{Outcome, Refusal, Words},
};

const PORT: u16 = 53;

pub(crate) fn query(words: &Words) -> Outcome {
    let name = words.text(0, "NAME")?;
    let (way, server) = match words.len() {
        0..=2 => ("connected", words.text(1, "SERVER")?),
        _ => (words.text(1, "way")?, words.text(2, "SERVER")?),
    };
    let server = address(server)?;
    let message = message(name)?;
    match way {
        "connected" => connected(&message, &server),
        "sendto" => unconnected(&message, &server),
        "tcp" => over_tcp(&message, &server),
        "iovec" => in_pieces(&message, &server),
        "mmsg" => second_of_two(&message, &server),
        "cork" => corked(&message, &server),
        other => {
            Err(Refusal::Usage(format!("not connected, sendto, tcp, iovec, mmsg or cork: {other}")))
        }
    }
}

fn connected(message: &[u8], server: &SocketAddr) -> Outcome {
    let socket = datagrams(server)?;
    net::connect(&socket, server)?;
    send(&socket, message, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn unconnected(message: &[u8], server: &SocketAddr) -> Outcome {
    sendto(datagrams(server)?, message, SendFlags::NOSIGNAL, server)?;
    Ok(())
}

/// Length and query in one segment, as RFC 7766 asks for.
fn over_tcp(message: &[u8], server: &SocketAddr) -> Outcome {
    let socket = patient(server, SocketType::STREAM, ipproto::TCP)?;
    net::connect(&socket, server)?;
    let length = u16::try_from(message.len()).map_err(|_| Errno::INVAL)?;
    let framed = [&length.to_be_bytes()[..], message].concat();
    send(&socket, &framed, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One datagram whose parts lie in four places: none of them holds the whole name.
fn in_pieces(message: &[u8], server: &SocketAddr) -> Outcome {
    let piece = message.len().div_ceil(4);
    let pieces: Vec<_> = message.chunks(piece).map(IoSlice::new).collect();
    let mut control = SendAncillaryBuffer::default();
    sendmsg_addr(datagrams(server)?, server, &pieces, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One sendmmsg(2) of a query for `localhost` and of the real one.
fn second_of_two(second: &[u8], server: &SocketAddr) -> Outcome {
    let first = message("localhost")?;
    let socket = datagrams(server)?;
    let (mut address, address_length) = raw_address(server);
    let mut parts = [
        libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: second.len() },
    ];
    // SAFETY: all-zero is a valid `mmsghdr`: no address, no data, no control.
    let mut messages: [libc::mmsghdr; 2] = unsafe { std::mem::zeroed() };
    for (header, part) in messages.iter_mut().zip(&mut parts) {
        header.msg_hdr.msg_name = (&raw mut address).cast();
        header.msg_hdr.msg_namelen = address_length;
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the headers point to the address and the queries above, which outlive the call; the kernel only reads
    // the queries.
    let sent = unsafe {
        libc::syscall(libc::SYS_sendmmsg, socket.as_raw_fd(), messages.as_mut_ptr(), 2, 0)
    };
    match sent {
        2 => Ok(()),
        1 => Err(Refusal::Partly),
        _ => Err(Errno::last().into()),
    }
}

/// One datagram in two halves.
fn corked(message: &[u8], server: &SocketAddr) -> Outcome {
    let socket = datagrams(server)?;
    let (first, second) = message.split_at(message.len() / 2);
    sendto(&socket, first, SendFlags::NOSIGNAL | SendFlags::MORE, server)?;
    sendto(&socket, second, SendFlags::NOSIGNAL, server)?;
    Ok(())
}

fn datagrams(server: &SocketAddr) -> Result<OwnedFd, Errno> {
    patient(server, SocketType::DGRAM, ipproto::UDP)
}

fn address(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, PORT))
        .or_else(|_| text.parse())
        .map_err(|_| Refusal::Usage(format!("SERVER: not an address: {text}")))
}

/// A query for the A record of `name`, whose letters keep their case.
fn message(name: &str) -> Result<Vec<u8>, Refusal> {
    const RECURSION_DESIRED: u16 = 0x0100;
    const TYPE_A: u16 = 1;
    const CLASS_IN: u16 = 1;
    let mut message = Vec::new();
    for field in [0x4b41, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        let Some(length) = length else {
            return Err(Refusal::Usage(format!("NAME: not a domain name: {name}")));
        };
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    for field in [TYPE_A, CLASS_IN] {
        message.extend(field.to_be_bytes());
    }
    Ok(message)
}

/// The address as the kernel lays it out; the storage is large enough for both families.
fn raw_address(address: &SocketAddr) -> (libc::sockaddr_in6, libc::socklen_t) {
    // SAFETY: all-zero is a valid address of either family.
    let mut v6: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    let length = match address {
        SocketAddr::V6(address) => {
            v6.sin6_family = 10;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = address.ip().octets();
            v6.sin6_scope_id = address.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
        SocketAddr::V4(address) => {
            // An IPv4 address lies where IPv6 has its flow label.
            v6.sin6_family = 2;
            v6.sin6_port = address.port().to_be();
            v6.sin6_flowinfo = u32::from_ne_bytes(address.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
    };
    (v6, libc::socklen_t::try_from(length).unwrap_or(16))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn lays_out_a_query() {
        let message = message("Ab.c").unwrap();
        assert_eq!(&message[4..6], [0, 1], "one question");
        assert_eq!(&message[12..], b"\x02Ab\x01c\x00\x00\x01\x00\x01");
    }

    #[test]
    fn refuses_what_is_no_name() {
        assert!(message("").is_err());
        assert!(message("a..b").is_err());
        assert!(message(&"a".repeat(64)).is_err());
    }

    #[test]
    fn every_datagram_way_delivers_the_same_query() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let wanted = message("one.example").unwrap();
        for way in [connected, unconnected, in_pieces, corked] {
            assert_eq!(way(&wanted, &address), Ok(()));
            assert_eq!(received(&server), wanted);
        }
        assert_eq!(second_of_two(&wanted, &address), Ok(()));
        assert_eq!(received(&server), message("localhost").unwrap());
        assert_eq!(received(&server), wanted);
    }

    fn received(server: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 512];
        let length = server.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }
}
