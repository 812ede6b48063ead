//! The program's ways to an agent: the unix socket, TCP, TLS; and what it says where one is closed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use feed::{
    Certificates, Feed, FeedOptions, Listener, LocalSocket, PolicyAnswer, PolicyHandler,
    PolicyStatus, Provider, Services, TlsOptions, listen, serve,
};
use policy::Kind;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Willing;

#[feed::async_trait]
impl PolicyHandler for Willing {
    async fn apply(&self, _bytes: Vec<u8>, _kind: Kind) -> PolicyAnswer {
        PolicyAnswer { status: PolicyStatus::Applied, message: String::new() }
    }
}

const POLICY: &str = "\
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: one}
spec: {file: {matchPaths: [{path: /srv/x}]}, action: Block}
";

struct Server {
    runtime: Runtime,
    directory: TempDir,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self { runtime, directory: tempfile::tempdir().unwrap() }
    }

    fn serve(&self, listener: impl Into<Listener>) {
        let services = Services { policies: Some(Arc::new(Willing)), ..Services::default() };
        let feed = Feed::new(FeedOptions::default());
        self.runtime.spawn(serve(listener.into(), feed, services, std::future::pending()));
    }

    /// On TCP, with certificates of the directory or without TLS; returns the address.
    fn on_port(&self, tls: bool) -> String {
        let listener = self.runtime.block_on(listen(([127, 0, 0, 1], 0).into(), "gRPC")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        if tls {
            let options = TlsOptions {
                directory: self.directory.path().to_owned(),
                provider: Provider::SelfMade,
                names: vec!["127.0.0.1".to_owned()],
            };
            let certificates = Arc::new(Certificates::open(options).unwrap());
            self.serve(Listener::Tls(listener, certificates));
        } else {
            self.serve(listener);
        }
        address
    }

    fn tls_path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }
}

/// `karmor vm policy add -`.
fn add(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_karmor"))
        .args(["vm", "policy", "add", "-"])
        .args(arguments)
        .env_remove("KUBEARMOR_SERVICE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Fails where it ends before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(POLICY.as_bytes());
    child.wait_with_output().unwrap()
}

fn applied(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"Policy Applied\n", "{errors}");
    assert!(output.status.success());
}

/// What it says where it fails.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(errors.contains("\nhint: "), "{errors}");
    errors
}

#[test]
fn the_socket_takes_policies() {
    let server = Server::new();
    let path = server.directory.path().join("agent.sock");
    let socket = {
        let _context = server.runtime.enter();
        LocalSocket::listen(&path).unwrap()
    };
    server.serve(socket);
    applied(&add(&["--gRPC", &format!("unix:{}", path.display())]));
}

#[test]
fn a_port_without_tls_takes_none_and_the_way_out_is_told() {
    let server = Server::new();
    let address = server.on_port(false);
    let said = refused(&add(&["--gRPC", &address]));
    assert!(said.contains("allowUnauthenticatedPolicies"), "{said}");
    assert!(said.contains("as root and without --gRPC"), "{said}");
}

#[test]
fn tls_takes_policies_with_either_kind_of_certificate_and_unasked() {
    let server = Server::new();
    let address = server.on_port(true);
    let common = ["--gRPC", &address, "--tlsCertPath", server.tls_path()];
    applied(&add(&[&common[..], &["--secure"]].concat()));
    applied(&add(&[&common[..], &["--secure", "--tlsCertProvider", "external"]].concat()));
    applied(&add(&common));
}

#[test]
fn without_certificates_the_missing_file_is_named() {
    let server = Server::new();
    let address = server.on_port(true);
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    let said = refused(&add(&["--gRPC", &address, "--secure", "--tlsCertPath", path]));
    assert!(said.contains("ca.crt") && said.contains("--tlsCertPath"), "{said}");
    let said = refused(&add(&["--gRPC", &address, "--tlsCertPath", path]));
    assert!(said.contains("--secure"), "{said}");
}

#[test]
fn another_authority_is_told_with_the_way_out() {
    let (server, other) = (Server::new(), Server::new());
    let address = server.on_port(true);
    other.on_port(true);
    assert!(Path::new(other.tls_path()).join("ca.key").exists());
    let said = refused(&add(&["--gRPC", &address, "--secure", "--tlsCertPath", other.tls_path()]));
    assert!(said.contains("one authority"), "{said}");
}
