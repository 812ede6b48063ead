//! The numbers of `bpf/include/records.h` and of this crate are the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use wire::{DecodeError, HEAD_SIZE, Operation, Record, RecordKind, VERSION, Visibility, flag};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bpf/include/records.h");

/// `#define NAME NUMBER` lines.
fn defined() -> BTreeMap<String, u16> {
    let header = std::fs::read_to_string(HEADER).unwrap();
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    header.lines().filter_map(define).collect()
}

fn decode(kind: u16, operation: u16) -> Result<Record, DecodeError> {
    let mut bytes = vec![0; HEAD_SIZE];
    for (at, number) in [(0, VERSION), (2, kind), (4, operation)] {
        bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
    }
    Record::decode(&bytes)
}

/// `OP_SOCKET_CREATE` for `SocketCreate`.
fn header_name(operation: Operation) -> String {
    let mut name = "OP".to_owned();
    for letter in format!("{operation:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[test]
fn versions_kinds_and_flags_agree() {
    let defined = defined();
    assert_eq!(defined["RECORD_VERSION"], VERSION);
    assert_eq!(defined["RECORD_PATH_CUT"], flag::PATH_CUT);
    assert_eq!(defined["RECORD_ARGS_CUT"], flag::ARGS_CUT);
    assert_eq!(defined["RECORD_NO_NAME"], flag::NO_NAME);
    assert_eq!(defined["RECORD_UNRESOLVED"], flag::UNRESOLVED);
    assert_eq!(defined["RECORD_PROCFS"], flag::PROCFS);
    assert_eq!(defined["RECORD_VISIBLE"], flag::VISIBLE);
    assert_eq!(defined["RECORD_ASKED"], flag::ASKED);
    assert_eq!(defined["RECORD_CWD_CUT"], flag::CWD_CUT);
    let kind = |name: &str| decode(defined[name], defined["OP_OPEN"]).unwrap().kind;
    assert_eq!(kind("RECORD_ALERT"), RecordKind::Alert);
    assert_eq!(kind("RECORD_EXEC"), RecordKind::Exec);
    assert_eq!(kind("RECORD_LOG"), RecordKind::Log);
}

#[test]
fn classes_have_the_kernel_s_bits() {
    let defined = defined();
    let bits = |name: &str| u8::try_from(defined[name]).unwrap();
    assert_eq!(bits("VISIBLE_PROCESS"), Visibility::PROCESS.bits());
    assert_eq!(bits("VISIBLE_FILE"), Visibility::FILE.bits());
    assert_eq!(bits("VISIBLE_NETWORK"), Visibility::NETWORK.bits());
    assert_eq!(bits("VISIBLE_CAPABILITIES"), Visibility::CAPABILITIES.bits());
}

#[test]
fn every_operation_has_one_number() {
    let defined = defined();
    let mut known = 0;
    for number in 0..=u16::MAX {
        let Ok(record) = decode(1, number) else { continue };
        known += 1;
        assert_eq!(defined.get(&header_name(record.operation)), Some(&number));
    }
    assert_eq!(known, defined.keys().filter(|name| name.starts_with("OP_")).count());
}
