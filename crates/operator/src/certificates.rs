//! Certificates for clients, relay and agents: which there are to be, and how the authority is replaced without a gap.
//!
//! A new authority is trusted everywhere before anything is issued by it, and the old one is trusted until everything is.
//! Each step waits until kubelets have brought the one before to all pods.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use manifests::labels;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::parse_x509_pem;

const AUTHORITY_DAYS: i64 = 3650;
const ISSUED_DAYS: i64 = 365;
/// Before its end a certificate is replaced.
const EARLY_DAYS: i64 = 30;
const CLOCKS_DIFFER: Duration = Duration::hours(1);
/// Kubelets bring changes of secrets to pods within a minute and a half, agents look again each minute.
pub(crate) const SPREAD: Duration = Duration::minutes(5);

/// What `karmor rotate-tls` writes: when it was asked.
pub(crate) const ASKED: &str = "kubearmor.io/rotation-asked";
/// The last one that was asked and done.
pub(crate) const DONE: &str = "kubearmor.io/rotation-done";
/// `trusting` or `issuing`, and since when, in seconds since 1970.
pub(crate) const STAGE: &str = "kubearmor.io/rotation-stage";
const SINCE: &str = "kubearmor.io/rotation-stage-since";
/// Of whose issue and for which names a certificate is.
const ISSUE: &str = "kubearmor.io/issued";

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Everything that is trusted.
const TRUSTED: &str = "ca.crt";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const OLD_CERTIFICATE: &str = "old.crt";

/// What is kept of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) data: BTreeMap<String, String>,
}

pub(crate) type Secrets = BTreeMap<String, Secret>;

/// For whom the relay's certificate is besides its own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) namespace: String,
    pub(crate) extra: Vec<String>,
}

/// All secrets as they are to be now.
pub(crate) fn advance(seen: &Secrets, wanted: &Wanted, now: OffsetDateTime) -> Result<Secrets> {
    let mut authority = seen.get(labels::CA_SECRET).cloned().unwrap_or_default();
    step(&mut authority, now)?;
    let text = |key: &str| authority.data.get(key).map(String::as_str).unwrap_or_default();
    let trusted = [CERTIFICATE, NEXT_CERTIFICATE, OLD_CERTIFICATE].map(text).concat();
    let issuer = Issuer::from_ca_cert_pem(text(CERTIFICATE), KeyPair::from_pem(text(KEY))?)
        .with_context(|| format!("secret {} holds no authority", labels::CA_SECRET))?;
    let mark = format!("{:08x}", sum(text(CERTIFICATE)));
    authority.data.insert(TRUSTED.to_owned(), trusted.clone());

    let mut all = Secrets::new();
    for (secret, role, names) in leaves(wanted) {
        let mut leaf = seen.get(secret).cloned().unwrap_or_default();
        let issue = format!("{mark} {}", names.join(","));
        let good = leaf.annotations.get(ISSUE) == Some(&issue)
            && leaf.data.get(CERTIFICATE).is_some_and(|pem| !ends_soon(pem, now))
            && leaf.data.contains_key(KEY);
        if !good {
            let (certificate, key) = issued(&issuer, role, &names, now)?;
            leaf.data.insert(CERTIFICATE.to_owned(), certificate);
            leaf.data.insert(KEY.to_owned(), key);
            leaf.annotations.insert(ISSUE.to_owned(), issue);
        }
        leaf.data.insert(TRUSTED.to_owned(), trusted.clone());
        all.insert(secret.to_owned(), leaf);
    }
    all.insert(labels::CA_SECRET.to_owned(), authority);
    Ok(all)
}

