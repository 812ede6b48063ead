//! Socket classes: family, type and protocol folded into one small number, as `bpf/include/match.h` folds them.

use ruleset::Socket;

use crate::layout::SOCKET_CLASSES;

/// Groups of families.
const INET: u32 = 0;
const PACKET: u32 = 1;
/// Of which only raw sockets are judged.
const OTHER: u32 = 2;

const TYPES: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 10];
const OTHER_TYPE: u16 = 255;

/// Of a packet socket, or of no protocol that rules name.
const OTHER_PROTOCOL: u16 = 255;
const PROTOCOLS: [u16; 6] = [OTHER_PROTOCOL, 6, 17, 1, 58, 132];

/// `None` for families that are never judged.
pub fn socket_class(socket: Socket) -> Option<u32> {
    if !socket.is_judged() {
        return None;
    }
    let kind = TYPES.iter().position(|&kind| kind == socket.kind).unwrap_or(0);
    let group: u32 = match socket.family {
        2 | 10 => INET,
        17 => PACKET,
        _ => OTHER,
    };
    let protocol = match (socket.protocol, socket.kind) {
        _ if group != INET => 0,
        (0, 1) | (6 | 262, _) => 1,
        (0, 2) | (17 | 136, _) => 2,
        (1, _) => 3,
        (58, _) => 4,
        (0, 5) | (132, _) => 5,
        _ => 0,
    };
    let kind = u32::try_from(kind).unwrap_or(0);
    Some(group << 6 | kind << 3 | protocol)
}

/// A socket of the class. Rules tell no two sockets of one class apart. Not all numbers are those of a class.
pub(crate) fn representative(class: usize) -> Socket {
    let kind = match TYPES[class >> 3 & 7] {
        0 => OTHER_TYPE,
        kind => kind,
    };
    let protocol = PROTOCOLS.get(class & 7).copied().unwrap_or(OTHER_PROTOCOL);
    let family = match class >> 6 {
        0 => 2,
        1 => 17,
        _ => 15,
    };
    Socket { family, kind, protocol }
}

/// A socket of each class, those that programs really use first.
pub fn socket_witnesses() -> impl Iterator<Item = Socket> {
    let mut sockets: Vec<Socket> =
        (0..SOCKET_CLASSES).map(representative).filter(|socket| socket.is_judged()).collect();
    sockets.sort_by_key(|socket| match (socket.kind, socket.protocol) {
        (1, 6) | (2, 17) => 0,
        (1, 132) | (2, 1 | 58) | (3, _) => 1,
        (OTHER_TYPE, _) => 3,
        _ => 2,
    });
    sockets.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_do_not_tell_sockets_of_one_class_apart() {
        use policy::Protocol::{
            All, Dccp, Dgram, Icmp, Icmpv6, Packet, Raw, Rdm, Sctp, Seqpacket, Stream, Tcp, Udp,
        };
        let protocols =
            [Tcp, Udp, Icmp, Icmpv6, Sctp, Raw, Stream, Dgram, Rdm, Seqpacket, Dccp, Packet, All];
        for family in [1, 2, 10, 15, 16, 17, 29, 40] {
            for kind in 0..12 {
                for ip in 0..300 {
                    let socket = Socket { family, kind, protocol: ip };
                    let Some(class) = socket_class(socket) else {
                        assert!(!socket.is_judged());
                        continue;
                    };
                    let stand_in = representative(class as usize);
                    for protocol in protocols {
                        assert_eq!(socket.is_of(protocol), stand_in.is_of(protocol), "{socket:?}");
                    }
                }
            }
        }
    }
}
