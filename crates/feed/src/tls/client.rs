//! The client's side: whom it trusts and what it shows.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use super::{
    PROTOCOL, Provider,
    authority::{Authority, Role},
    cryptography,
    files::{CA, CLIENT, CLIENT_KEY, CertificateError, Folder},
};

const SELF_MADE: &str = "name the directory of ca.crt and ca.key with --tlsCertPath DIR, as a user who may read \
     them; or use client.crt and client.key of that directory with --tlsCertProvider external";
const EXTERNAL: &str = "name the directory of ca.crt, client.crt and client.key with --tlsCertPath DIR, as a user \
     who may read them";
const ELSEWHERE: &str = "give it certificates in PEM of one authority, or name a directory of such files with \
     --tlsCertPath DIR --tlsCertProvider external";

/// A client's certificate, and the authority whose servers it trusts.
#[derive(Clone)]
pub struct ClientIdentity {
    pub(crate) config: Arc<ClientConfig>,
}

impl ClientIdentity {
    /// From `client.crt` and `client.key` of `directory`, or self-made by `ca.crt` and `ca.key`.
    pub fn load(directory: &Path, provider: Provider) -> Result<Self, CertificateError> {
        let hint = match provider {
            Provider::SelfMade => SELF_MADE,
            Provider::External => EXTERNAL,
        };
        let folder = Folder::new(directory, hint);
        let trusted = folder.certificates(CA)?;
        let (chain, key) = match provider {
            Provider::SelfMade => {
                let now = time::OffsetDateTime::now_utc();
                let issued = Authority::load(&folder)?.issue(Role::Client, &[], now)?;
                (vec![issued.certificate], issued.key)
            }
            Provider::External => (folder.certificates(CLIENT)?, folder.private_key(CLIENT_KEY)?),
        };
        Self::of(&folder, trusted, chain, key)
    }

    /// From texts in PEM that lie in no directory; errors call them files of `origin`.
    pub fn from_pem(
        origin: &Path,
        authority: &[u8],
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Self, CertificateError> {
        let folder = Folder::new(origin, ELSEWHERE);
        let trusted = folder.certificates_in(CA, authority)?;
        let chain = folder.certificates_in(CLIENT, certificate)?;
        Self::of(&folder, trusted, chain, folder.private_key_in(CLIENT_KEY, key)?)
    }

    fn of(
        folder: &Folder,
        trusted: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate).map_err(|problem| folder.error(CA, problem))?;
        }
        let mut config = ClientConfig::builder_with_provider(cryptography())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_root_certificates(roots).with_client_auth_cert(chain, key)
            })
            .map_err(|problem| {
                folder.error(CLIENT_KEY, format!("cannot be used with {CLIENT}: {problem}"))
            })?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }
}
