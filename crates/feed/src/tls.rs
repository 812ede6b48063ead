//! TLS with mutual authentication: the certificate files of a directory, an authority of the agent's own, and what
//! server and client make of them.
//!
//! The names of the files are those of the existing implementation: `ca.crt` and `ca.key`, `server.crt` and
//! `server.key`, `client.crt` and `client.key`.

mod authority;
mod client;
mod files;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use self::{
    client::ClientIdentity,
    files::CertificateError,
    server::{Certificates, Provider, TlsOptions},
};

/// What HTTP/2 is called while a connection is agreed on; Go's clients insist on it.
const PROTOCOL: &[u8] = b"h2";

/// Named at each use, since a default of the whole process could be set by any crate.
fn cryptography() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
