//! The controller against an API server of these tests, and against the corpus.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod certificates;
mod corpus;
mod events;
mod lease;
mod rights;
#[path = "../../../policy/tests/shared/mod.rs"]
mod shared;
mod status;
mod webhook;
