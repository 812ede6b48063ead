//! Generated from `proto/containerd`.
#![allow(clippy::pedantic, unreachable_pub, unused_qualifications, reason = "generated code")]

pub(super) mod containers {
    tonic::include_proto!("containerd.services.containers.v1");
}
pub(super) mod tasks {
    tonic::include_proto!("containerd.services.tasks.v1");
}
pub(super) mod namespaces {
    tonic::include_proto!("containerd.services.namespaces.v1");
}
pub(super) mod version {
    tonic::include_proto!("containerd.services.version.v1");
}
pub(super) mod events {
    tonic::include_proto!("containerd.services.events.v1");
}
pub(super) mod task_events {
    tonic::include_proto!("containerd.events");
}
