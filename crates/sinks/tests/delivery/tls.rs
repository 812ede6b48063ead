//! TLS towards peers: whom a sink trusts, what it shows, and what it says when that is not enough.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    agent::{Agent, numbers, sink},
    http_server::{Answer, Server},
    syslog::next_message,
};

/// Writes `NAME.ca`, and `NAME.crt` and `NAME.key` of `host`, which it has issued.
fn authority(directory: &Path, name: &str, host: &str) {
    let mut wanted = CertificateParams::default();
    wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = wanted.self_signed(&key).unwrap();
    let issuer = Issuer::new(wanted, key);
    let leaf = KeyPair::generate().unwrap();
    let leaf_certificate =
        CertificateParams::new([host.to_owned()]).unwrap().signed_by(&leaf, &issuer).unwrap();
    let write = |kind: &str, text: String| {
        fs::write(directory.join(format!("{name}.{kind}")), text).unwrap();
    };
    write("ca", certificate.pem());
    write("crt", leaf_certificate.pem());
    write("key", leaf.serialize_pem());
}

/// Of a server with the certificate of `name`, which asks for one of the authority `clients`.
fn server(directory: &Path, name: &str, clients: Option<&str>) -> ServerConfig {
    let certificate = |name: String| CertificateDer::from_pem_file(directory.join(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key"))).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(format!("{clients}.ca"))).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    builder.with_single_cert(vec![certificate(format!("{name}.crt"))], key).unwrap()
}

fn hook(port: u16, tls: Value) -> Value {
    let more = Value::Object([("tls".to_owned(), tls)].into_iter().collect());
    json!([sink("hook", "webhook", &format!("https://localhost:{port}"), more)])
}

#[tokio::test]
async fn an_authority_of_ones_own_and_a_client_certificate() {
    let agent = Agent::start(json!([])).await;
    let directory = agent.directory.path();
    authority(directory, "one", "localhost");
    authority(directory, "two", "client");
    let config = server(directory, "one", Some("two"));
    let peer = Server::start_with(Some(config), |_, _| Answer::ok()).await;
    let file = |name: &str| directory.join(name);
    // Nobody of this system has issued it.
    agent.apply(hook(peer.port, json!({}))).await;
    agent.alerts(0..1);
    let account = agent.until("hook", |account| account.failures > 0).await;
    assert!(
        account.problem.contains("certificate") || account.problem.contains("caFile"),
        "{}",
        account.problem
    );
    // A file that is not there is no reason to lose anything.
    agent.apply(hook(peer.port, json!({"caFile": file("none")}))).await;
    agent.until("hook", |account| account.problem.contains("none: ")).await;
    // No client certificate.
    agent.apply(hook(peer.port, json!({"caFile": file("one.ca")}))).await;
    agent.until("hook", |account| account.problem.contains("CertificateRequired")).await;
    let own =
        json!({"caFile": file("one.ca"), "certFile": file("two.crt"), "keyFile": file("two.key")});
    agent.apply(hook(peer.port, own)).await;
    agent.delivered("hook", 1).await;
    assert_eq!(peer.numbers(), [0]);
}

#[tokio::test]
async fn another_name_and_no_name_at_all() {
    let agent = Agent::start(json!([])).await;
    let directory = agent.directory.path();
    authority(directory, "one", "peer.example");
    let config = server(directory, "one", None);
    let peer = Server::start_with(Some(config), |_, _| Answer::ok()).await;
    let trusted = directory.join("one.ca");
    agent.apply(hook(peer.port, json!({ "caFile": trusted }))).await;
    agent.alerts(0..1);
    agent.until("hook", |account| account.problem.contains("localhost")).await;
    agent.apply(hook(peer.port, json!({"caFile": trusted, "serverName": "peer.example"}))).await;
    agent.delivered("hook", 1).await;
    agent.apply(hook(peer.port, json!({"insecureSkipVerify": true}))).await;
    agent.alerts(1..2);
    agent.delivered("hook", 2).await;
}

#[tokio::test]
async fn syslog_over_tls() {
    let agent = Agent::start(json!([])).await;
    let directory = agent.directory.path();
    authority(directory, "one", "localhost");
    let acceptor = TlsAcceptor::from(Arc::new(server(directory, "one", None)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tls://localhost:{}", listener.local_addr().unwrap().port());
    let more = json!({"tls": {"caFile": directory.join("one.ca")}});
    agent.apply(json!([sink("log", "syslog", &endpoint, more)])).await;
    agent.alerts(0..3);
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    for number in 0..3 {
        let message = next_message(&mut stream).await.unwrap();
        assert_eq!(numbers(message.as_bytes()), [number]);
    }
    agent.delivered("log", 3).await;
}
