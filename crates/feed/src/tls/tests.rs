//! What self-made certificates are, when they are made anew, and how files of no use are told.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use super::{files::*, *};

const DAY: Duration = Duration::from_hours(24);

fn options(directory: &Path, provider: Provider) -> TlsOptions {
    let names = vec!["localhost".to_owned(), "node.example".to_owned(), "127.0.0.1".to_owned()];
    TlsOptions { directory: directory.to_owned(), provider, names }
}

fn own(directory: &Path) -> Certificates {
    Certificates::open(options(directory, Provider::SelfMade)).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// What is said of a directory, with the way out.
fn refusal(directory: &Path, provider: Provider) -> String {
    let error = Certificates::open(options(directory, provider)).err().unwrap();
    format!("{error}; {}", error.hint())
}

/// A directory with certificates as another program would bring them.
fn brought(names: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    own(directory.path());
    let folder = Folder::new(directory.path(), "");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let authority = authority::Authority::load(&folder).unwrap();
    let now = time::OffsetDateTime::now_utc();
    let issued = authority.issue(authority::Role::Server, &names, now).unwrap();
    folder.write_pair((SERVER_KEY, &issued.key_pem), (SERVER, &issued.certificate_pem)).unwrap();
    directory
}

#[test]
fn self_made_files_have_their_modes_and_ends() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("lib/tls");
    own(&directory);
    assert_eq!(mode(&directory), 0o700);
    for (file, expected, days) in [(CA, 0o644, 3650), (CLIENT, 0o644, 365)] {
        let path = directory.join(file);
        assert_eq!(mode(&path), expected, "{file}");
        let (_, pem) = parse_x509_pem(&fs::read(path).unwrap()).unwrap();
        let validity = pem.parse_x509().unwrap().validity().clone();
        let length = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(length / 86_400, days, "{file}");
    }
    for file in [CA_KEY, CLIENT_KEY] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [CA, CA_KEY, CLIENT, CLIENT_KEY], "and nothing unfinished");
}

#[test]
fn certificates_are_for_one_role_and_the_names_that_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    own(directory.path());
    let folder = Folder::new(directory.path(), "");
    let authority = authority::Authority::load(&folder).unwrap();
    let names = options(directory.path(), Provider::SelfMade).names;
    let now = time::OffsetDateTime::now_utc();
    let issued = authority.issue(authority::Role::Server, &names, now).unwrap();
    let (_, server) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    let purpose = server.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.server_auth && !purpose.client_auth);
    assert!(!server.is_ca());
    let given: Vec<_> = server
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => format!("{bytes:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(given, ["localhost", "node.example", "[127, 0, 0, 1]"]);
    let issued = authority.issue(authority::Role::Client, &[], now).unwrap();
    let (_, client) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    let purpose = client.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.client_auth && !purpose.server_auth);
}

#[test]
fn what_is_self_made_is_replaced_a_month_before_its_end_and_the_authority_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = own(directory.path());
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let (authority, client) = (read(CA), read(CLIENT));
    let now = SystemTime::now();
    assert!(!certificates.refresh_at(now + 300 * DAY).unwrap());
    assert_eq!(read(CLIENT), client);
    assert!(certificates.refresh_at(now + 340 * DAY).unwrap());
    assert_ne!(read(CLIENT), client);
    assert_eq!(read(CA), authority);
    assert!(!certificates.refresh_at(now + 340 * DAY).unwrap());
}

#[test]
fn a_restart_keeps_authority_and_client() {
    let directory = tempfile::tempdir().unwrap();
    own(directory.path());
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let before = [CA, CA_KEY, CLIENT, CLIENT_KEY].map(read);
    own(directory.path());
    assert_eq!([CA, CA_KEY, CLIENT, CLIENT_KEY].map(read), before);
}

#[test]
fn the_same_files_are_no_change_and_others_are() {
    let directory = brought(&["a.example"]);
    let certificates = Certificates::open(options(directory.path(), Provider::External)).unwrap();
    assert!(!certificates.refresh().unwrap());
    let other = brought(&["b.example"]);
    for file in [CA, SERVER, SERVER_KEY] {
        fs::copy(other.path().join(file), directory.path().join(file)).unwrap();
    }
    assert!(certificates.refresh().unwrap());
    assert!(!certificates.refresh().unwrap());
}

