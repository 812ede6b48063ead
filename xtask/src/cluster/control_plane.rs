//! etcd, the API server, the controller manager and the scheduler, as children of this program on loopback ports that
//! were free.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{
    certificates::{self, AUTHORITY, AUTHORITY_KEY, Folder, TOKENS_KEY, TOKENS_PUBLIC_KEY},
    kubernetes::Kubernetes,
    way,
};
use crate::program;

/// Where the node sees this machine.
pub(super) const THIS_MACHINE: &str = "10.0.2.2";
const API_SERVER: &str = "kube-apiserver";
/// The socket of the API server's way to the node.
const WAY: &str = "way";
const SERVICES: &str = "10.96.0.0/16";
/// The service `kubernetes`, the first address of [`SERVICES`].
const API_SERVICE: &str = "10.96.0.1";
/// An API server is there within a few seconds, on a machine that is not busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// The ports of this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) api: u16,
    etcd: u16,
    etcd_peers: u16,
    controller_manager: u16,
    scheduler: u16,
    /// Of the node's way in; see the crate `node`.
    pub(super) node: u16,
}

impl Ports {
    /// Ports that nobody listened on a moment ago.
    pub(super) fn find() -> Result<Self> {
        // Held together, so that no two are the same.
        let held: Vec<TcpListener> = (0..6)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        let port = |index: usize| held[index].local_addr().map(|address| address.port());
        Ok(Self {
            api: port(0)?,
            etcd: port(1)?,
            etcd_peers: port(2)?,
            controller_manager: port(3)?,
            scheduler: port(4)?,
            node: port(5)?,
        })
    }
}

/// The control plane; it ends when this is dropped, or this program ends.
pub(super) struct ControlPlane {
    kubernetes: Kubernetes,
    certificates: Folder,
    ports: Ports,
    /// Of data and logs.
    directory: PathBuf,
    /// In the order they were started in.
    children: Vec<(&'static str, Child)>,
}

impl ControlPlane {
    /// Starts everything; returns when the API server is ready.
    pub(super) fn start(
        kubernetes: Kubernetes,
        etcd: &Path,
        certificates: Folder,
        ports: Ports,
        directory: &Path,
    ) -> Result<Self> {
        let directory = directory.to_owned();
        let mut plane = Self { kubernetes, certificates, ports, directory, children: Vec::new() };
        way::open(&plane.directory.join(WAY), ports.node)?;
        plane.start_etcd(etcd)?;
        plane.start_api_server()?;
        plane.start_controller_manager()?;
        plane.start_scheduler()?;
        Ok(plane)
    }

