//! The certificate that is shown to whoever connects next.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use time::OffsetDateTime;

/// A certificate that can be exchanged while it is in use.
#[derive(Debug, Default)]
pub struct Shown {
    certificate: ArcSwapOption<CertifiedKey>,
    /// Seconds since 1970.
    ends: AtomicI64,
}

impl Shown {
    /// What has been agreed on with others before stays as it is.
    pub fn show(&self, certificate: Arc<CertifiedKey>, ends: OffsetDateTime) {
        self.ends.store(ends.unix_timestamp(), Ordering::Relaxed);
        self.certificate.store(Some(certificate));
    }

    pub fn is_there(&self) -> bool {
        self.certificate.load().is_some()
    }

    /// When the certificate ends, in seconds since 1970; `None` while there is none.
    pub fn ends(&self) -> Option<u64> {
        self.is_there().then(|| self.ends.load(Ordering::Relaxed).try_into().unwrap_or_default())
    }

    pub(super) fn config(self: Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate.load_full()
    }
}