/// One step of the authority, if its time has come.
fn step(authority: &mut Secret, now: OffsetDateTime) -> Result<()> {
    if !(authority.data.contains_key(CERTIFICATE) && authority.data.contains_key(KEY)) {
        let (certificate, key) = new_authority(now)?;
        authority.data = [(CERTIFICATE.to_owned(), certificate), (KEY.to_owned(), key)].into();
        return Ok(());
    }
    let asked = authority.annotations.get(ASKED).cloned();
    let since = authority.annotations.get(SINCE).and_then(|text| text.parse().ok());
    let since = since.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let spread = since.is_none_or(|since| now - since >= SPREAD);
    let begun = |authority: &mut Secret, stage: &str| {
        authority.annotations.insert(STAGE.to_owned(), stage.to_owned());
        authority.annotations.insert(SINCE.to_owned(), now.unix_timestamp().to_string());
    };
    match authority.annotations.get(STAGE).map(String::as_str) {
        None if asked.is_some() && asked.as_ref() != authority.annotations.get(DONE) => {
            let (certificate, key) = new_authority(now)?;
            authority.data.insert(NEXT_CERTIFICATE.to_owned(), certificate);
            authority.data.insert(NEXT_KEY.to_owned(), key);
            begun(authority, "trusting");
        }
        Some("trusting") if spread => {
            for (from, to) in
                [(CERTIFICATE, OLD_CERTIFICATE), (NEXT_CERTIFICATE, CERTIFICATE), (NEXT_KEY, KEY)]
            {
                let text = authority.data.remove(from).with_context(|| {
                    format!(
                        "secret {} lacks {from}, in the middle of a rotation",
                        labels::CA_SECRET
                    )
                })?;
                authority.data.insert(to.to_owned(), text);
            }
            begun(authority, "issuing");
        }
        Some("issuing") if spread => {
            authority.data.remove(OLD_CERTIFICATE);
            authority.annotations.remove(STAGE);
            authority.annotations.remove(SINCE);
            authority.annotations.extend(asked.map(|asked| (DONE.to_owned(), asked)));
        }
        _ => {}
    }
    Ok(())
}

fn leaves(wanted: &Wanted) -> [(&'static str, ExtendedKeyUsagePurpose, Vec<String>); 3] {
    let namespace = &wanted.namespace;
    let service = labels::SERVICE;
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "kubearmor"].map(str::to_owned).to_vec();
    names.extend([
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]);
    let mut of_relay = names.clone();
    of_relay.extend(wanted.extra.iter().filter(|name| !names.contains(name)).cloned());
    [
        (labels::AGENT_SECRET, ExtendedKeyUsagePurpose::ServerAuth, names),
        (labels::RELAY_SECRET, ExtendedKeyUsagePurpose::ServerAuth, of_relay),
        (
            labels::CLIENT_SECRET,
            ExtendedKeyUsagePurpose::ClientAuth,
            vec!["kubearmor-client".to_owned()],
        ),
    ]
}

