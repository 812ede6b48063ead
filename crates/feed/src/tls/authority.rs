//! The certificate authority of a directory: reading it, making one where there is none, and issuing from it.

use std::{fmt::Display, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use rustls::{
    SignatureScheme,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SigningKey},
};
use time::{Duration, OffsetDateTime};
use x509_parser::parse_x509_certificate;

use super::{
    cryptography,
    files::{CA, CA_KEY, CertificateError, Folder},
};

/// Who uses the certificates has to be given each new authority by hand, so this one is made to last.
const AUTHORITY_DAYS: i64 = 3650;
/// As long as those of the existing implementation.
const ISSUED_DAYS: i64 = 365;
/// Clocks of other machines may be behind ours.
const CLOCKS_DIFFER: Duration = Duration::hours(1);

/// What RSA, ECDSA and Ed25519 keys sign with, and what `rcgen` calls it.
static SIGNATURES: [(SignatureScheme, &SignatureAlgorithm); 4] = [
    (SignatureScheme::RSA_PKCS1_SHA256, &rcgen::PKCS_RSA_SHA256),
    (SignatureScheme::ECDSA_NISTP256_SHA256, &rcgen::PKCS_ECDSA_P256_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &rcgen::PKCS_ECDSA_P384_SHA384),
    (SignatureScheme::ED25519, &rcgen::PKCS_ED25519),
];

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// A certificate that was just issued, with its key.
pub(super) struct Issued {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) certificate_pem: String,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) key_pem: String,
}

/// `ca.crt` and `ca.key`.
pub(super) struct Authority {
    folder: Folder,
    issuer: Issuer<'static, AuthorityKey>,
    ends: OffsetDateTime,
}

impl Authority {
    pub(super) fn load(folder: &Folder) -> Result<Self, CertificateError> {
        let certificate = folder.certificates(CA)?.swap_remove(0);
        let refused = |problem: &dyn Display| folder.error(CA_KEY, problem);
        let key = cryptography()
            .key_provider
            .load_private_key(folder.private_key(CA_KEY)?)
            .map_err(|problem| refused(&problem))?;
        if let Err(problem) =
            CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key)).keys_match()
        {
            return Err(refused(&format!("not the key of {CA}: {problem}")));
        }
        let (_, parsed) =
            parse_x509_certificate(&certificate).map_err(|problem| folder.error(CA, problem))?;
        if !parsed.is_ca() {
            return Err(folder.error(CA, "not the certificate of an authority: CA is not TRUE"));
        }
        let key = AuthorityKey::new(key, parsed.public_key().subject_public_key.data.to_vec())
            .ok_or_else(|| {
                refused(&"a key of this kind cannot sign; use RSA, P-256, P-384 or Ed25519")
            })?;
        let ends = parsed.validity().not_after.to_datetime();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|problem| folder.error(CA, problem))?;
        Ok(Self { folder: folder.clone(), issuer, ends })
    }

    /// Makes `ca.crt` and `ca.key`, with a key that nobody else has.
    pub(super) fn make(folder: &Folder, now: OffsetDateTime) -> Result<(), CertificateError> {
        let made = || -> Result<(String, String), rcgen::Error> {
            let key = KeyPair::generate()?;
            let mut wanted = named("KubeArmor CA");
            wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            wanted.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
            ];
            wanted.not_before = now - CLOCKS_DIFFER;
            wanted.not_after = now + Duration::days(AUTHORITY_DAYS);
            Ok((key.serialize_pem(), wanted.self_signed(&key)?.pem()))
        };
        let (key, certificate) = made().map_err(|problem| folder.error(CA, problem))?;
        folder.make()?;
        folder.write_pair((CA_KEY, &key), (CA, &certificate))
    }

    /// A certificate for `names`, host names or addresses, that ends no later than the authority's own.
    pub(super) fn issue(
        &self,
        role: Role,
        names: &[String],
        now: OffsetDateTime,
    ) -> Result<Issued, CertificateError> {
        let issued = || -> Result<Issued, rcgen::Error> {
            let key = KeyPair::generate()?;
            let (name, purpose) = match role {
                Role::Server => ("kubearmor", ExtendedKeyUsagePurpose::ServerAuth),
                Role::Client => ("kubearmor-client", ExtendedKeyUsagePurpose::ClientAuth),
            };
            let mut wanted = named(name);
            wanted.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
            wanted.extended_key_usages = vec![purpose];
            wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            wanted.use_authority_key_identifier_extension = true;
            wanted.not_before = now - CLOCKS_DIFFER;
            wanted.not_after = self.ends.min(now + Duration::days(ISSUED_DAYS));
            let certificate = wanted.signed_by(&key, &self.issuer)?;
            Ok(Issued {
                certificate_pem: certificate.pem(),
                certificate: certificate.der().clone(),
                key_pem: key.serialize_pem(),
                key: key.into(),
            })
        };
        issued().map_err(|problem| {
            self.folder.error(CA_KEY, format!("nothing can be issued: {problem}"))
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name.push(DnType::OrganizationName, "kubearmor");
    wanted.distinguished_name.push(DnType::CommonName, name);
    wanted
}

/// The authority's key in whatever form its file has: `rcgen` alone does not read the older ones.
struct AuthorityKey {
    key: Arc<dyn SigningKey>,
    public: Vec<u8>,
    scheme: SignatureScheme,
    algorithm: &'static SignatureAlgorithm,
}

impl AuthorityKey {
    /// `None` if the key can sign nothing that others understand.
    fn new(key: Arc<dyn SigningKey>, public: Vec<u8>) -> Option<Self> {
        let known = SIGNATURES.map(|(scheme, _)| scheme);
        let scheme = key.choose_scheme(&known)?.scheme();
        let (_, algorithm) = SIGNATURES.iter().find(|(known, _)| *known == scheme)?;
        Some(Self { key, public, scheme, algorithm })
    }
}

impl PublicKeyData for AuthorityKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl rcgen::SigningKey for AuthorityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key
            .choose_scheme(&[self.scheme])
            .and_then(|signer| signer.sign(message).ok())
            .ok_or(rcgen::Error::RemoteKeyError)
    }
}
