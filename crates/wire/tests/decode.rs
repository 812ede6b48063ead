//! Records made by hand, byte by byte, and what decoding makes of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::{collection::vec, prelude::*};
use wire::{DecodeError, HEAD_SIZE, Operation, Record, RecordKind, VERSION, flag};

/// Offsets of the head's first fields; `crates/sensor` compares all of them with the kernel's.
const KIND: usize = 2;
const OPERATION: usize = 4;
const FLAGS: usize = 6;
const PATH_SIZE: usize = 8;
const ARGS_SIZE: usize = 12;
const DETAIL: usize = 84;
const CWD_SIZE: usize = 148;
const SYSCALL: usize = 152;

const ALERT: u16 = 1;
const EXEC: u16 = 1;
const OPEN: u16 = 2;

/// A record without path and arguments.
fn head(operation: u16) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_SIZE];
    put(&mut bytes, 0, &VERSION.to_ne_bytes());
    put(&mut bytes, KIND, &ALERT.to_ne_bytes());
    put(&mut bytes, OPERATION, &operation.to_ne_bytes());
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn size(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap().to_ne_bytes()
}

/// A whole record.
fn message(operation: u16, flags: u16, names: &[u8], args: &[u8]) -> Vec<u8> {
    let mut bytes = head(operation);
    put(&mut bytes, FLAGS, &flags.to_ne_bytes());
    put(&mut bytes, PATH_SIZE, &size(names));
    put(&mut bytes, ARGS_SIZE, &size(args));
    bytes.extend_from_slice(names);
    bytes.extend_from_slice(args);
    bytes
}

fn path(flags: u16, names: &[u8]) -> Vec<u8> {
    Record::decode(&message(OPEN, flags, names, b"")).unwrap().path
}

