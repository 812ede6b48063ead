//! Who may do what over the unix socket, TCP and TLS; and certificates that change under running connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{fs, future::Future, path::Path, sync::Arc, time::Duration};

use feed::{
    Certificates, ClientIdentity, Feed, FeedOptions, Listener, LocalSocket, PolicyAnswer,
    PolicyHandler, PolicyStatus, Provider, Services, TlsOptions,
    client::{Client, ClientError},
    listen, serve,
};
use policy::Kind;
use telemetry::Alert;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

struct Willing;

#[feed::async_trait]
impl PolicyHandler for Willing {
    async fn apply(&self, _bytes: Vec<u8>, _kind: Kind) -> PolicyAnswer {
        PolicyAnswer { status: PolicyStatus::Applied, message: String::new() }
    }
}

fn offer(listener: impl Into<Listener>, policies_from_anyone: bool) -> Feed {
    let feed = Feed::new(FeedOptions::default());
    let services =
        Services { policies: Some(Arc::new(Willing)), probe: None, policies_from_anyone };
    tokio::spawn(serve(listener.into(), feed.clone(), services, std::future::pending()));
    feed
}

/// A server on TCP, and its address.
async fn plain(policies_from_anyone: bool) -> (Feed, String) {
    let listener = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (offer(listener, policies_from_anyone), address)
}

fn certificates(directory: &Path, provider: Provider) -> Arc<Certificates> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let options = TlsOptions { directory: directory.to_owned(), provider, names };
    Arc::new(Certificates::open(options).unwrap())
}

async fn secure(certificates: &Arc<Certificates>) -> (Feed, String) {
    let listener = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (offer(Listener::Tls(listener, Arc::clone(certificates)), false), address)
}

fn identity(directory: &TempDir, provider: Provider) -> ClientIdentity {
    ClientIdentity::load(directory.path(), provider).unwrap()
}

async fn trusted(address: &str, identity: &ClientIdentity) -> Result<Client, ClientError> {
    let client = Client::connect_secure(address, identity).await?;
    client.check().await?;
    Ok(client)
}

/// What becomes of a policy of each kind.
async fn apply(client: &Client) -> Vec<Result<PolicyStatus, ClientError>> {
    let mut answers = Vec::new();
    for kind in [Kind::Container, Kind::Cluster, Kind::Host, Kind::Network] {
        answers.push(client.apply(kind, b"text".into()).await.map(|answer| answer.status));
    }
    answers
}

fn all_applied(answers: &[Result<PolicyStatus, ClientError>]) -> bool {
    answers.iter().all(|answer| matches!(answer, Ok(PolicyStatus::Applied)))
}

async fn reads_alerts(client: &Client, feed: &Feed) {
    let mut alerts = client.alerts("policy").await.unwrap();
    let _ = feed.publish_alert(Alert { policy_name: "ledger".into(), ..Alert::default() });
    assert_eq!(soon(alerts.message()).await.unwrap().unwrap().policy_name, "ledger");
}

/// Nothing here takes long; what hangs is a failure.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test]
async fn anyone_on_the_network_reads_alerts_and_applies_nothing() {
    let (feed, address) = plain(false).await;
    let client = Client::connect(&address).await.unwrap();
    client.check().await.unwrap();
    reads_alerts(&client, &feed).await;
    for answer in apply(&client).await {
        let Err(ClientError::Refused(status)) = answer else { panic!("{answer:?}") };
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        let said = status.message();
        for way_out in ["unix socket", "`tlsEnabled`", "`allowUnauthenticatedPolicies: true`"] {
            assert!(said.contains(way_out), "{said}");
        }
    }
}

#[tokio::test]
async fn anyone_applies_where_the_configuration_says_so() {
    let (_feed, address) = plain(true).await;
    let client = Client::connect(&address).await.unwrap();
    assert!(all_applied(&apply(&client).await));
}

#[tokio::test]
async fn the_unix_socket_serves_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let feed = offer(LocalSocket::listen(&path).unwrap(), false);
    let client = Client::connect(&format!("unix:{}", path.display())).await.unwrap();
    client.check().await.unwrap();
    reads_alerts(&client, &feed).await;
    assert!(all_applied(&apply(&client).await));
}

#[tokio::test]
async fn a_client_certificate_may_apply_whether_self_made_or_brought() {
    let directory = tempfile::tempdir().unwrap();
    let (feed, address) = secure(&certificates(directory.path(), Provider::SelfMade)).await;
    for provider in [Provider::SelfMade, Provider::External] {
        let client = trusted(&address, &identity(&directory, provider)).await.unwrap();
        reads_alerts(&client, &feed).await;
        assert!(all_applied(&apply(&client).await));
    }
}

