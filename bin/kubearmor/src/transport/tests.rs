//! The ways to an agent as its configuration opens them, and what becomes of one that cannot be opened.

use std::{fs, path::Path};

use feed::{
    ClientIdentity, FeedOptions, PolicyAnswer, PolicyHandler, PolicyStatus, Provider,
    client::{Client, ClientError},
};
use policy::Kind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{task::yield_now, time::timeout};

use super::*;
use crate::config::{CertificateProvider, SocketChoice};

struct Willing;

#[feed::async_trait]
impl PolicyHandler for Willing {
    async fn apply(&self, _bytes: Vec<u8>, _kind: Kind) -> PolicyAnswer {
        PolicyAnswer { status: PolicyStatus::Applied, message: String::new() }
    }
}

/// An agent's transports in a directory of their own.
struct Agent {
    directory: TempDir,
    listening: Arc<Notify>,
    end: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Agent {
    fn start(directory: TempDir, config: Config) -> Self {
        let (end, ending) = watch::channel(false);
        let listening = Arc::new(Notify::new());
        let services = Services { policies: Some(Arc::new(Willing)), ..Services::default() };
        let feed = Feed::new(FeedOptions::default());
        let certificates = Arc::default();
        let heard = Arc::clone(&listening);
        let offer = Offer { config, feed, services, certificates, listening: heard, ending };
        Self { directory, listening, end, serving: tokio::spawn(offer.serve()) }
    }

    async fn listens(&self) {
        soon(self.listening.notified()).await;
    }

    async fn local(&self) -> Client {
        let path = self.directory.path().join("kubearmor.sock");
        Client::connect(&format!("unix:{}", path.display())).await.unwrap()
    }

    fn port(&self) -> Option<String> {
        let port = fs::read_to_string(self.directory.path().join("kubearmor.pid")).ok()?;
        Some(format!("127.0.0.1:{port}"))
    }

    async fn end(self) -> TempDir {
        self.end.send(true).unwrap();
        soon(self.serving).await.unwrap();
        self.directory
    }
}

/// With state and socket in the directory, on any port.
fn config(directory: &Path) -> Config {
    Config {
        k8s: false,
        grpc: 0,
        grpc_address: [127, 0, 0, 1].into(),
        run_dir: directory.to_owned(),
        state_dir: directory.to_owned(),
        tls_cert_path: directory.join("tls"),
        ..Config::default()
    }
}

async fn apply(client: &Client) -> Result<PolicyStatus, ClientError> {
    client.apply(Kind::Host, b"text".into()).await.map(|answer| answer.status)
}

/// Nothing here takes long; what hangs is a failure.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

async fn trusted(address: &str, tls: &Path) -> Result<Client, ClientError> {
    let identity = ClientIdentity::load(tls, Provider::External)?;
    let client = Client::connect_secure(address, &identity).await?;
    client.check().await.map(|()| client)
}

#[tokio::test]
async fn by_default_policies_come_through_the_socket_and_not_over_the_port() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let agent = Agent::start(directory, config);
    agent.listens().await;
    assert_eq!(apply(&agent.local().await).await.unwrap(), PolicyStatus::Applied);
    let client = Client::connect(&agent.port().unwrap()).await.unwrap();
    client.check().await.unwrap();
    assert!(matches!(apply(&client).await, Err(ClientError::Refused(_))));
    drop(client);
    let directory = agent.end().await;
    assert!(!directory.path().join("kubearmor.sock").exists());
}

#[tokio::test]
async fn no_socket_where_none_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { grpc_socket: SocketChoice::None, ..config(directory.path()) };
    let agent = Agent::start(directory, config);
    agent.listens().await;
    assert!(agent.port().is_some());
    assert!(!agent.directory.path().join("kubearmor.sock").exists());
    agent.end().await;
}

#[tokio::test]
async fn self_made_certificates_are_there_when_the_port_is() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { tls_enabled: true, ..config(directory.path()) };
    make_room(&config);
    let agent = Agent::start(directory, config);
    agent.listens().await;
    let tls = agent.directory.path().join("tls");
    let client = trusted(&agent.port().unwrap(), &tls).await.unwrap();
    assert_eq!(apply(&client).await.unwrap(), PolicyStatus::Applied);
    drop(client);
    agent.end().await;
}

#[tokio::test]
async fn without_certificates_the_socket_serves_and_the_port_opens_when_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let external = CertificateProvider::External;
    let config =
        Config { tls_enabled: true, tls_cert_provider: external, ..config(directory.path()) };
    let agent = Agent::start(directory, config);
    agent.listens().await;
    assert!(agent.port().is_none());
    assert_eq!(apply(&agent.local().await).await.unwrap(), PolicyStatus::Applied);

    let tls = agent.directory.path().join("tls");
    bring(&tls);
    soon(async {
        while agent.port().is_none() {
            yield_now().await;
        }
    })
    .await;
    let client = trusted(&agent.port().unwrap(), &tls).await.unwrap();
    assert_eq!(apply(&client).await.unwrap(), PolicyStatus::Applied);

    // Others take their place, which new connections notice without a restart.
    bring(&tls);
    soon(async {
        while trusted(&agent.port().unwrap(), &tls).await.is_err() {
            yield_now().await;
        }
    })
    .await;
    client.check().await.unwrap();
    drop(client);
    agent.end().await;
}

/// Puts the certificates of an authority of its own into a directory.
fn bring(directory: &Path) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::create_dir_all(directory).unwrap();
    let ca = authority.self_signed(&authority_key).unwrap();
    fs::write(directory.join("ca.crt"), ca.pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let wanted = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = wanted.signed_by(&key, &issuer).unwrap();
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn a_port_that_is_taken_keeps_nobody_from_the_socket() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let grpc = taken.local_addr().unwrap().port();
    let config = Config { grpc, ..config(directory.path()) };
    let agent = Agent::start(directory, config);
    agent.listens().await;
    assert_eq!(apply(&agent.local().await).await.unwrap(), PolicyStatus::Applied);
    agent.end().await;
}