#[test]
fn bad_files_are_named_with_the_way_out_and_the_good_ones_stay_in_use() {
    let directory = brought(&["a.example"]);
    let certificates = Certificates::open(options(directory.path(), Provider::External)).unwrap();
    let before = certificates.config();
    for (file, text, told) in [
        (SERVER, "", "server.crt: holds no certificate"),
        (SERVER, "-----BEGIN CERTIFICATE-----\n???", "server.crt: no PEM file"),
        (SERVER_KEY, "rubbish", "server.key: holds no unencrypted private key"),
        (CA, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ca.crt: "),
    ] {
        let path = directory.path().join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let said = refusal(directory.path(), Provider::External);
        assert!(said.contains(told) && said.contains("`tlsCertPath`"), "{said}");
        assert!(certificates.refresh().is_err());
        assert!(Arc::ptr_eq(&certificates.config(), &before));
        fs::remove_file(&path).unwrap();
        let said = refusal(directory.path(), Provider::External);
        assert!(said.contains(file) && said.contains("No such file"), "{said}");
        fs::write(&path, good).unwrap();
    }
    assert!(!certificates.refresh().unwrap());
}

#[test]
fn keys_that_belong_elsewhere_are_told() {
    let (directory, other) = (brought(&["a.example"]), brought(&["b.example"]));
    fs::copy(other.path().join(SERVER_KEY), directory.path().join(SERVER_KEY)).unwrap();
    let said = refusal(directory.path(), Provider::External);
    assert!(said.contains("server.key: cannot be used with server.crt"), "{said}");
    fs::copy(other.path().join(CA_KEY), directory.path().join(CA_KEY)).unwrap();
    let said = refusal(directory.path(), Provider::SelfMade);
    assert!(said.contains("ca.key: not the key of ca.crt"), "{said}");
}

#[test]
fn half_an_authority_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    own(directory.path());
    for file in [CA_KEY, CA] {
        let path = directory.path().join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let said = refusal(directory.path(), Provider::SelfMade);
        assert!(said.contains(file) && said.contains("remove both"), "{said}");
        assert!(!path.exists());
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn a_certificate_that_is_no_authoritys_issues_nothing() {
    let directory = brought(&["a.example"]);
    fs::copy(directory.path().join(SERVER), directory.path().join(CA)).unwrap();
    fs::copy(directory.path().join(SERVER_KEY), directory.path().join(CA_KEY)).unwrap();
    let said = refusal(directory.path(), Provider::SelfMade);
    assert!(said.contains("ca.crt: not the certificate of an authority"), "{said}");
}

#[test]
fn people_are_told_in_time_of_what_only_they_can_replace() {
    let directory = brought(&["a.example"]);
    let open = || Certificates::open(options(directory.path(), Provider::External)).unwrap();
    assert_eq!(open().warnings(), Vec::<String>::new());
    let folder = Folder::new(directory.path(), "");
    let authority = authority::Authority::load(&folder).unwrap();
    let long_ago = time::OffsetDateTime::from(SystemTime::now() - 350 * DAY);
    let issued = authority.issue(authority::Role::Server, &[], long_ago).unwrap();
    folder.write_pair((SERVER_KEY, &issued.key_pem), (SERVER, &issued.certificate_pem)).unwrap();
    let warnings = open().warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("server.crt ends on "), "{warnings:?}");
}

#[test]
fn authorities_with_keys_of_other_kinds_issue_as_well() {
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path(), "");
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut wanted = rcgen::CertificateParams::default();
        wanted.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = wanted.self_signed(&key).unwrap();
        folder.write_pair((CA_KEY, &key.serialize_pem()), (CA, &certificate.pem())).unwrap();
        let first = own(directory.path());
        // The client certificate that it has issued is good in its own eyes.
        let client = fs::read(directory.path().join(CLIENT)).unwrap();
        drop(first);
        own(directory.path());
        assert_eq!(fs::read(directory.path().join(CLIENT)).unwrap(), client);
    }
}