#[tokio::test]
async fn without_tls_a_server_with_tls_is_not_heard() {
    let directory = tempfile::tempdir().unwrap();
    let (_feed, address) = secure(&certificates(directory.path(), Provider::SelfMade)).await;
    let failure = match Client::connect(&address).await {
        Ok(client) => soon(client.check()).await.unwrap_err(),
        Err(failure) => failure,
    };
    assert!(matches!(failure, ClientError::BrokenOff { .. }), "{failure:?}");
}

#[tokio::test]
async fn certificates_may_come_from_elsewhere_than_files() {
    let directory = tempfile::tempdir().unwrap();
    let (feed, address) = secure(&certificates(directory.path(), Provider::SelfMade)).await;
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let origin = Path::new("secret");
    let (authority, certificate, key) = (read("ca.crt"), read("client.crt"), read("client.key"));
    let identity = ClientIdentity::from_pem(origin, &authority, &certificate, &key).unwrap();
    reads_alerts(&trusted(&address, &identity).await.unwrap(), &feed).await;
    let error = ClientIdentity::from_pem(origin, &authority, b"", &key).err().unwrap();
    assert!(error.to_string().starts_with("secret/client.crt: "), "{error}");
}

#[tokio::test]
async fn another_authority_is_trusted_by_neither_side() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let certificates_here = certificates(directory.path(), Provider::SelfMade);
    certificates(other.path(), Provider::SelfMade);
    let (_feed, address) = secure(&certificates_here).await;
    let failure = trusted(&address, &identity(&other, Provider::SelfMade)).await.err().unwrap();
    assert!(matches!(failure, ClientError::Trust { .. }), "{failure:?}");

    // A client that believes the server and shows what another authority has issued.
    fs::copy(directory.path().join("ca.crt"), other.path().join("ca.crt")).unwrap();
    let failure = trusted(&address, &identity(&other, Provider::External)).await.err().unwrap();
    assert!(matches!(failure, ClientError::Trust { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_peer_that_agrees_on_nothing_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let (_feed, address) = secure(&certificates(directory.path(), Provider::SelfMade)).await;
    let silent = TcpStream::connect(&address).await.unwrap();
    soon(trusted(&address, &identity(&directory, Provider::SelfMade))).await.unwrap();
    let mut loud = TcpStream::connect(&address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut loud, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // What TLS answers to that is its own affair; it must end.
    let _ = soon(loud.read_to_end(&mut Vec::new())).await;
    let mut byte = [0];
    assert!(silent.try_read(&mut byte).is_err(), "the silent one is still waited for");
}

#[tokio::test]
async fn new_certificates_are_for_new_connections_and_old_streams_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let certificates_here = certificates(directory.path(), Provider::SelfMade);
    let (feed, address) = secure(&certificates_here).await;
    let before = identity(&directory, Provider::SelfMade);
    let old = trusted(&address, &before).await.unwrap();
    let mut alerts = old.alerts("policy").await.unwrap();

    // Another authority takes the place of the first.
    for file in ["ca.crt", "ca.key"] {
        fs::remove_file(directory.path().join(file)).unwrap();
    }
    assert!(certificates_here.refresh().is_err(), "nothing is made while an agent runs");
    let other = tempfile::tempdir().unwrap();
    certificates(other.path(), Provider::SelfMade);
    for file in ["ca.crt", "ca.key"] {
        fs::copy(other.path().join(file), directory.path().join(file)).unwrap();
    }
    assert!(certificates_here.refresh().unwrap());

    let _ = feed.publish_alert(Alert { policy_name: "later".into(), ..Alert::default() });
    assert_eq!(soon(alerts.message()).await.unwrap().unwrap().policy_name, "later");
    assert!(matches!(trusted(&address, &before).await, Err(ClientError::Trust { .. })));
    let after = identity(&directory, Provider::SelfMade);
    let new = trusted(&address, &after).await.unwrap();
    reads_alerts(&new, &feed).await;
    assert!(all_applied(&apply(&new).await));
}

#[tokio::test]
async fn a_client_without_certificates_is_told_which_file_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    for (provider, way_out) in
        [(Provider::SelfMade, "--tlsCertProvider external"), (Provider::External, "--tlsCertPath")]
    {
        let error = ClientIdentity::load(directory.path(), provider).err().unwrap();
        assert!(error.to_string().contains("ca.crt"), "{error}");
        assert!(error.hint().contains(way_out), "{}", error.hint());
    }
}
