//! Questions over HTTPS, as an API server asks them: it trusts the `caBundle` and nothing else.

use std::{net::SocketAddr, sync::Arc};

use controller::{
    admission::Strictness,
    certificates::Keeper,
    metrics::Admissions,
    serve::{Probes, Shown, Webhook, serve_probes, serve_webhook},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    api::Server,
    certificates::{WEBHOOK, place, register},
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Who trusts what the webhook configuration says now.
fn trusting(server: &Server) -> TlsConnector {
    let registered = &server.get(WEBHOOK).unwrap()["webhooks"][0]["clientConfig"]["caBundle"];
    let bundle: ByteString = serde_json::from_value(registered.clone()).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bundle.0) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    trust: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("hook.kubearmor.svc").unwrap();
    trust.connect(name, TcpStream::connect(address).await.unwrap()).await
}

/// One connection, for several requests.
struct Peer(http1::SendRequest<Full<Bytes>>);

impl Peer {
    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self, method: &str, path: &str, body: String) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "hook")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn is_allowed(&mut self, path: &str) -> bool {
        let (status, body) = self.ask("POST", "/validate", review(path)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["response"]["allowed"].as_bool().unwrap()
    }
}

fn review(path: &str) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "security.kubearmor.com", "version": "v1", "kind": "KubeArmorPolicy"},
            "operation": "CREATE",
            "object": {
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "file": {"matchPaths": [{"path": path}]},
                    "action": "Block",
                },
            },
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_the_webhook_answers() {
    let server = Server::start().await;
    register(&server);
    let shown = Arc::new(Shown::default());
    let mut keeper = Keeper::new(server.client(), place(), Arc::clone(&shown));
    let now = OffsetDateTime::now_utc();
    keeper.tend(now).await.unwrap();

    let admissions = Arc::new(Admissions::default());
    let (listener, address) = listen().await;
    let (end, ends) = watch::channel(false);
    let webhook = Webhook { shown, strictness: Strictness::Lint, admissions };
    let serving = tokio::spawn(serve_webhook(listener, webhook, ends));

    let before = trusting(&server);
    let stream = connect(&before, address).await.unwrap();
    let first = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut peer = Peer::over(stream).await;
    assert!(peer.is_allowed("/etc/shadow").await);
    assert!(!peer.is_allowed("etc/shadow").await);

    // By then the certificate has had two thirds of its life, and is still good.
    keeper.tend(now + Duration::days(61)).await.unwrap();
    assert!(peer.is_allowed("/etc/shadow").await, "who is connected stays connected");
    let stream = connect(&before, address).await.unwrap();
    let second = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_ne!(first, second);
    assert!(Peer::over(stream).await.is_allowed("/etc/shadow").await);

    // A new authority: clients that know it as of now trust what is shown now.
    server.delete(crate::certificates::SECRET);
    keeper.tend(now).await.unwrap();
    let stream = connect(&trusting(&server), address).await.unwrap();
    assert!(Peer::over(stream).await.is_allowed("/etc/shadow").await);
    assert!(connect(&before, address).await.is_err(), "the old authority did not issue this one");

    end.send_replace(true);
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_is_no_question_gets_no_verdict_and_is_counted() {
    let server = Server::start().await;
    register(&server);
    let shown = Arc::new(Shown::default());
    let mut keeper = Keeper::new(server.client(), place(), Arc::clone(&shown));
    keeper.tend(OffsetDateTime::now_utc()).await.unwrap();
    let admissions = Arc::new(Admissions::default());
    let (listener, address) = listen().await;
    let (_end, ends) = watch::channel(false);
    let webhook = Webhook {
        shown: Arc::clone(&shown),
        strictness: Strictness::Lint,
        admissions: Arc::clone(&admissions),
    };
    tokio::spawn(serve_webhook(listener, webhook, ends.clone()));
    let trust = trusting(&server);
    let mut peer = Peer::over(connect(&trust, address).await.unwrap()).await;
    assert_eq!(peer.ask("POST", "/other", review("/x")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(peer.ask("GET", "/validate", String::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, body) = peer.ask("POST", "/validate", "{}".into()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("no AdmissionReview"), "{body}");
    let (status, _) = peer.ask("POST", "/validate", " ".repeat(9 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut peer = Peer::over(connect(&trust, address).await.unwrap()).await;
    assert!(peer.is_allowed("/etc/shadow").await);

    let candidate = controller::lease::Candidate::new(&server.client(), "kubearmor", "c", "a");
    let source = controller::metrics::Controller {
        admissions,
        leadership: Arc::default(),
        leading: candidate.leading(),
        shown: Arc::clone(&shown),
    };
    let (listener, address) = listen().await;
    let probes = Probes { shown, sources: vec![Arc::new(source)] };
    tokio::spawn(serve_probes(listener, probes, ends));
    let mut peer = Peer::over(TcpStream::connect(address).await.unwrap()).await;
    let (_, page) = peer.ask("GET", "/metrics", String::new()).await;
    for line in [
        "kubearmor_controller_admission_failures_total{reason=\"unreadable\"} 2",
        "kubearmor_controller_admission_requests_total{verdict=\"allowed\"} 1",
        "kubearmor_controller_admission_seconds_count 1",
        "kubearmor_controller_leader 0",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}\n{page}");
    }
    assert!(page.contains("\nkubearmor_controller_certificate_expiry_seconds "), "{page}");
    assert!(!page.contains("kubearmor_controller_policies"), "only who leads knows them");
}

#[tokio::test]
async fn ready_is_who_has_a_certificate() {
    let server = Server::start().await;
    let shown = Arc::new(Shown::default());
    let (listener, address) = listen().await;
    let (_end, ends) = watch::channel(false);
    let probes = Probes { shown: Arc::clone(&shown), sources: Vec::new() };
    tokio::spawn(serve_probes(listener, probes, ends));
    let mut peer = Peer::over(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(peer.ask("GET", "/healthz", String::new()).await.0, StatusCode::OK);
    let (status, _) = peer.ask("GET", "/readyz", String::new()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    Keeper::new(server.client(), place(), shown).tend(OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!(peer.ask("GET", "/readyz", String::new()).await.0, StatusCode::OK);
}
