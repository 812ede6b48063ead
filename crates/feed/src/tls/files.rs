//! The files of a certificate directory: reading them, replacing them, and saying which of them is wrong.

use std::{
    fmt::Display,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject as _},
};

pub(super) const CA: &str = "ca.crt";
pub(super) const CA_KEY: &str = "ca.key";
pub(super) const SERVER: &str = "server.crt";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const CLIENT: &str = "client.crt";
pub(super) const CLIENT_KEY: &str = "client.key";

/// A certificate file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct CertificateError {
    path: PathBuf,
    problem: String,
    hint: &'static str,
}

impl CertificateError {
    /// The way out.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}

/// A certificate directory, and what its user can do where a file of it is of no use.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    hint: &'static str,
}

impl Folder {
    pub(super) fn new(path: &Path, hint: &'static str) -> Self {
        Self { path: path.to_owned(), hint }
    }

    pub(super) fn error(&self, name: &str, problem: impl Display) -> CertificateError {
        CertificateError {
            path: self.path.join(name),
            problem: problem.to_string(),
            hint: self.hint,
        }
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, CertificateError> {
        fs::read(self.path.join(name)).map_err(|problem| self.error(name, problem))
    }

    /// Whether there is something of this name, readable or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// All certificates of a file, at least one.
    pub(super) fn certificates(
        &self,
        name: &str,
    ) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        self.certificates_in(name, &self.read(name)?)
    }

    /// Of a text that is called `name`.
    pub(super) fn certificates_in(
        &self,
        name: &str,
        text: &[u8],
    ) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|problem| self.error(name, format!("no PEM file: {problem}")))?;
        if found.is_empty() {
            return Err(self.error(name, "holds no certificate in PEM"));
        }
        Ok(found)
    }

    pub(super) fn private_key(
        &self,
        name: &str,
    ) -> Result<PrivateKeyDer<'static>, CertificateError> {
        self.private_key_in(name, &self.read(name)?)
    }

    pub(super) fn private_key_in(
        &self,
        name: &str,
        text: &[u8],
    ) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(text).map_err(|problem| match problem {
            PemError::NoItemsFound => self.error(name, "holds no unencrypted private key in PEM"),
            other => self.error(name, format!("no PEM file: {other}")),
        })
    }

    /// Makes the directory, for its owner alone, if it is not there.
    pub(super) fn make(&self) -> Result<(), CertificateError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|problem| self.error("", problem))
    }

    /// Replaces a key and its certificate, each as a whole.
    pub(super) fn write_pair(
        &self,
        (key_name, key): (&str, &str),
        (name, certificate): (&str, &str),
    ) -> Result<(), CertificateError> {
        self.write(key_name, key, 0o600)?;
        self.write(name, certificate, 0o644)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), CertificateError> {
        let written = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .prefix(".")
                .permissions(fs::Permissions::from_mode(mode))
                .tempfile_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            // The process's mask may have taken from the mode what others are to read.
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist(self.path.join(name))?;
            Ok(())
        };
        written().map_err(|problem| self.error(name, problem))
    }
}
