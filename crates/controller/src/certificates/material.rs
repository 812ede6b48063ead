//! An authority and a certificate that it issued, as a Secret holds them; when either has to be made anew.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// The keys of the Secret: those of the type `kubernetes.io/tls`, and the authority's.
pub(super) const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const CERTIFICATE_KEY: &str = "tls.key";

/// Clients are told of a new authority by ourselves, so it need not last for ever.
const AUTHORITY_LIFE: Duration = Duration::days(1825);
const CERTIFICATE_LIFE: Duration = Duration::days(90);
/// Clocks of other machines may be behind ours.
const CLOCKS_DIFFER: Duration = Duration::hours(1);
/// The newest first: one that issues, and one whose certificates another replica may still show.
const AUTHORITIES: usize = 2;

/// Why what a Secret holds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{name}` cannot be used: {problem}")]
    Unusable { name: &'static str, problem: String },
    #[error("cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

fn unusable(name: &'static str, problem: impl ToString) -> MaterialError {
    MaterialError::Unusable { name, problem: problem.to_string() }
}

/// What is to be done about certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, until then.
    Good(OffsetDateTime),
    /// The certificate has had two thirds of its life, or is for other names.
    RenewCertificate,
    /// The same of its authority.
    RenewAuthority,
}

/// A certificate, its key, its authority and that authority's key.
#[derive(Clone)]
pub struct Material {
    /// PEM, the one that issues first.
    authorities: Vec<String>,
    authority_key: String,
    certificate: String,
    certificate_key: String,
    authority_life: Life,
    life: Life,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    begins: OffsetDateTime,
    ends: OffsetDateTime,
}

impl Life {
    fn new(now: OffsetDateTime, length: Duration) -> Self {
        // Certificates know no fractions of a second.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self { begins: now - CLOCKS_DIFFER, ends: now + length }
    }

    /// When it is replaced: with a third of its time left for whoever has to notice.
    fn renewal(self) -> OffsetDateTime {
        self.begins + (self.ends - self.begins) * 2 / 3
    }
}

impl Material {
    /// A new authority and a certificate of it. Clients are still to trust the authorities of `previous` as well.
    pub fn make(
        names: &[String],
        previous: Option<&Self>,
        now: OffsetDateTime,
    ) -> Result<Self, MaterialError> {
        let key = KeyPair::generate()?;
        let life = Life::new(now, AUTHORITY_LIFE);
        // Two authorities of one name are told apart by their keys.
        let mut wanted = named("KubeArmor controller CA", life);
        wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let mut authorities = vec![wanted.self_signed(&key)?.pem()];
        let earlier = previous.into_iter().flat_map(|previous| &previous.authorities);
        authorities.extend(earlier.filter(|pem| ends_after(pem, now)).cloned());
        authorities.truncate(AUTHORITIES);
        Self::issue(authorities, key.serialize_pem(), life, names, now)
    }

    /// A new certificate of the same authority.
    pub fn renewed(&self, names: &[String], now: OffsetDateTime) -> Result<Self, MaterialError> {
        let authorities = self.authorities.clone();
        Self::issue(authorities, self.authority_key.clone(), self.authority_life, names, now)
    }

    fn issue(
        authorities: Vec<String>,
        authority_key: String,
        authority_life: Life,
        names: &[String],
        now: OffsetDateTime,
    ) -> Result<Self, MaterialError> {
        let issuing = authorities.first().map(String::as_str).unwrap_or_default();
        let issuer = Issuer::from_ca_cert_pem(issuing, KeyPair::from_pem(&authority_key)?)?;
        let mut life = Life::new(now, CERTIFICATE_LIFE);
        life.ends = life.ends.min(authority_life.ends);
        let key = KeyPair::generate()?;
        let mut wanted = named(names.first().map_or("kubearmor-controller", String::as_str), life);
        wanted.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wanted.use_authority_key_identifier_extension = true;
        let certificate = wanted.signed_by(&key, &issuer)?.pem();
        let names = names.to_vec();
        let certificate_key = key.serialize_pem();
        Ok(Self {
            authorities,
            authority_key,
            certificate,
            certificate_key,
            authority_life,
            life,
            names,
        })
    }

