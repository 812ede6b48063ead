//! What the agent implements for its clients: [`PolicyHandler`] and [`ProbeData`].

use policy::Kind;

pub use crate::proto::policy::{PolicyStatus, ProbeResponse};

/// What became of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyAnswer {
    pub status: PolicyStatus,
    /// Diagnostics of an invalid policy; warnings and fields without enforcement of an applied one.
    pub message: String,
}

/// The one who owns the policies.
#[tonic::async_trait]
pub trait PolicyHandler: Send + Sync + 'static {
    /// Answers once the kernel enforces what `bytes` says: a watch event, or a policy's text. `kind` counts where
    /// the bytes name none.
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer;
}

/// The one who knows what is protected, and how.
#[tonic::async_trait]
pub trait ProbeData: Send + Sync + 'static {
    async fn probe(&self) -> ProbeResponse;
}
