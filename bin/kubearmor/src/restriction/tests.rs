//! A child of the test program restricts itself as the agent does and then tries what the agent does, and what it does
//! not.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use policy::syscall::{self, Architecture};
use rustix::{
    fs::MemfdFlags,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
    thread::capabilities,
};

use super::{
    OTHERS, Outcome, apply,
    calls::{ANYHOW, NARROWLY},
    capabilities::kept,
};
use crate::config::{Config, SelfRestriction};

const CHILD: &str = "KUBEARMOR_RESTRICTED_CHILD";

/// Runs the ignored test of this name in a process of its own.
fn child(name: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("restriction::tests::{name}"))
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}{errors}");
}

fn restricted(how: SelfRestriction) -> Config {
    assert!(std::env::var_os(CHILD).is_some(), "this would restrict the other tests");
    let config = Config { self_restriction: how, ..Config::default() };
    let mut outcomes = apply(&config);
    // The test program's own thread was there before.
    assert_eq!(outcomes.pop(), Some(Outcome::Problem(format!("{OTHERS}: 1"))));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))), "{outcomes:?}");
    config
}

fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[test]
fn a_restricted_process_does_what_the_agent_does() {
    child("does_what_the_agent_does");
}

#[test]
#[ignore = "restricts its process: run by a_restricted_process_does_what_the_agent_does"]
fn does_what_the_agent_does() {
    let directory = tempfile::tempdir().unwrap();
    restricted(SelfRestriction::On);
    files(directory.path());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = tokio::spawn(tokio::net::TcpStream::connect(address));
        listener.accept().await.unwrap().0.set_nodelay(true).unwrap();
        client.await.unwrap().unwrap();
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let here = tokio::fs::read_to_string("/proc/self/comm").await.unwrap();
        assert!(!here.is_empty());
    });
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let other = thread::Builder::new().name("other".to_owned()).spawn(move || {
        UnixStream::connect(path).unwrap().write_all(b"x").unwrap();
        assert_eq!(status("NoNewPrivs"), "1", "also in threads that begin later");
        assert_eq!(status("Seccomp"), "2");
    });
    let mut byte = [0];
    listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    other.unwrap().join().unwrap();
    assert!(thread::available_parallelism().unwrap().get() > 0);
}

fn files(directory: &Path) {
    let (one, two) = (directory.join("one"), directory.join("two"));
    crate::instance::write_whole(&one, "text", 0o600).unwrap();
    File::open(&one).unwrap().sync_all().unwrap();
    fs::rename(&one, &two).unwrap();
    assert_eq!(fs::read(&two).unwrap(), b"text");
    fs::create_dir(directory.join("below")).unwrap();
    assert_eq!(fs::read_dir(directory).unwrap().count(), 2);
    fs::canonicalize(&two).unwrap();
    fs::remove_file(&two).unwrap();
    fs::remove_dir(directory.join("below")).unwrap();
    let changed = directory.to_owned();
    crate::watch::directories(&[changed], || true).unwrap();
}

#[test]
fn a_restricted_process_does_nothing_else() {
    child("does_nothing_else");
}

fn refused<T>(tried: Result<T, impl Into<io::Error>>, what: &str) {
    let error = tried.map(drop).map_err(Into::into).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
}

#[test]
#[ignore = "restricts its process: run by a_restricted_process_does_nothing_else"]
fn does_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let had = capabilities(None).unwrap().permitted;
    let config = restricted(SelfRestriction::On);
    let kept = format!("{:016x}", (had & kept(&config)).bits());
    assert_eq!((status("CapPrm"), status("CapEff")), (kept.clone(), kept));
    let none = format!("{:016x}", 0);
    assert_eq!((status("CapInh"), status("CapAmb")), (none.clone(), none));

    refused(Command::new("/bin/true").spawn(), "executing");
    let link = directory.path().join("link");
    refused(std::os::unix::fs::symlink("/", &link), "making a link");
    refused(fs::hard_link("/proc/self/exe", &link), "making a hard link");
    refused(
        rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::empty()),
        "umount",
    );
    let packets = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None);
    refused(packets, "a socket of another family");
    refused(rustix::process::chroot(directory.path()), "chroot");
    refused(rustix::fs::memfd_create("x", MemfdFlags::CLOEXEC), "a file without a name");
    let parent = rustix::process::getppid().unwrap();
    let process = pidfd_open(parent, PidfdFlags::empty()).unwrap();
    refused(pidfd_send_signal(&process, Signal::CONT), "a signal to what it has got hold of");
    refused(kill_process(parent, Signal::CONT), "a signal");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    refused(
        rustix::net::sockopt::set_ip_tos(&listener, 8),
        "an option at the level of the packet filter",
    );
}

#[test]
fn names_of_calls_are_the_kernels_and_stand_there_once() {
    let narrow = NARROWLY.iter().map(|narrow| narrow.call);
    let mut listed: Vec<_> = ANYHOW.iter().copied().chain(narrow).collect();
    for call in &listed {
        assert_eq!(syscall::canonical(call), Some(*call));
    }
    let native = Architecture::native().unwrap();
    assert!(listed.iter().filter(|call| syscall::number(call, native).is_some()).count() > 80);
    listed.sort_unstable();
    assert!(listed.windows(2).all(|pair| pair[0] != pair[1]), "{listed:?}");
}

#[test]
fn what_takes_a_machine_over_is_not_listed() {
    for call in [
        "execve",
        "execveat",
        "fork",
        "vfork",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "mount",
        "umount2",
        "move_mount",
        "open_tree",
        "fsopen",
        "pivot_root",
        "chroot",
        "setns",
        "unshare",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "swapon",
        "swapoff",
        "reboot",
        "userfaultfd",
        "keyctl",
        "add_key",
        "perf_event_open",
        "io_uring_setup",
        "io_uring_enter",
        "memfd_create",
        "mknod",
        "mknodat",
        "symlink",
        "symlinkat",
        "link",
        "linkat",
        "setuid",
        "setresuid",
        "capset",
        "seccomp",
        "personality",
        "modify_ldt",
        "iopl",
        "ioperm",
        "open_by_handle_at",
        "kill",
        "pidfd_getfd",
        "pidfd_send_signal",
        "quotactl",
        "acct",
        "settimeofday",
        "clock_settime",
        "sethostname",
        "setxattr",
        "pkey_mprotect",
        "remap_file_pages",
        "shmat",
        "mq_open",
    ] {
        assert_eq!(syscall::canonical(call), Some(call));
        assert!(!ANYHOW.contains(&call), "{call}");
        assert!(NARROWLY.iter().all(|narrow| narrow.call != call), "{call}");
    }
}
