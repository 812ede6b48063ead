//! Who is who in the cluster: an authority, a certificate for each part, and the files by which each finds the API
//! server. Made anew for every cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

/// The authority's certificate.
pub(super) const AUTHORITY: &str = "ca.crt";
/// The authority's key.
pub(super) const AUTHORITY_KEY: &str = "ca.key";
/// What tokens of service accounts are signed with.
pub(super) const TOKENS_KEY: &str = "tokens.key";
/// What they are verified with.
pub(super) const TOKENS_PUBLIC_KEY: &str = "tokens.pub";

/// A client of the API server.
pub(super) struct Client {
    /// Of its files.
    pub(super) name: &'static str,
    /// What the API server calls it.
    user: &'static str,
    group: Option<&'static str>,
}

/// The one who types kubectl.
pub(super) const ADMIN: Client =
    Client { name: "admin", user: "admin", group: Some("system:masters") };
/// The API server itself, towards kubelets.
pub(super) const TO_KUBELET: Client =
    Client { name: "to-kubelet", user: "kube-apiserver", group: Some("system:masters") };
pub(super) const CONTROLLER_MANAGER: Client =
    Client { name: "controller-manager", user: "system:kube-controller-manager", group: None };
pub(super) const SCHEDULER: Client =
    Client { name: "scheduler", user: "system:kube-scheduler", group: None };
pub(super) const KUBELET: Client =
    Client { name: "kubelet", user: "system:node:testbed", group: Some("system:nodes") };
pub(super) const PROXY: Client = Client { name: "proxy", user: "system:kube-proxy", group: None };

/// A folder of keys and certificates.
pub(super) struct Folder {
    path: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Folder {
    /// Makes the folder, with the authority and the key for tokens in it.
    pub(super) fn make(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        let mut wanted = named("testbed", None);
        wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = wanted.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        let folder = Self { path: path.to_owned(), issuer: Issuer::new(wanted, key) };
        folder.write(AUTHORITY, &certificate)?;
        folder.write(AUTHORITY_KEY, &key_pem)?;
        let tokens = KeyPair::generate()?;
        folder.write(TOKENS_KEY, &tokens.serialize_pem())?;
        folder.write(TOKENS_PUBLIC_KEY, &tokens.public_key_pem())?;
        Ok(folder)
    }

    /// The path of a file in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `NAME.crt` and `NAME.key` of a server with these host names and addresses.
    pub(super) fn server(&self, name: &str, hosts: &[&str]) -> Result<()> {
        let mut wanted = named(name, None);
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        wanted.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(name, &wanted)
    }

    /// Writes `NAME.crt` and `NAME.key` of a client, and `NAME.kubeconfig` for the API server at `address`.
    pub(super) fn client(&self, client: &Client, address: &str) -> Result<()> {
        let mut wanted = named(client.user, client.group);
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(client.name, &wanted)?;
        let name = client.name;
        // Paths without a directory are looked up beside the file that has them.
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "clusters": [{ "name": "testbed", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority": AUTHORITY,
            }}],
            "users": [{ "name": name, "user": {
                "client-certificate": format!("{name}.crt"),
                "client-key": format!("{name}.key"),
            }}],
            "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": name }}],
        });
        self.write(&format!("{name}.kubeconfig"), &text.to_string())
    }

    fn issue(&self, name: &str, wanted: &CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = wanted.clone().signed_by(&key, &self.issuer)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

fn named(user: &str, group: Option<&str>) -> CertificateParams {
    let mut wanted = CertificateParams::default();
    // The default name is that of the library.
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        wanted.distinguished_name.push(DnType::OrganizationName, group);
    }
    wanted.use_authority_key_identifier_extension = true;
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_all_that_its_file_names() {
        let work = tempfile::tempdir().unwrap();
        let folder = Folder::make(work.path()).unwrap();
        folder.client(&ADMIN, "127.0.0.1:6443").unwrap();
        let text = fs::read_to_string(folder.file("admin.kubeconfig")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        for named in [
            &config["clusters"][0]["cluster"]["certificate-authority"],
            &config["users"][0]["user"]["client-certificate"],
            &config["users"][0]["user"]["client-key"],
        ] {
            assert!(folder.file(named.as_str().unwrap()).exists(), "{named}");
        }
    }
}
