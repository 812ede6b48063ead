//! Generated from `proto/nri`.
#![allow(clippy::pedantic, unreachable_pub, unused_qualifications, reason = "generated code")]

tonic::include_proto!("nri");

/// What ttrpc wraps around them.
pub(super) mod ttrpc {
    tonic::include_proto!("ttrpc");
}
