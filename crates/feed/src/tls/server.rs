//! The server's side: the configuration that new connections get, made anew when files change or certificates end.
//!
//! Connections that are there keep what they began with.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use time::OffsetDateTime;
use tracing::{info, warn};
use x509_parser::parse_x509_certificate;

use super::{
    PROTOCOL,
    authority::{Authority, Role},
    cryptography,
    files::{CA, CA_KEY, CLIENT, CLIENT_KEY, CertificateError, Folder, SERVER, SERVER_KEY},
};

/// Before its end a certificate of our own is replaced, and others are warned of.
const BEFORE_THE_END: Duration = Duration::from_hours(30 * 24);

const SELF_MADE: &str = "put both files of the authority there, or remove both and new ones are made; or name a \
     directory that the agent may write with `tlsCertPath`, or bring certificates with `tlsCertProvider: external`";
const EXTERNAL: &str = "put a PEM file in its place, which is noticed without a restart; or name another directory \
     with `tlsCertPath`, or let the agent issue its own with `tlsCertProvider: self`";

/// Where the server's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Issued here by the authority of the directory, which is made if there is none.
    SelfMade,
    /// `server.crt` and `server.key` of the directory.
    External,
}

/// What a server's certificates are made of.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    pub directory: PathBuf,
    pub provider: Provider,
    /// Host names and addresses by which clients call this machine.
    pub names: Vec<String>,
}

/// The certificates that the server shows and asks for.
pub struct Certificates {
    options: TlsOptions,
    folder: Folder,
    current: ArcSwap<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The files that it was made of, to see a change.
    read: Vec<Vec<u8>>,
    /// When it is made anew though no file has changed.
    renewal: Option<SystemTime>,
    /// Whose end is to be told in time, by file.
    ends: Vec<(&'static str, OffsetDateTime)>,
}

impl Certificates {
    /// Reads the directory; with [`Provider::SelfMade`] makes there what is missing.
    pub fn open(options: TlsOptions) -> Result<Self, CertificateError> {
        let hint = match options.provider {
            Provider::SelfMade => SELF_MADE,
            Provider::External => EXTERNAL,
        };
        let folder = Folder::new(&options.directory, hint);
        let current = load(&folder, &options, SystemTime::now())?;
        Ok(Self { options, folder, current: ArcSwap::from_pointee(current) })
    }

    /// Looks at the files again; true if new connections get something new from now on. On an error they get what
    /// they got before.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        self.refresh_at(SystemTime::now())
    }

    /// [`Self::refresh`], as if it were called at `now`.
    pub(super) fn refresh_at(&self, now: SystemTime) -> Result<bool, CertificateError> {
        let current = self.current.load();
        let read = read_all(&self.folder, self.options.provider)?;
        let due = current.renewal.is_some_and(|renewal| renewal <= now);
        if read == current.read && !due {
            return Ok(false);
        }
        self.current.store(Arc::new(load(&self.folder, &self.options, now)?));
        Ok(true)
    }

    /// Certificates that only people can replace and that end soon, each with what to do.
    pub fn warnings(&self) -> Vec<String> {
        let soon = OffsetDateTime::from(SystemTime::now() + BEFORE_THE_END);
        let current = self.current.load();
        let ending = current.ends.iter().filter(|(_, end)| *end < soon);
        ending
            .map(|(file, end)| {
                let path = self.options.directory.join(file);
                format!("{} ends on {}; replace it before", path.display(), end.date())
            })
            .collect()
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }
}

/// The contents of the files that decide.
fn read_all(folder: &Folder, provider: Provider) -> Result<Vec<Vec<u8>>, CertificateError> {
    let names: &[&str] = match provider {
        Provider::SelfMade => &[CA, CA_KEY],
        Provider::External => &[CA, SERVER, SERVER_KEY],
    };
    names.iter().map(|name| folder.read(name)).collect()
}

fn load(
    folder: &Folder,
    options: &TlsOptions,
    now: SystemTime,
) -> Result<Current, CertificateError> {
    let own = options.provider == Provider::SelfMade;
    if own && !folder.has(CA) && !folder.has(CA_KEY) {
        Authority::make(folder, now.into())?;
        info!("made a certificate authority in {}", options.directory.display());
    }
    // Before they are used: what is written in between is a change.
    let read = read_all(folder, options.provider)?;
    let trusted = folder.certificates(CA)?;
    let verifier = verifier(folder, &trusted)?;
    let mut ends = vec![(CA, end(folder, CA, &trusted[0])?)];
    let (chain, key, renewal) = if own {
        let authority = Authority::load(folder)?;
        let client = keep_client(folder, &authority, verifier.as_ref(), now)
            .and_then(|certificate| end(folder, CLIENT, &certificate).ok());
        let issued = authority.issue(Role::Server, &options.names, now.into())?;
        let server = end(folder, CA, &issued.certificate)?;
        let first = client.map_or(server, |client| client.min(server));
        (vec![issued.certificate], issued.key, Some(renewal(first, now)))
    } else {
        let chain = folder.certificates(SERVER)?;
        ends.push((SERVER, end(folder, SERVER, &chain[0])?));
        (chain, folder.private_key(SERVER_KEY)?, None)
    };
    let config = config(folder, verifier, chain, key)?;
    Ok(Current { config, read, renewal, ends })
}

fn config(
    folder: &Folder,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(cryptography())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)
        })
        .map_err(|problem| {
            folder.error(SERVER_KEY, format!("cannot be used with {SERVER}: {problem}"))
        })?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

fn verifier(
    folder: &Folder,
    trusted: &[CertificateDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).map_err(|problem| folder.error(CA, problem))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), cryptography())
        .build()
        .map_err(|problem| folder.error(CA, problem))?;
    Ok(verifier)
}

fn end(
    folder: &Folder,
    name: &str,
    certificate: &CertificateDer<'_>,
) -> Result<OffsetDateTime, CertificateError> {
    let (_, parsed) =
        parse_x509_certificate(certificate).map_err(|problem| folder.error(name, problem))?;
    Ok(parsed.validity().not_after.to_datetime())
}

/// When a certificate of our own is replaced: in good time, or halfway where its authority ends sooner.
fn renewal(end: OffsetDateTime, now: SystemTime) -> SystemTime {
    let end = SystemTime::from(end);
    let left = end.duration_since(now).unwrap_or_default();
    end - BEFORE_THE_END.min(left / 2)
}

/// Keeps `client.crt` and `client.key` good for clients that cannot issue their own, and returns the
/// certificate. The server works without them.
fn keep_client(
    folder: &Folder,
    authority: &Authority,
    verifier: &dyn ClientCertVerifier,
    now: SystemTime,
) -> Option<CertificateDer<'static>> {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let soon = UnixTime::since_unix_epoch(since_1970 + BEFORE_THE_END);
    let there = folder.certificates(CLIENT).ok().filter(|chain| {
        folder.has(CLIENT_KEY) && verifier.verify_client_cert(&chain[0], &chain[1..], soon).is_ok()
    });
    if let Some(mut chain) = there {
        return Some(chain.swap_remove(0));
    }
    let replaced = authority.issue(Role::Client, &[], now.into()).and_then(|issued| {
        folder.write_pair((CLIENT_KEY, &issued.key_pem), (CLIENT, &issued.certificate_pem))?;
        Ok(issued.certificate)
    });
    replaced
        .inspect_err(|problem| warn!("{problem}; clients find no certificate of their own there"))
        .ok()
}
