//! From the initramfs to a root file system with everything mounted, and the way out.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use guest::{FILES, HOST_NAME, LEGACY_GROUPS, MODULES, OUT, PLAN, Plan, disk};
use rustix::mount::{MountFlags, mount, mount_move, mount_remount};

use crate::{disks, process};

const NEW_ROOT: &str = "/root";

/// Brings the machine up as far as any work needs it.
pub(crate) fn bring_up() -> Result<Plan> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        mount_new(kind, at, "")?;
    }
    let plan: Plan = serde_json::from_slice(&fs::read(PLAN).context(PLAN)?).context(PLAN)?;
    for name in &plan.modules {
        insert_module(&Path::new(MODULES).join(name))?;
    }
    enter_root()?;
    mount_the_rest()?;
    rustix::system::sethostname(HOST_NAME.as_bytes()).context("set the host name")?;
    fs::create_dir_all(OUT)?;
    process::check(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    Ok(plan)
}

fn insert_module(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    match rustix::system::finit_module(&file, c"", 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("insert module {}", path.display())),
    }
}

/// Mounts the disks, lays the plan's files over them and makes them the root. The initramfs gives
/// its memory back: a machine with little memory would miss it.
fn enter_root() -> Result<()> {
    fs::create_dir_all(NEW_ROOT)?;
    mount_disk(disk::ROOT, NEW_ROOT, MountFlags::NOATIME)?;
    mount_disk(disk::MODULES, &format!("{NEW_ROOT}/usr/lib/modules"), MountFlags::RDONLY)?;
    if Path::new(FILES).exists() {
        lay_over(Path::new(FILES), Path::new(NEW_ROOT))?;
    }
    for gone in [FILES, MODULES] {
        let _ = fs::remove_dir_all(gone);
    }
    for at in ["/proc", "/sys", "/dev"] {
        mount_move(at, format!("{NEW_ROOT}{at}")).with_context(|| format!("move {at}"))?;
    }
    std::env::set_current_dir(NEW_ROOT)?;
    mount_move(".", "/").context("make the disk the root")?;
    rustix::process::chroot(".").context("make the disk the root")?;
    std::env::set_current_dir("/")?;
    Ok(())
}

/// Copies the tree `from` into `to`, replacing files, modes kept.
fn lay_over(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            lay_over(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}

fn mount_the_rest() -> Result<()> {
    for (kind, at, options) in [
        ("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666"),
        ("tmpfs", "/dev/shm", "mode=1777"),
        ("tmpfs", "/run", "mode=755"),
        ("tmpfs", "/tmp", "mode=1777"),
        ("securityfs", "/sys/kernel/security", ""),
        ("bpf", "/sys/fs/bpf", ""),
        ("tracefs", "/sys/kernel/tracing", ""),
    ] {
        mount_new(kind, at, options)?;
    }
    mount_control_groups()
}

/// Version 2, unless the kernel's command line asks for version 1 as it was before: a hierarchy each for what every
/// kernel still offers there.
fn mount_control_groups() -> Result<()> {
    const ROOT: &str = "/sys/fs/cgroup";
    let line = fs::read_to_string("/proc/cmdline")?;
    if !line.split_whitespace().any(|word| word == LEGACY_GROUPS) {
        return mount_new("cgroup2", ROOT, "");
    }
    mount_new("tmpfs", ROOT, "mode=755")?;
    for controllers in ["cpu,cpuacct", "devices", "freezer", "pids"] {
        mount_new("cgroup", &format!("{ROOT}/{controllers}"), controllers)?;
    }
    mount_new("cgroup", &format!("{ROOT}/systemd"), "none,name=systemd")
}

fn mount_new(kind: &str, at: &str, options: &str) -> Result<()> {
    // Mount points inside sysfs exist already and refuse mkdir.
    if !Path::new(at).exists() {
        fs::create_dir_all(at).with_context(|| at.to_owned())?;
    }
    let options = std::ffi::CString::new(options)?;
    mount(kind, at, kind, MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("mount {kind} on {at}"))
}

fn mount_disk(serial: &str, at: &str, flags: MountFlags) -> Result<()> {
    let device = disks::find(serial)?;
    fs::create_dir_all(at).with_context(|| at.to_owned())?;
    mount(&device, at, "ext4", flags, c"")
        .with_context(|| format!("mount {} on {at}", device.display()))
}

/// Leaves the disks clean and switches the machine off. Never returns to a caller: a first process
/// that ends is a kernel panic.
pub(crate) fn power_off() -> ! {
    rustix::fs::sync();
    // Fails while something still writes; the disk of such a boot is thrown away.
    let _ = mount_remount("/", MountFlags::RDONLY, c"");
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}
