//! `karmor profile`, `top`, `summary` and `sysdump` against an agent's services in this process: on a terminal, where keys are
//! typed and the screen is read, and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;
mod documents;
mod profile;
mod screen;
mod sysdump;
mod top;
