//! A real cluster: etcd and Kubernetes' own control plane on this machine, a node with containerd in a virtual one, our
//! image on it. It lives as long as the command that starts it.

mod certificates;
mod control_plane;
mod etcd;
mod kubernetes;
mod node;
mod requests;
mod way;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Subcommand;

pub(crate) use self::kubernetes::{Availability, Kubernetes};
use self::{
    certificates::{ADMIN, Folder},
    control_plane::{ControlPlane, Ports},
    node::{Node, Shape},
    requests::{Request, Requests},
};
use crate::{
    checkout::Checkout,
    program::{self, step},
};

/// A node in emulation takes a minute or two.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often a cluster looks whether all its parts are alive.
const LOOK: Duration = Duration::from_secs(1);

/// `cargo xtask cluster ...`
#[derive(Subcommand)]
pub(crate) enum Task {
    /// Build Kubernetes and fetch etcd into the cache
    Build,
    /// Start a cluster, and end it with ^C or `cluster down`
    Up {
        #[command(flatten)]
        shape: Shape,
        /// The control plane alone: an API server within seconds, and pods that nobody runs
        #[arg(long)]
        no_node: bool,
    },
    /// End the cluster that runs
    Down,
    /// How the cluster that runs is
    Status,
    /// Ask something of the cluster that runs
    Ask {
        /// What
        request: Request,
    },
    /// kubectl, as the administrator of the cluster that runs
    Kubectl {
        /// What kubectl is given
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Start a cluster, run its tests, end it
    Test(Test),
}

/// `cargo xtask cluster test`
#[derive(clap::Args)]
pub(crate) struct Test {
    #[command(flatten)]
    shape: Shape,
    /// Only tests whose name contains one of these
    #[arg(long, value_name = "SUBSTRING")]
    filter: Vec<String>,
    /// Run the tests in the cluster that runs
    #[arg(long)]
    running: bool,
}

/// Performs a task of the cluster.
pub(crate) fn perform(checkout: &Checkout, task: Task) -> Result<ExitCode> {
    let directory = directory(checkout);
    match task {
        Task::Build => {
            Kubernetes::get(checkout)?;
            etcd::get(checkout)?;
        }
        Task::Up { shape, no_node } => {
            let shape = (!no_node).then_some(&shape);
            serve(Cluster::start(checkout, shape, &directory)?, &directory)?;
        }
        Task::Down => ask(&directory, Request::Down)?,
        Task::Status => ask(&directory, Request::Status)?,
        Task::Ask { request } => ask(&directory, request)?,
        Task::Kubectl { arguments } => return kubectl(checkout, &arguments, &directory),
        Task::Test(test) if test.running => {
            build_tests(checkout)?;
            let status = tests(checkout, &test, &directory)?.status()?;
            return Ok(exit_code(status.code()));
        }
        Task::Test(test) => return test_in_new(checkout, &test, &directory),
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(directory: &Path, request: Request) -> Result<()> {
    println!("{}", requests::ask(directory, request)?);
    Ok(())
}

fn kubectl(checkout: &Checkout, arguments: &[String], directory: &Path) -> Result<ExitCode> {
    if !requests::is_running(directory) {
        bail!("no cluster runs here\nhint: cargo xtask cluster up");
    }
    let kubernetes = Kubernetes::get(checkout)?;
    let mut kubectl = control_plane::kubectl(&kubernetes, &kubeconfig(directory));
    let status = kubectl.args(arguments).status().context("cannot start kubectl")?;
    Ok(exit_code(status.code()))
}

fn serve(mut cluster: Cluster, directory: &Path) -> Result<()> {
    println!("export KUBECONFIG={}", kubeconfig(directory).display());
    eprintln!("the cluster is up; ^C or `cargo xtask cluster down` ends it");
    while cluster.serve()? {}
    cluster.stop()
}

fn test_in_new(checkout: &Checkout, test: &Test, directory: &Path) -> Result<ExitCode> {
    build_tests(checkout)?;
    let mut cluster = Cluster::start(checkout, Some(&test.shape), directory)?;
    let mut running =
        Running(tests(checkout, test, directory)?.spawn().context("cannot start the tests")?);
    let code = loop {
        if let Some(status) = running.0.try_wait()? {
            break status.code();
        }
        if !cluster.serve()? {
            bail!("the cluster was asked to end before its tests did");
        }
    };
    cluster.stop()?;
    if code != Some(0) {
        eprintln!("what the parts of the cluster said: {}", directory.display());
    }
    Ok(exit_code(code))
}

/// The crate with the tests.
const TESTS: &str = "cluster-tests";

fn build_tests(checkout: &Checkout) -> Result<()> {
    let mut cargo = program::cargo(checkout);
    cargo.args(["build", "--quiet", "--package", TESTS]);
    step("building the tests of the cluster", || program::run(&mut cargo))
}

/// The tests, told of the cluster that runs.
fn tests(checkout: &Checkout, test: &Test, directory: &Path) -> Result<Command> {
    let kubernetes = Kubernetes::get(checkout)?;
    let mut tests = program::bound(checkout.target().join("debug").join(TESTS));
    tests
        .args(test.filter.iter().map(|filter| format!("--filter={filter}")))
        .env("KUBECTL", kubernetes.program("kubectl"))
        .env("KUBECONFIG", kubeconfig(directory))
        .env("KUBECACHEDIR", directory.join("kubectl"))
        .env("CLUSTER_REQUESTS", requests::socket(directory))
        .env("CLUSTER_DOOR", fs::read_to_string(door(directory)).unwrap_or_default())
        .stdin(Stdio::null());
    Ok(tests)
}

/// Tests that end when nobody waits for them any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when they have ended, which is the aim.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster of one node, or of none; it ends when this is dropped, or this program ends.
struct Cluster {
    plane: ControlPlane,
    node: Option<Node>,
    requests: Requests,
}

impl Cluster {
    /// Starts everything; returns when pods can be started, or where there is no node, when the API server answers.
    fn start(checkout: &Checkout, shape: Option<&Shape>, directory: &Path) -> Result<Self> {
        if requests::is_running(directory) {
            bail!("a cluster runs already\nhint: cargo xtask cluster down");
        }
        let kubernetes = Kubernetes::get(checkout)?;
        let etcd = etcd::get(checkout)?;
        if directory.exists() {
            fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
        }
        fs::create_dir_all(directory)?;
        let ports = Ports::find()?;
        let pki = directory.join("pki");
        let certificates = Folder::make(&pki)?;
        control_plane::certify(&certificates, ports)?;
        let requests = Requests::listen(directory)?;
        // It boots while the control plane starts.
        let mut node = shape
            .map(|shape| {
                let machine =
                    node::machine(checkout, shape, &kubernetes, &pki, ports.node, directory)?;
                fs::write(door(directory), format!("127.0.0.1:{}", ports.node))?;
                Ok::<_, anyhow::Error>(Node::start(machine, ports.node, &directory.join("node")))
            })
            .transpose()?;
        let mut plane = step("the control plane", || {
            ControlPlane::start(kubernetes, &etcd, certificates, ports, directory)
        })?;
        if let Some(node) = &mut node {
            step("the node's kubelet", || node.await_kubelet())?;
            step("the node", || await_ready(&mut plane, node))?;
        }
        Ok(Self { plane, node, requests })
    }

    /// Answers a request if there is one; false when the cluster is to end.
    fn serve(&mut self) -> Result<bool> {
        self.plane.check()?;
        self.node.as_mut().map_or(Ok(()), Node::check)?;
        let Some((request, visitor)) = self.requests.next(LOOK)? else { return Ok(true) };
        let done = self.fulfil(request);
        requests::answer(&visitor, &done);
        Ok(request != Request::Down)
    }

    fn fulfil(&mut self, request: Request) -> Result<String> {
        Ok(match request {
            Request::Status => {
                program::read(self.plane.kubectl().args(["get", "nodes,pods", "-A", "-o", "wide"]))?
            }
            Request::Down => "the cluster ends".to_owned(),
            Request::ApiServerDown => {
                self.plane.stop_api_server()?;
                "the API server has ended".to_owned()
            }
            Request::ApiServerUp => {
                self.plane.start_api_server()?;
                "the API server is ready".to_owned()
            }
            Request::Reboot => {
                self.node.as_ref().context("there is no node")?.reboot()?;
                "the node reboots".to_owned()
            }
        })
    }

    fn stop(self) -> Result<()> {
        match self.node {
            Some(node) => step("ending the node", || node.stop()),
            None => Ok(()),
        }
    }
}

/// A node is ready when it says so and pods can have an identity.
fn await_ready(plane: &mut ControlPlane, node: &mut Node) -> Result<()> {
    let since = Instant::now();
    loop {
        plane.check()?;
        node.check()?;
        let asked = program::run(plane.kubectl().args([
            "wait",
            "--for=condition=Ready",
            "--timeout=5s",
            &format!("node/{}", guest::HOST_NAME),
        ]))
        .and_then(|()| program::run(plane.kubectl().args(["get", "serviceaccount", "default"])));
        match asked {
            Ok(()) => return Ok(()),
            Err(error) if since.elapsed() > PATIENCE => return Err(error),
            // Before there is a node, waiting for it fails at once.
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

fn directory(checkout: &Checkout) -> PathBuf {
    checkout.target().join("cluster")
}

/// The file that says where the node's door is.
fn door(directory: &Path) -> PathBuf {
    directory.join("door")
}

fn kubeconfig(directory: &Path) -> PathBuf {
    directory.join("pki").join(format!("{}.kubeconfig", ADMIN.name))
}

fn exit_code(code: Option<i32>) -> ExitCode {
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
