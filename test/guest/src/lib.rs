//! What the test bed's host and its virtual machine agree on: the plan that goes in with the
//! initramfs, the names of the disks, and the report that comes out. And the agent, as programs of the
//! virtual machine start it.

pub mod agent;
pub mod bench;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the plan lies in the initramfs.
pub const PLAN: &str = "/plan.json";
/// Directory of the initramfs with the modules to insert before any disk can be seen.
pub const MODULES: &str = "/modules";
/// Directory of the initramfs whose content is laid over the root file system.
pub const FILES: &str = "/files";
/// What the work leaves here comes back to the host.
pub const OUT: &str = "/out";
/// Where container images wait for [`Work::ImportImages`], on the root file system.
pub const IMAGES: &str = "/var/lib/testbed/images";
/// The container images, in the order they are imported.
pub const ROOTFS: [&str; 3] = ["debian", "split", "alpine"];
/// The results disk: the report fills the first block, a tar archive of [`OUT`] follows.
pub const REPORT_BLOCK: usize = 4096;

/// Serial numbers by which the guest finds its disks, whatever order the kernel saw them in.
pub mod disk {
    /// The root file system.
    pub const ROOT: &str = "root";
    /// The kernel's modules, read-only.
    pub const MODULES: &str = "modules";
    /// Raw: a report and an archive.
    pub const RESULTS: &str = "results";

    /// Those of [`Plan::disks`](super::Plan::disks), in their order.
    pub fn more(number: usize) -> String {
        format!("more{number}")
    }
}

/// The network of a machine that has one: QEMU's own.
pub mod network {
    /// The guest's address.
    pub const ADDRESS: &str = "10.0.2.15";
    /// How long the part of it is that names the network.
    pub const PREFIX: u8 = 24;
    /// The machine that runs the virtual one.
    pub const GATEWAY: &str = "10.0.2.2";
}

/// The image that holds the namespaces of a pod together.
pub const PAUSE: &str = "testbed.invalid/pause:latest";
/// Where containerd looks for the configuration of pods' network.
pub const POD_NETWORK: &str = "/run/testbed/cni";

/// The name of the container image made from one of [`ROOTFS`].
pub fn image_name(rootfs: &str) -> String {
    format!("testbed/{rootfs}:latest")
}

/// On the kernel's command line: control groups are those of version 1.
pub const LEGACY_GROUPS: &str = "testbed.cgroups=1";
/// The first line of the guest's first process on the console.
pub const STARTED: &str = "guest: started";
/// What the machine calls itself.
pub const HOST_NAME: &str = "testbed";

/// Whether this is the test bed's virtual machine.
pub fn is_here() -> bool {
    rustix::system::uname().nodename().to_bytes() == HOST_NAME.as_bytes()
}

/// What a boot is for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// File names in [`MODULES`], in the order to insert them.
    pub modules: Vec<String>,
    /// Start containerd before the work and wait until it answers.
    pub containerd: bool,
    /// Whether there is a network card to set up.
    pub network: bool,
    /// Where more disks are mounted, read-only.
    pub disks: Vec<PathBuf>,
    /// What to do once the machine is up.
    pub work: Work,
}

/// The work of a boot; its exit status is the machine's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Work {
    /// Run a program as root.
    Run {
        /// The program and its arguments; no shell is added.
        argv: Vec<String>,
    },
    /// A login shell on the serial console, with the agent running when it is installed.
    Shell,
    /// Import every image of [`IMAGES`] into containerd for good.
    ImportImages,
}

/// How the work ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Exit status as a shell counts it: 128 and the signal for a killed program.
    pub status: i32,
    /// Why the work could not be done, if it could not.
    pub error: Option<String>,
}
