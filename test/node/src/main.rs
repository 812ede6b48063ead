//! The node of the test bed's cluster, in its virtual machine: a kubelet and a proxy of services, the network of pods, and
//! a door for the control plane, which is outside. `cargo xtask cluster` starts it there.
#![forbid(unsafe_code)]

mod door;
mod images;
mod network;
mod parts;

use std::{fs, path::Path, process::ExitCode, sync::mpsc};

use anyhow::{Context as _, Result, ensure};

use crate::{door::Wish, parts::Parts};

/// Where what a part says is kept; what is here when the node ends goes to the host.
const LOGS: &str = "/var/log";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    ensure!(guest::is_here(), "this is for the test bed's virtual machine");
    let (wishes, granted) = mpsc::channel();
    door::open(wishes)?;
    network::prepare()?;
    images::import()?;
    let parts = Parts::start()?;
    println!("{}", node::STARTED);
    let wish = granted.recv().context("nobody can wish anything any more")?;
    drop(parts);
    match wish {
        Wish::Stop => keep_logs(),
        Wish::Reboot => reboot(),
    }
}

fn keep_logs() -> Result<()> {
    for entry in fs::read_dir(LOGS)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().context("a log without a name")?;
            fs::copy(&path, Path::new(guest::OUT).join(name))?;
        }
    }
    Ok(())
}

/// The file systems have no journal: they are made read-only first, by the kernel's own emergency means, for
/// containers still have files open.
fn reboot() -> Result<()> {
    const REQUESTS: &str = "/proc/sysrq-trigger";
    println!("node: rebooting");
    rustix::fs::sync();
    fs::write(REQUESTS, "u").context(REQUESTS)?;
    while !is_read_only(&fs::read_to_string("/proc/mounts")?) {
        std::thread::yield_now();
    }
    rustix::system::reboot(rustix::system::RebootCommand::Restart).context("reboot")
}

/// Whether the file system at the root is, the one that was mounted there last.
fn is_read_only(mounts: &str) -> bool {
    let root = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/"));
    let options = root.and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
    options.split(',').any(|option| option == "ro")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_what_was_mounted_there_last() {
        let mounts =
            "rootfs / rootfs rw 0 0\n/dev/vda / ext4 ro,noatime 0 0\n/dev/vdb /x ext4 rw 0 0\n";
        assert!(is_read_only(mounts));
        assert!(!is_read_only("/dev/vda / ext4 rw,errors=remount-ro 0 0\n"));
    }
}