    /// Fails when a part has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "{name} ended with {status}:\n{}",
                    tail(&log_path(&self.directory, name)).unwrap_or_default()
                );
            }
        }
        Ok(())
    }

    /// A kubectl of the one who may do everything.
    pub(super) fn kubectl(&self) -> Command {
        kubectl(&self.kubernetes, &self.certificates.file("admin.kubeconfig"))
    }

    /// Ends the API server; all else stays, etcd with its data among it.
    pub(super) fn stop_api_server(&mut self) -> Result<()> {
        let at = self.children.iter().position(|(name, _)| *name == API_SERVER);
        let (_, mut child) = self.children.remove(at.context("the API server does not run")?);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts the API server; returns when it is ready.
    pub(super) fn start_api_server(&mut self) -> Result<()> {
        let Ports { api, etcd, .. } = self.ports;
        let egress = self.directory.join("egress.json");
        // Pods, services and the kubelet are addresses of the node's network, which this machine is not in.
        let selection = |name: &str, connection| json!({ "name": name, "connection": connection });
        let through = json!({
            "proxyProtocol": "HTTPConnect",
            "transport": { "uds": { "udsName": self.directory.join(WAY) } },
        });
        let configuration = json!({
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [
                selection("cluster", through),
                selection("controlplane", json!({ "proxyProtocol": "Direct" })),
                selection("etcd", json!({ "proxyProtocol": "Direct" })),
            ],
        });
        fs::write(&egress, configuration.to_string())?;
        let mut server = program::bound(self.kubernetes.program(API_SERVER));
        server
            .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={api}"))
            .arg(format!("--advertise-address={THIS_MACHINE}"))
            .arg(format!("--service-cluster-ip-range={SERVICES}"))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg("--authorization-mode=Node,RBAC")
            .arg("--enable-admission-plugins=NodeRestriction")
            .arg("--allow-privileged=true")
            .arg("--kubelet-preferred-address-types=InternalIP");
        for (option, file) in [
            ("tls-cert-file", "apiserver.crt"),
            ("tls-private-key-file", "apiserver.key"),
            ("client-ca-file", AUTHORITY),
            ("service-account-key-file", TOKENS_PUBLIC_KEY),
            ("service-account-signing-key-file", TOKENS_KEY),
            ("kubelet-certificate-authority", AUTHORITY),
            ("kubelet-client-certificate", "to-kubelet.crt"),
            ("kubelet-client-key", "to-kubelet.key"),
        ] {
            server.arg(self.option(option, file));
        }
        server.arg(format!("--egress-selector-config-file={}", egress.display()));
        self.start_child(API_SERVER, server)?;
        self.await_ready()
    }

    fn start_etcd(&mut self, program: &Path) -> Result<()> {
        let Ports { etcd, etcd_peers, .. } = self.ports;
        let clients = format!("http://127.0.0.1:{etcd}");
        let peers = format!("http://127.0.0.1:{etcd_peers}");
        let mut server = program::bound(program);
        server
            .arg(format!("--data-dir={}", self.directory.join("etcd").display()))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=default={peers}"))
            // The data do not outlive the test.
            .arg("--unsafe-no-fsync");
        self.start_child("etcd", server)
    }

    fn start_controller_manager(&mut self) -> Result<()> {
        let mut server = program::bound(self.kubernetes.program("kube-controller-manager"));
        server
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.ports.controller_manager))
            .arg("--leader-elect=false")
            .arg("--use-service-account-credentials");
        for (option, file) in [
            ("kubeconfig", "controller-manager.kubeconfig"),
            ("service-account-private-key-file", TOKENS_KEY),
            ("root-ca-file", AUTHORITY),
            ("cluster-signing-cert-file", AUTHORITY),
            ("cluster-signing-key-file", AUTHORITY_KEY),
        ] {
            server.arg(self.option(option, file));
        }
        self.start_child("kube-controller-manager", server)
    }

    fn start_scheduler(&mut self) -> Result<()> {
        let mut server = program::bound(self.kubernetes.program("kube-scheduler"));
        server
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.ports.scheduler))
            .arg("--leader-elect=false")
            .arg(self.option("kubeconfig", "scheduler.kubeconfig"));
        self.start_child("kube-scheduler", server)
    }

    fn option(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.certificates.file(file).display())
    }

    fn start_child(&mut self, name: &'static str, mut program: Command) -> Result<()> {
        let path = log_path(&self.directory, name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        let child = program
            // Of its own: ^C on the terminal is for this program alone.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| program::not_started(&program, error))?;
        self.children.push((name, child));
        Ok(())
    }

    fn await_ready(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            self.check()?;
            let asked = program::run(self.kubectl().args(["get", "--raw", "/readyz"]));
            match asked {
                Ok(()) => return Ok(()),
                Err(error) if since.elapsed() > PATIENCE => {
                    return Err(error).context("the API server does not become ready");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Last first: what has lost its server would only write errors.
        for (_, child) in self.children.iter_mut().rev() {
            // Fails when it has ended, which is the aim.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Issues everybody's certificate, the node's among them.
pub(super) fn certify(folder: &Folder, ports: Ports) -> Result<()> {
    let Ports { api, .. } = ports;
    let here = format!("127.0.0.1:{api}");
    let from_node = format!("{THIS_MACHINE}:{api}");
    let hosts = [
        "127.0.0.1",
        "localhost",
        THIS_MACHINE,
        API_SERVICE,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    folder.server("apiserver", &hosts)?;
    folder.server("kubelet-server", &[guest::HOST_NAME, guest::network::ADDRESS])?;
    for client in [
        certificates::ADMIN,
        certificates::TO_KUBELET,
        certificates::CONTROLLER_MANAGER,
        certificates::SCHEDULER,
    ] {
        folder.client(&client, &here)?;
    }
    for client in [certificates::KUBELET, certificates::PROXY] {
        folder.client(&client, &from_node)?;
    }
    Ok(())
}

/// kubectl for the cluster that `kubeconfig` names, with nothing of the user's own.
pub(super) fn kubectl(kubernetes: &Kubernetes, kubeconfig: &Path) -> Command {
    let mut kubectl = Command::new(kubernetes.program("kubectl"));
    kubectl.env("KUBECONFIG", kubeconfig);
    // What kubectl remembers of a server's resources goes by its address, and an earlier cluster may have had the same.
    if let Some(directory) = kubeconfig.parent() {
        kubectl.env("KUBECACHEDIR", directory.join("kubectl"));
    }
    kubectl
}

fn log_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

fn tail(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
}
