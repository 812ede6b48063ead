//! Generated from `proto/cri`.
#![allow(
    clippy::enum_variant_names,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("runtime.v1");
