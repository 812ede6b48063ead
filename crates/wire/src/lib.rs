//! The kernel/user ABI: records of the ring buffers, decoded from bytes that are not trusted.
//!
//! `bpf/include/records.h` is the other half; a test compares both.
#![forbid(unsafe_code)]

mod record;
mod visibility;

pub use record::*;
pub use visibility::{UnknownClass, Visibility};
