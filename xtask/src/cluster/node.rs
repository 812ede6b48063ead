//! The node: a virtual machine with containerd, in which the crate `node` starts a kubelet.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use node::{CERTIFICATES, DIRECTORY, DOOR, IMAGES, PROGRAMS};

use super::kubernetes::Kubernetes;
use crate::{
    binaries,
    checkout::Checkout,
    image::{
        self,
        oci::{Image, Layer},
    },
    program::step,
    vm::{Host, Kernel, Machine, Series, disk},
};

/// Where the guest has the program.
const PROGRAM: &str = "/usr/local/bin/node";
/// Longer than anybody looks at a cluster.
const DEADLINE: Duration = Duration::from_hours(24);
/// What a node of the cluster gets of the certificates: its own, and none of the control plane's.
const CERTIFICATE_FILES: [&str; 9] = [
    "ca.crt",
    "kubelet.crt",
    "kubelet.key",
    "kubelet.kubeconfig",
    "kubelet-server.crt",
    "kubelet-server.key",
    "proxy.crt",
    "proxy.key",
    "proxy.kubeconfig",
];

/// What is to run on.
#[derive(clap::Args)]
pub(crate) struct Shape {
    /// The series of the node's kernel
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// MiB of the node's memory
    #[arg(long, default_value_t = 4096)]
    memory: u32,
}

/// A machine that has been started; it ends with this program at the latest.
pub(super) struct Node {
    /// Leads to the node's door.
    port: u16,
    machine: JoinHandle<Result<()>>,
    started: Receiver<()>,
}

impl Node {
    /// Boots the machine; `directory` gets the node's console, and its logs when it is stopped.
    pub(super) fn start(machine: Machine, port: u16, directory: &Path) -> Self {
        let directory = directory.to_owned();
        let (say, started) = mpsc::channel();
        let machine = thread::spawn(move || {
            fs::create_dir_all(&directory)?;
            let mut console = fs::File::create(directory.join("console.log"))?;
            let outcome = machine.run(&[PROGRAM.to_owned()], &directory, &mut |line| {
                if line == node::STARTED {
                    let _ = say.send(());
                }
                // A console that cannot be kept is no reason to end a cluster.
                let _ = writeln!(console, "{line}");
            })?;
            ensure!(outcome.status == 0, "the node ended with status {}", outcome.status);
            Ok(())
        });
        Self { port, machine, started }
    }

    /// Returns when the kubelet has been started.
    pub(super) fn await_kubelet(&mut self) -> Result<()> {
        if self.started.recv().is_ok() {
            return Ok(());
        }
        // The sender is gone, and so is the machine.
        self.check()?;
        bail!("the node ended")
    }

    /// Fails when the machine has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if !self.machine.is_finished() {
            return Ok(());
        }
        let machine = std::mem::replace(&mut self.machine, thread::spawn(|| Ok(())));
        match machine.join() {
            Ok(ended) => ended.and_then(|()| bail!("the node has been switched off")),
            Err(_) => bail!("the node's thread ended"),
        }
    }

    /// Boots the machine anew, its disks as they are.
    pub(super) fn reboot(&self) -> Result<()> {
        self.ask("POST", node::REBOOT).map(drop)
    }

    /// Ends the machine; returns when its logs are here.
    pub(super) fn stop(self) -> Result<()> {
        self.ask("POST", node::STOP)?;
        self.machine.join().unwrap_or_else(|_| bail!("the node's thread ended"))
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut door = TcpStream::connect(("127.0.0.1", self.port)).context("the node's door")?;
        write!(door, "{method} {path} HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        door.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        ensure!(head.contains(" 20"), "{method} {path}: the node says {head}");
        Ok(body.to_owned())
    }
}

/// A machine with all that a node needs, to be reached through `port`.
pub(super) fn machine(
    checkout: &Checkout,
    shape: &Shape,
    kubernetes: &Kubernetes,
    certificates: &Path,
    port: u16,
    directory: &Path,
) -> Result<Machine> {
    let program = step("building the static programs", || binaries::program(checkout, "node"))?;
    let kernel = Kernel::get(checkout, shape.kernel)?;
    let mut machine = Machine::new(checkout, kernel, Host::get(checkout)?)?;
    let disk = directory.join("node.ext4");
    step("the node's disk", || {
        make_disk(checkout, kubernetes, certificates, &disk, &directory.join("disk"))
    })?;
    machine.containerd = true;
    machine.memory = shape.memory;
    machine.network = Some(vec![(port, DOOR)]);
    machine.reboots = true;
    machine.deadline = DEADLINE;
    machine.files.push((program, PathBuf::from(PROGRAM)));
    machine.disks.push((disk, PathBuf::from(DIRECTORY)));
    Ok(machine)
}

fn make_disk(
    checkout: &Checkout,
    kubernetes: &Kubernetes,
    certificates: &Path,
    disk: &Path,
    tree: &Path,
) -> Result<()> {
    for directory in [PROGRAMS, CERTIFICATES, IMAGES] {
        fs::create_dir_all(tree.join(directory))?;
    }
    for program in ["kubelet", "kube-proxy"] {
        link(&kubernetes.program(program), &tree.join(PROGRAMS).join(program))?;
    }
    for file in CERTIFICATE_FILES {
        link(&certificates.join(file), &tree.join(CERTIFICATES).join(file))?;
    }
    let images = tree.join(IMAGES);
    let built = |name| binaries::program(checkout, name);
    image::product(checkout, &built("kubearmor")?, &images)?;
    pause(&built("pause")?, &images)?;
    disk::make_ext4(tree, disk, disk::Size::Fitting)?;
    fs::remove_dir_all(tree).with_context(|| tree.display().to_string())
}

/// Packs the image that every pod begins with.
fn pause(program: &Path, images: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(images)?;
    let root = work.path().join("root");
    fs::create_dir(&root)?;
    link(program, &root.join("pause"))?;
    let layer = work.path().join("layer.tar");
    image::pack(&root, &layer)?;
    let image = Image {
        name: guest::PAUSE.to_owned(),
        layers: vec![Layer::plain(&layer)?],
        entrypoint: vec!["/pause".to_owned()],
        command: Vec::new(),
        labels: Vec::new(),
        created: None,
    };
    image.write(&images.join("pause.tar")).map(drop)
}

/// A second name for the file, or a copy where file systems differ.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}