    /// Reads a Secret's data, and checks that its parts belong together.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, MaterialError> {
        let text = |name| -> Result<String, MaterialError> {
            let bytes = data.get(name).ok_or(MaterialError::Missing(name))?;
            String::from_utf8(bytes.0.clone()).map_err(|problem| unusable(name, problem))
        };
        let (authorities, authority_key) = (text(AUTHORITY)?, text(AUTHORITY_KEY)?);
        let (certificate, certificate_key) = (text(CERTIFICATE)?, text(CERTIFICATE_KEY)?);
        let (authorities, lives) = authorities_of(&authorities)?;
        certified(&authorities[0], &authority_key)
            .map_err(|problem| unusable(AUTHORITY_KEY, problem))?;
        certified(&certificate, &certificate_key)
            .map_err(|problem| unusable(CERTIFICATE_KEY, problem))?;
        let (life, names) = read_certificate(&certificate, &authorities[0])
            .map_err(|problem| unusable(CERTIFICATE, problem))?;
        Ok(Self {
            authorities,
            authority_key,
            certificate,
            certificate_key,
            authority_life: lives[0],
            life,
            names,
        })
    }

    /// A Secret's data.
    pub fn write(&self) -> BTreeMap<String, ByteString> {
        [
            (AUTHORITY, self.bundle()),
            (AUTHORITY_KEY, self.authority_key.clone()),
            (CERTIFICATE, self.certificate.clone()),
            (CERTIFICATE_KEY, self.certificate_key.clone()),
        ]
        .map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())))
        .into()
    }

    /// The authorities that clients are to trust, as PEM.
    pub fn bundle(&self) -> String {
        self.authorities.concat()
    }

    pub fn standing(&self, names: &[String], now: OffsetDateTime) -> Standing {
        let (authority, certificate) = (self.authority_life.renewal(), self.life.renewal());
        if now >= authority {
            Standing::RenewAuthority
        } else if now >= certificate || names.iter().any(|name| !self.names.contains(name)) {
            Standing::RenewCertificate
        } else {
            Standing::Good(authority.min(certificate))
        }
    }

    /// When the certificate ends.
    pub fn ends(&self) -> OffsetDateTime {
        self.life.ends
    }

    /// What a server shows.
    pub fn certified(&self) -> Result<Arc<CertifiedKey>, MaterialError> {
        let key = certified(&self.certificate, &self.certificate_key)
            .map_err(|problem| unusable(CERTIFICATE_KEY, problem))?;
        Ok(Arc::new(key))
    }
}

fn named(name: &str, life: Life) -> CertificateParams {
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name.push(DnType::OrganizationName, "kubearmor");
    // A common name has at most 64 characters, and nobody reads it.
    wanted.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    (wanted.not_before, wanted.not_after) = (life.begins, life.ends);
    wanted
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

fn certified(certificate: &str, key: &str) -> Result<CertifiedKey, Problem> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
    certified.keys_match()?;
    Ok(certified)
}

fn life(certificate: &CertificateDer<'_>) -> Result<Life, Problem> {
    let (_, parsed) = parse_x509_certificate(certificate)?;
    let validity = parsed.validity();
    Ok(Life { begins: validity.not_before.to_datetime(), ends: validity.not_after.to_datetime() })
}

fn ends_after(pem: &str, now: OffsetDateTime) -> bool {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .is_ok_and(|certificate| life(&certificate).is_ok_and(|life| life.ends > now))
}

/// Each certificate of a bundle as a PEM of its own, and its life.
fn authorities_of(bundle: &str) -> Result<(Vec<String>, Vec<Life>), MaterialError> {
    const END: &str = "-----END CERTIFICATE-----";
    let mut authorities = Vec::new();
    let mut lives = Vec::new();
    for part in bundle.split_inclusive(END).filter(|part| part.contains(END)) {
        let certificate = CertificateDer::from_pem_slice(part.as_bytes())
            .map_err(|problem| unusable(AUTHORITY, problem))?;
        lives.push(life(&certificate).map_err(|problem| unusable(AUTHORITY, problem))?);
        authorities.push(format!("{}\n", part.trim()));
    }
    if authorities.is_empty() {
        return Err(unusable(AUTHORITY, "no certificate in it"));
    }
    Ok((authorities, lives))
}