#[test]
fn every_field_is_read_from_its_place() {
    let mut bytes = Vec::new();
    bytes.extend(VERSION.to_ne_bytes());
    for number in [2, 33, flag::PATH_CUT | flag::UNRESOLVED] {
        bytes.extend(number.to_ne_bytes());
    }
    let names = b"ledger\0bank\0srv\0";
    bytes.extend(size(names));
    bytes.extend(size(b"cat\0-n"));
    for number in [0x0102_0304_0506_0708, u64::MAX, 3] {
        bytes.extend(u64::to_ne_bytes(number));
    }
    for number in [4, 5, 6, wire::RULE_POSTURE] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    bytes.extend((-13_i32).to_ne_bytes());
    for number in [8, 9, 10, 11, 12, 13, 14, 15, 16, 17] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    bytes.extend(1..=16);
    bytes.extend(b"cat\0garbage-----");
    bytes.extend(b"pts0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes.extend(size(b"bank\0"));
    for number in [257, u32::MAX, 19, 0] {
        bytes.extend(u32::to_ne_bytes(number));
    }
    assert_eq!(bytes.len(), HEAD_SIZE);
    bytes.extend(names);
    bytes.extend(b"bank\0");
    bytes.extend(b"cat\0-n");

    let expected = Record {
        kind: RecordKind::Exec,
        operation: Operation::SocketConnect,
        flags: flag::PATH_CUT | flag::UNRESOLVED,
        time: 0x0102_0304_0506_0708,
        exec: u64::MAX,
        parent_exec: 3,
        slot: 4,
        generation: 5,
        image: 6,
        rule: wire::RULE_POSTURE,
        result: -13,
        host_pid: 8,
        host_ppid: 9,
        pid: 10,
        ppid: 11,
        uid: 12,
        owner: 13,
        detail: [14, 15, 16, 17],
        address: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        comm: "cat".into(),
        tty: "pts0".into(),
        syscall: Some(257),
        descriptor: -1,
        repeats: 19,
        path: b"/srv/bank/ledger".to_vec(),
        cwd: b"/bank".to_vec(),
        args: vec![b"cat".to_vec(), b"-n".to_vec()],
    };
    assert_eq!(Record::decode(&bytes), Ok(expected));
}

#[test]
fn what_the_ring_added_behind_a_record_is_left_alone() {
    let mut bytes = message(OPEN, 0, b"a\0", b"");
    bytes.extend_from_slice(b"padding");
    assert_eq!(Record::decode(&bytes).unwrap().path, b"/a");
}

#[test]
fn a_cut_record_says_how_much_is_missing() {
    let short = |have, need| Err(DecodeError::Short { have, need });
    let whole = message(OPEN, 0, b"a\0", b"x\0");
    assert_eq!(Record::decode(&[]), short(0, HEAD_SIZE));
    assert_eq!(Record::decode(&whole[..HEAD_SIZE - 1]), short(HEAD_SIZE - 1, HEAD_SIZE));
    assert_eq!(Record::decode(&whole[..whole.len() - 1]), short(whole.len() - 1, whole.len()));
}

#[test]
fn lengths_that_do_not_fit_in_memory_are_a_short_record() {
    let mut bytes = head(OPEN);
    put(&mut bytes, PATH_SIZE, &[0xff; 8]);
    assert!(matches!(Record::decode(&bytes), Err(DecodeError::Short { .. })));
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let mut bytes = vec![0xff; HEAD_SIZE];
    put(&mut bytes, 0, &(VERSION + 1).to_ne_bytes());
    assert_eq!(Record::decode(&bytes), Err(DecodeError::Version(VERSION + 1)));
}

#[test]
fn unknown_numbers_are_named() {
    let mut bytes = head(OPEN);
    put(&mut bytes, KIND, &4_u16.to_ne_bytes());
    assert_eq!(Record::decode(&bytes), Err(DecodeError::Kind(4)));
    assert_eq!(Record::decode(&head(0)), Err(DecodeError::Operation(0)));
    assert_eq!(Record::decode(&head(60)), Err(DecodeError::Operation(60)));
}

#[test]
fn names_come_leaf_first_and_become_a_path() {
    assert_eq!(path(0, b"passwd\0etc\0"), b"/etc/passwd");
    assert_eq!(path(0, b"etc\0"), b"/etc");
    assert_eq!(path(0, b"\0"), b"/", "the root directory");
    assert_eq!(path(0, b""), b"", "an object without a path");
    assert_eq!(path(0, b"\xff\xfe\0srv\0"), b"/srv/\xff\xfe", "names are bytes");
}

#[test]
fn an_object_without_a_name_keeps_what_it_calls_itself() {
    assert_eq!(path(flag::NO_NAME, b"memfd:x\0"), b"memfd:x");
    assert_eq!(path(flag::PROCFS, b"environ\x007\0"), b"/proc/7/environ");
    assert_eq!(path(flag::NO_NAME, b""), b"");
}

#[test]
fn a_text_that_was_asked_for_is_left_as_it_is() {
    assert_eq!(path(flag::ASKED, b"../secret\0"), b"../secret");
}

#[test]
fn the_working_directory_lies_between_path_and_arguments() {
    let mut bytes = message(OPEN, 0, b"a\0", b"ls\0");
    put(&mut bytes, CWD_SIZE, &1_u32.to_ne_bytes());
    bytes.insert(HEAD_SIZE + 2, 0);
    let record = Record::decode(&bytes).unwrap();
    assert_eq!((&record.path[..], &record.cwd[..]), (&b"/a"[..], &b"/"[..]));
    assert_eq!(record.args, [b"ls"]);
}

#[test]
fn a_call_by_another_kind_of_number_has_none() {
    let mut bytes = head(OPEN);
    assert_eq!(Record::decode(&bytes).unwrap().syscall, Some(0));
    put(&mut bytes, SYSCALL, &[0xff; 4]);
    assert_eq!(Record::decode(&bytes).unwrap().syscall, None);
}

#[test]
fn arguments_are_split_at_their_ends() {
    let args = |args| Record::decode(&message(OPEN, flag::ARGS_CUT, b"", args)).unwrap().args;
    assert_eq!(args(b""), Vec::<Vec<u8>>::new());
    assert_eq!(args(b"ls\0\0-l\0"), [&b"ls"[..], b"", b"-l"]);
    assert_eq!(args(b"ls\0--col"), [&b"ls"[..], b"--col"], "the last one was cut");
}

#[test]
fn what_follows_a_program_s_arguments_is_not_handed_on() {
    let mut bytes = message(EXEC, 0, b"", b"ls\0-l\0SECRET=1\0");
    put(&mut bytes, DETAIL, &2_u32.to_ne_bytes());
    assert_eq!(Record::decode(&bytes).unwrap().args, [&b"ls"[..], b"-l"]);
}

/// Bytes whose head is valid, so that the lengths and what follows are reached.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let sizes = [0..80_u32, 0..80_u32, 0..80_u32];
    (1..=3_u16, 0..70_u16, any::<u16>(), sizes, vec(any::<u8>(), 0..240)).prop_map(
        |(kind, operation, flags, sizes, rest)| {
            let mut bytes = head(operation);
            put(&mut bytes, KIND, &kind.to_ne_bytes());
            put(&mut bytes, FLAGS, &flags.to_ne_bytes());
            for (at, size) in [PATH_SIZE, ARGS_SIZE, CWD_SIZE].into_iter().zip(sizes) {
                put(&mut bytes, at, &size.to_ne_bytes());
            }
            bytes.extend(rest);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn no_lengths_make_decoding_panic(bytes in plausible()) {
        if let Ok(record) = Record::decode(&bytes) {
            let text = flag::NO_NAME | flag::ASKED;
            let named = record.flags & text == 0
                && record.operation != Operation::DnsQuery
                && !record.path.is_empty();
            prop_assert!(!named || record.path.starts_with(b"/"));
        }
    }
}

#[test]
fn a_query_has_the_name_that_it_asks_for() {
    const DNS_QUERY: u16 = 38;
    let name = |bytes: &[u8]| Record::decode(&message(DNS_QUERY, 0, bytes, b"")).unwrap().path;
    assert_eq!(name(b"\x03WwW\x07tracker\x04test\0more"), b"WwW.tracker.test");
    assert_eq!(name(b"\0"), b"");
    assert_eq!(name(b""), b"");
    assert_eq!(name(b"\x03www\x07track"), b"www.track", "cut");
}