fn new_authority(now: OffsetDateTime) -> Result<(String, String)> {
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
    Ok((wanted.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn issued(
    issuer: &Issuer<'_, KeyPair>,
    role: ExtendedKeyUsagePurpose,
    names: &[String],
    now: OffsetDateTime,
) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let common =
        if role == ExtendedKeyUsagePurpose::ClientAuth { "kubearmor-client" } else { "kubearmor" };
    let mut wanted = named(common);
    wanted.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    wanted.extended_key_usages = vec![role];
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.use_authority_key_identifier_extension = true;
    wanted.not_before = now - CLOCKS_DIFFER;
    wanted.not_after = now + Duration::days(ISSUED_DAYS);
    Ok((wanted.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn named(name: &str) -> CertificateParams {
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name.push(DnType::OrganizationName, "kubearmor");
    wanted.distinguished_name.push(DnType::CommonName, name);
    wanted
}

/// What cannot be read is as good as ended.
fn ends_soon(pem: &str, now: OffsetDateTime) -> bool {
    let Ok((_, pem)) = parse_x509_pem(pem.as_bytes()) else { return true };
    pem.parse_x509().map_or(true, |parsed| {
        parsed.validity().not_after.to_datetime() - now < Duration::days(EARLY_DAYS)
    })
}

/// FNV-1a; it tells one authority from another, and nothing depends on more.
fn sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    };

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            namespace: "kubearmor".into(),
            extra: vec!["relay.example".into(), "192.0.2.1".into()],
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    /// Whether who trusts `trusted` talks to who has `certificate`.
    fn trusts(trusted: &str, certificate: &str, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(trusted.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(default_provider()),
        )
        .build()
        .unwrap();
        let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_hours(500_000));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], at).is_ok()
    }

    fn of<'s>(secrets: &'s Secrets, secret: &str, key: &str) -> &'s str {
        &secrets[secret].data[key]
    }

    #[test]
    fn the_first_time_everything_is_made_and_then_stays() {
        let made = advance(&Secrets::new(), &wanted(), now()).unwrap();
        assert_eq!(
            made.keys().collect::<Vec<_>>(),
            [labels::CA_SECRET, labels::CLIENT_SECRET, labels::RELAY_SECRET, labels::AGENT_SECRET,]
        );
        let trusted = of(&made, labels::CLIENT_SECRET, TRUSTED);
        let relay = of(&made, labels::RELAY_SECRET, CERTIFICATE);
        for name in ["kubearmor.kubearmor.svc", "localhost", "relay.example", "192.0.2.1"] {
            assert!(trusts(trusted, relay, name), "{name}");
        }
        let agents = of(&made, labels::AGENT_SECRET, CERTIFICATE);
        assert!(trusts(trusted, agents, "kubearmor") && !trusts(trusted, agents, "relay.example"));
        let client = of(&made, labels::CLIENT_SECRET, CERTIFICATE);
        assert!(!trusts(trusted, client, "kubearmor-client"), "a client is no server");
        for secret in [labels::CLIENT_SECRET, labels::RELAY_SECRET, labels::AGENT_SECRET] {
            assert_ne!(of(&made, secret, KEY), of(&made, labels::CA_SECRET, KEY));
        }
        assert_eq!(advance(&made, &wanted(), now() + Duration::days(300)).unwrap(), made);
    }

    #[test]
    fn what_ends_soon_or_is_for_other_names_is_issued_anew() {
        let made = advance(&Secrets::new(), &wanted(), now()).unwrap();
        let later = advance(&made, &wanted(), now() + Duration::days(340)).unwrap();
        assert_eq!(
            of(&later, labels::CA_SECRET, CERTIFICATE),
            of(&made, labels::CA_SECRET, CERTIFICATE)
        );
        assert_ne!(
            of(&later, labels::AGENT_SECRET, CERTIFICATE),
            of(&made, labels::AGENT_SECRET, CERTIFICATE)
        );
        let other = Wanted { extra: vec!["other.example".into()], ..wanted() };
        let renamed = advance(&made, &other, now()).unwrap();
        assert!(trusts(
            of(&made, labels::CLIENT_SECRET, TRUSTED),
            of(&renamed, labels::RELAY_SECRET, CERTIFICATE),
            "other.example"
        ));
        assert_eq!(renamed[labels::AGENT_SECRET], made[labels::AGENT_SECRET]);
    }

    /// Whoever still has the secrets of one step talks to whoever has those of the next.
    #[test]
    fn a_rotation_has_no_gap() {
        let mut steps = vec![advance(&Secrets::new(), &wanted(), now()).unwrap()];
        let mut asked = steps[0].clone();
        asked.get_mut(labels::CA_SECRET).unwrap().annotations.insert(ASKED.into(), "1".into());
        let mut at = now();
        for _ in 0..4 {
            let next = advance(&asked, &wanted(), at).unwrap();
            assert_eq!(
                advance(&next, &wanted(), at + Duration::minutes(1)).unwrap(),
                next,
                "too soon"
            );
            asked = next.clone();
            steps.push(next);
            at += SPREAD;
        }
        for (number, pair) in steps.windows(2).enumerate() {
            for (trusting, serving) in [(0, 1), (1, 0), (1, 1)] {
                for secret in [labels::RELAY_SECRET, labels::AGENT_SECRET] {
                    let trusted = of(&pair[trusting], labels::CLIENT_SECRET, TRUSTED);
                    let certificate = of(&pair[serving], secret, CERTIFICATE);
                    assert!(trusts(trusted, certificate, "kubearmor"), "{number}: {secret}");
                }
            }
        }
        let (first, last) = (&steps[0], &steps[4]);
        assert_eq!(last[labels::CA_SECRET].annotations.get(DONE).map(String::as_str), Some("1"));
        assert!(!trusts(
            of(last, labels::CLIENT_SECRET, TRUSTED),
            of(first, labels::RELAY_SECRET, CERTIFICATE),
            "kubearmor"
        ));
        assert_eq!(last[labels::CA_SECRET].data.len(), 3, "nothing of the rotation is left");
    }

    #[test]
    fn half_an_authority_is_told_and_nothing_is_changed() {
        let mut made = advance(&Secrets::new(), &wanted(), now()).unwrap();
        let authority = made.get_mut(labels::CA_SECRET).unwrap();
        authority.annotations.insert(STAGE.into(), "trusting".into());
        let error = advance(&made, &wanted(), now()).unwrap_err();
        assert!(error.to_string().contains("next.crt"), "{error}");
    }
}