/// The life and names of a certificate, if the authority issued it.
fn read_certificate(certificate: &str, authority: &str) -> Result<(Life, Vec<String>), Problem> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let authority = CertificateDer::from_pem_slice(authority.as_bytes())?;
    let (_, parsed) = parse_x509_certificate(&certificate)?;
    let (_, authority) = parse_x509_certificate(&authority)?;
    parsed
        .verify_signature(Some(authority.public_key()))
        .map_err(|_| "its authority did not issue it")?;
    let names = parsed.subject_alternative_name()?.into_iter().flat_map(|names| {
        names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
    });
    Ok((life(&certificate)?, names.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(20_000));

    fn names() -> Vec<String> {
        vec!["hook.kubearmor.svc".to_owned(), "hook.kubearmor.svc.cluster.local".to_owned()]
    }

    fn made() -> Material {
        Material::make(&names(), None, NOW).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let made = made();
        let read = Material::read(&made.write()).unwrap();
        assert_eq!(read.write(), made.write());
        assert_eq!((read.life, read.authority_life), (made.life, made.authority_life));
        assert_eq!(read.names, names());
    }

    #[test]
    fn a_certificate_is_renewed_before_two_thirds_of_its_life() {
        let made = made();
        let Standing::Good(until) = made.standing(&names(), NOW) else { panic!("it is new") };
        let life = made.life.ends - made.life.begins;
        assert!(until - made.life.begins <= life * 2 / 3);
        assert_eq!(made.standing(&names(), until), Standing::RenewCertificate);
        let renewed = made.renewed(&names(), until).unwrap();
        assert_eq!(renewed.bundle(), made.bundle());
        assert!(renewed.ends() > made.ends());
        assert!(matches!(renewed.standing(&names(), until), Standing::Good(_)));
    }

    #[test]
    fn other_names_ask_for_another_certificate() {
        let other = vec!["elsewhere.kubearmor.svc".to_owned()];
        assert_eq!(made().standing(&other, NOW), Standing::RenewCertificate);
    }

    #[test]
    fn an_authority_is_renewed_and_the_one_before_it_stays_trusted() {
        let made = made();
        let late = made.authority_life.renewal();
        assert_eq!(made.standing(&names(), late), Standing::RenewAuthority);
        let next = Material::make(&names(), Some(&made), late).unwrap();
        assert!(next.bundle().ends_with(&made.bundle()));
        assert_eq!(Material::read(&next.write()).unwrap().authorities.len(), 2);
        let third = Material::make(&names(), Some(&next), late).unwrap();
        assert_eq!(third.authorities.len(), AUTHORITIES);
        assert!(!third.bundle().contains(&made.bundle()));
        // What has ended is trusted by nobody.
        let much_later = made.authority_life.ends;
        let fourth = Material::make(&names(), Some(&made), much_later).unwrap();
        assert_eq!(fourth.authorities.len(), 1);
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let made = made();
        let late = made.authority_life.ends - Duration::days(1);
        assert_eq!(made.renewed(&names(), late).unwrap().ends(), made.authority_life.ends);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_named() {
        let (one, other) = (made(), made());
        for name in [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, CERTIFICATE_KEY] {
            let mut data = one.write();
            data.insert(name.to_owned(), other.write()[name].clone());
            let problem = Material::read(&data).err().map(|error| error.to_string());
            assert!(problem.is_some(), "{name} of another");
            data.insert(name.to_owned(), ByteString(b"?".to_vec()));
            assert!(Material::read(&data).is_err(), "{name} damaged");
            data.remove(name);
            let problem = Material::read(&data).err().map(|error| error.to_string());
            assert_eq!(problem, Some(format!("`{name}` is missing")));
        }
    }
}
