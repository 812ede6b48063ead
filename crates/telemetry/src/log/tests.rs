//! From records of what passed to logs.

use wire::{RecordKind, flag};

use super::*;
use crate::attribution::tests::{record, shell_and_cat, teller};

/// A record of something that passed.
fn seen(operation: Operation) -> Record {
    Record { kind: RecordKind::Log, result: 0, ..record(operation) }
}

fn logs_of(record: &Record) -> Vec<Log> {
    let teller = teller();
    shell_and_cat().logs(record, Subject::Container(&teller))
}

fn log_of(record: &Record) -> Log {
    logs_of(record).remove(0)
}

fn peer(operation: Operation, detail: [u32; 4], address: &[u8]) -> Record {
    let mut whole = [0; 16];
    whole[..address.len()].copy_from_slice(address);
    Record { detail, address: whole, ..seen(operation) }
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const OPEN: u32 = 2;
    pub(super) const CONNECT: u32 = 42;
    pub(super) const OPENAT: u32 = 257;
    pub(super) const IO_URING_ENTER: u32 = 426;
}

#[test]
fn an_opened_file() {
    let detail = [libc::O_CLOEXEC.cast_unsigned(), libc::AT_FDCWD.cast_unsigned(), 0, 0];
    let record = Record { path: b"/srv/seen.txt".into(), detail, ..seen(Operation::Open) };
    let log = log_of(&record);
    assert_eq!(log.kind, "ContainerLog");
    assert_eq!(log.operation, "File");
    assert_eq!(log.resource, "/srv/seen.txt");
    assert_eq!(log.source, "/usr/bin/cat /srv/bank/ledger");
    assert_eq!(log.process_name, "/usr/bin/cat");
    assert_eq!(log.parent_process_name, "/usr/bin/dash");
    assert_eq!(log.data, "syscall=SYS_OPENAT fd=-100 flags=O_RDONLY|O_CLOEXEC");
    assert_eq!(log.event_data["Flags"], "O_RDONLY|O_CLOEXEC");
    assert_eq!(log.result, "Passed");
    assert_eq!(log.cwd, "/root/");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_call_is_named_as_it_was_made() {
    let data = |syscall| {
        let record = Record { syscall: Some(syscall), ..seen(Operation::Open) };
        log_of(&record).data
    };
    assert_eq!(data(number::OPEN), "syscall=SYS_OPEN flags=O_RDONLY");
    assert_eq!(data(number::OPENAT), "syscall=SYS_OPENAT fd=0 flags=O_RDONLY");
    assert_eq!(data(number::IO_URING_ENTER), "syscall=SYS_IO_URING_ENTER flags=O_RDONLY");
    assert_eq!(data(99_999), "syscall=SYS_OPENAT fd=0 flags=O_RDONLY");
}

#[test]
fn what_could_not_be_opened_is_told_as_it_was_asked_for() {
    let here = [0, libc::AT_FDCWD.cast_unsigned(), 0, 0];
    let refused = |path: &[u8], detail| {
        let record = Record {
            path: path.into(),
            flags: flag::ASKED,
            result: -libc::EACCES,
            detail,
            ..seen(Operation::Open)
        };
        log_of(&record)
    };
    assert_eq!(refused(b"../shadow", here).resource, "/root/../shadow");
    assert_eq!(refused(b"/etc/shadow", here).resource, "/etc/shadow");
    assert_eq!(refused(b"shadow", [0, 5, 0, 0]).resource, "shadow");
    assert_eq!(refused(b"x", here).result, "Permission denied");
}

#[test]
fn a_program_that_could_not_be_executed() {
    let record = Record {
        path: b"/srv/tool".into(),
        flags: flag::ASKED,
        result: -libc::EACCES,
        exec: 1,
        ..seen(Operation::Exec)
    };
    let log = log_of(&record);
    assert_eq!(log.operation, "Process");
    assert_eq!((log.source.as_str(), log.process_name.as_str()), ("/usr/bin/dash", "/srv/tool"));
    assert_eq!((log.resource.as_str(), log.data.as_str()), ("/srv/tool", "syscall=SYS_EXECVE"));
    assert_eq!(log.result, "Permission denied");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_connection_is_told_by_call_and_by_protocol() {
    let record = Record {
        syscall: Some(number::CONNECT),
        descriptor: 5,
        ..peer(Operation::SocketConnect, [2, 1, 6, 4441], &[127, 0, 0, 1])
    };
    let [call, protocol] = logs_of(&record).try_into().unwrap();
    assert_eq!(call.data, "syscall=SYS_CONNECT fd=5");
    assert_eq!(call.resource, "sa_family=AF_INET sin_port=4441 sin_addr=127.0.0.1");
    assert_eq!(call.event_data["Sin_port"], "4441");
    assert_eq!(protocol.data, "kprobe=tcp_connect domain=AF_INET");
    assert_eq!(protocol.resource, "remoteip=127.0.0.1 port=4441 protocol=TCP");
    assert_eq!(protocol.operation, "Network");
    assert_eq!(protocol.event_data["Remoteip"], "127.0.0.1");
}

#[test]
fn a_question_to_a_name_server() {
    let record = Record {
        path: b"Updates.Vendor.Test".into(),
        ..peer(Operation::DnsQuery, [2, 28, 17, 53], &[192, 0, 2, 53])
    };
    let log = log_of(&record);
    assert_eq!(log.operation, "Network");
    assert_eq!(log.resource, "sa_family=AF_INET sin_port=53");
    let data = "kfunc=UDP_SENDSKB domain=updates.vendor.test daddr=192.0.2.53 qtype=AAAA";
    assert_eq!(log.data, data);
    assert_eq!(log.event_data["Domain"], "updates.vendor.test");
    let unusual = Record { detail: [2, 4711, 17, 53], ..record };
    assert_eq!(log_of(&unusual).event_data["Qtype"], "TYPE4711");
}

#[test]
fn results_of_connecting() {
    let result = |errno: i32| {
        let record = peer(Operation::SocketConnect, [2, 1, 6, 1], &[]);
        logs_of(&Record { result: -errno, ..record })
    };
    let on_its_way = result(libc::EINPROGRESS);
    assert_eq!(on_its_way[0].result, "Passed");
    assert_eq!(on_its_way.len(), 2);
    let refused = result(libc::ECONNREFUSED);
    assert_eq!(refused[0].result, "Connection refused");
    assert_eq!(refused.len(), 1, "there is no connection");
}

#[test]
fn sockets_of_all_kinds() {
    let resource = |record: &Record| log_of(record).resource;
    let made = Record { detail: [10, 3, 58, 0], ..seen(Operation::SocketCreate) };
    assert_eq!(resource(&made), "domain=AF_INET6 type=SOCK_RAW protocol=IPv6-ICMP");
    let sent = peer(Operation::SocketSendmsg, [2, 2, 17, 53], &[10, 0, 0, 10]);
    assert_eq!(resource(&sent), "sa_family=AF_INET sin_port=53 sin_addr=10.0.0.10");
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let bound = peer(Operation::SocketBind, [10, 1, 6, 80], &loopback);
    assert_eq!(resource(&bound), "sa_family=AF_INET6 sin_port=80 sin_addr=::1");
    let local = Record {
        path: b"/run/x.sock".into(),
        flags: flag::ASKED,
        ..peer(Operation::SocketConnect, [1, 1, 0, 0], &[])
    };
    assert_eq!(resource(&local), "sa_family=AF_UNIX sun_path=/run/x.sock");
    let r#abstract = Record { path: b"x".into(), detail: [1, 1, 0, 1], ..local };
    assert_eq!(resource(&r#abstract), "sa_family=AF_UNIX sun_path=@x");
    let accepted = peer(Operation::SocketAccept, [2, 1, 6, 5555], &[192, 0, 2, 1]);
    let [call, protocol] = logs_of(&accepted).try_into().unwrap();
    assert!(call.data.starts_with("syscall=SYS_ACCEPT"), "{}", call.data);
    assert_eq!(protocol.data, "kprobe=tcp_accept domain=AF_INET");
    assert_eq!(protocol.resource, "remoteip=192.0.2.1 port=5555 protocol=TCP");
}

#[test]
fn a_capability_and_how_often() {
    let record = Record { detail: [13, 0, 0, 0], repeats: 41, ..seen(Operation::Capable) };
    let log = log_of(&record);
    assert_eq!((log.operation.as_str(), log.resource.as_str()), ("Capabilities", "CAP_NET_RAW"));
    assert_eq!(log.data, "lsm=CAPABLE CAP_NET_RAW");
    assert_eq!(log.event_data["Repeats"], "41");
}
