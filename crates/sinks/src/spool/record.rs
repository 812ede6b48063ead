//! One record of a spool's file: length and checksum, then stream, id and line.

use std::io::{self, Read};

use crate::{config::Stream, event::Event};

/// Length and CRC-32 of what follows, both little endian.
const PREFIX: u64 = 8;
/// Stream and id.
const FIXED: usize = 1 + 16;
/// No line comes near; a larger length is rubbish that would be read into memory.
const LONGEST: usize = 16 << 20;

/// Bytes that the event takes.
pub(super) fn length(event: &Event) -> u64 {
    PREFIX + (FIXED + event.json.len()) as u64
}

pub(super) fn write(event: &Event, out: &mut Vec<u8>) {
    let start = out.len() + 8;
    out.extend([0; 8]);
    out.push(event.stream as u8);
    out.extend(event.id.to_le_bytes());
    out.extend(event.json.as_bytes());
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    let checksum = crc32fast::hash(&out[start..]);
    out[start - 8..start - 4].copy_from_slice(&length.to_le_bytes());
    out[start - 4..start].copy_from_slice(&checksum.to_le_bytes());
}

/// The next record and its length on disk; `None` where there is no whole and sound one.
pub(super) fn read(reader: &mut impl Read) -> io::Result<Option<(Event, u64)>> {
    let mut prefix = [0; 8];
    if !fill(reader, &mut prefix)? {
        return Ok(None);
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let (length, checksum) = (number(&prefix[..4]) as usize, number(&prefix[4..]));
    if !(FIXED..=LONGEST).contains(&length) {
        return Ok(None);
    }
    let mut body = vec![0; length];
    if !fill(reader, &mut body)? || crc32fast::hash(&body) != checksum {
        return Ok(None);
    }
    let stream = match body[0] {
        0 => Stream::Alerts,
        1 => Stream::Logs,
        2 => Stream::Messages,
        _ => return Ok(None),
    };
    let id = body[1..FIXED].iter().rev().fold(0, |id, byte| id << 8 | u128::from(*byte));
    let Ok(json) = std::str::from_utf8(&body[FIXED..]) else { return Ok(None) };
    Ok(Some((Event { stream, id, json: json.into() }, PREFIX + length as u64)))
}

/// False at the end, also in the middle of what was wanted.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
