//! The root file systems of the test bed, as directories: `host`, and `debian`, `split` and
//! `alpine` for containers. Behaviour cases rely on where each program lies and on what is a link.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::archive::Archive;
use crate::program::{self, command};

/// trixie's containerd is the first of Debian's with NRI.
const SUITE: &str = "trixie";

/// What `debian` has beyond Debian's smallest set.
const DEBIAN: &[&str] =
    &["curl", "iproute2", "iputils-ping", "mount", "netcat-openbsd", "procps", "python3", "wget"];

/// What `host` has beyond `debian`.
const HOST: &[&str] =
    &["containerd", "crun", "docker-cli", "docker.io", "kmod", "podman", "runc", "strace"];

/// Where `split` has its programs.
const SPLIT: &[(&str, &[&str])] = &[
    (
        "bin",
        &[
            "dash", "ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "touch", "chmod",
            "chown", "sleep", "dd", "mount", "umount", "ping", "nc",
        ],
    ),
    ("usr/bin", &["head", "id", "whoami", "env", "stat", "wget", "unshare"]),
    ("usr/sbin", &["chroot"]),
];

/// Where `alpine` has its links to busybox.
const ALPINE: &[(&str, &[&str])] = &[
    (
        "bin",
        &[
            "sh", "ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "touch", "chmod", "chown",
            "sleep", "dd", "mount", "umount", "ping", "stat",
        ],
    ),
    ("usr/bin", &["head", "id", "whoami", "env", "nc", "wget", "unshare"]),
    ("usr/sbin", &["chroot"]),
];

/// Directories of a root file system that is not made by Debian's own tools.
const DIRECTORIES: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "home",
    "lib",
    "mnt",
    "opt",
    "proc",
    "run",
    "sbin",
    "srv",
    "sys",
    "usr/bin",
    "usr/lib",
    "usr/local/bin",
    "usr/sbin",
    "var/cache",
    "var/lib",
    "var/log",
];

/// Accounts and names, alike in every container.
const ACCOUNTS: &[&str] = &["passwd", "group", "shadow", "hosts", "hostname", "resolv.conf"];

/// Documentation and translations are half of a small system.
const LEFT_OUT: &[&str] =
    &["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"];

/// Everything that decides what the trees hold; another recipe makes other images.
pub(crate) fn recipe() -> String {
    format!("2 {SUITE} {DEBIAN:?} {HOST:?} {SPLIT:?} {ALPINE:?} {DIRECTORIES:?} {ACCOUNTS:?}")
}

/// Makes `debian`, a usr-merged Debian.
pub(crate) fn make_debian(archive: &Archive, tree: &Path) -> Result<()> {
    bootstrap(archive, DEBIAN, tree)
}

/// Makes `host`: the programs of `debian` in the same places, and the container runtimes.
pub(crate) fn make_host(archive: &Archive, tree: &Path) -> Result<()> {
    bootstrap(archive, &[DEBIAN, HOST].concat(), tree)
}

/// Makes `split` from the files of `debian`: /bin and /usr/bin are two directories.
pub(crate) fn make_split(debian: &Path, tree: &Path) -> Result<()> {
    make_skeleton(debian, tree)?;
    for directory in ["lib/x86_64-linux-gnu", "lib64"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    let mut libraries = Vec::new();
    for (directory, programs) in SPLIT {
        for program in *programs {
            let found = find_program(debian, program)?;
            copy(&inside(debian, &found)?, &tree.join(directory).join(program))?;
            libraries.extend(libraries_of(debian, &found)?);
        }
    }
    symlink("dash", tree.join("bin/sh"))?;
    libraries.sort();
    libraries.dedup();
    for library in libraries {
        // The loader's path is part of every program; the others are found by the loader.
        let place = if library.starts_with("/lib64") { "lib64" } else { "lib/x86_64-linux-gnu" };
        let name = library.file_name().context("a library without a name")?;
        copy(&inside(debian, &library)?, &tree.join(place).join(name))?;
    }
    Ok(())
}

/// Makes `alpine`: one static busybox, and links to it.
pub(crate) fn make_alpine(archive: &Archive, debian: &Path, tree: &Path) -> Result<()> {
    make_skeleton(debian, tree)?;
    let package = tempfile::tempdir()?;
    archive.unpack(&[&format!("busybox-static/{SUITE}")], package.path())?;
    let busybox = ["usr/bin/busybox", "bin/busybox"]
        .into_iter()
        .map(|path| package.path().join(path))
        .find(|path| path.exists())
        .context("no busybox in busybox-static")?;
    copy(&busybox, &tree.join("bin/busybox"))?;
    for (directory, applets) in ALPINE {
        for applet in *applets {
            symlink("/bin/busybox", tree.join(directory).join(applet))?;
        }
    }
    Ok(())
}

/// Packs a tree as a tar archive with owners, modes and extended attributes.
pub(crate) fn pack(tree: &Path, to: &Path) -> Result<()> {
    program::run(
        command("tar")
            .args(["--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C"])
            .arg(tree)
            .arg("-cf")
            .arg(to)
            .arg("."),
    )
}

fn bootstrap(archive: &Archive, packages: &[&str], tree: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "only root can make a root file system with other owners than itself\n\
             hint: run this once as root; later runs use what it made"
        );
    }
    let mut mmdebstrap = command("mmdebstrap");
    mmdebstrap.args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"]);
    mmdebstrap.arg(format!("--include={}", packages.join(",")));
    for pattern in LEFT_OUT {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    for option in network_options()? {
        mmdebstrap.arg(format!("--aptopt={option}"));
    }
    mmdebstrap.arg(SUITE).arg(tree);
    mmdebstrap.args(archive.sources(&[SUITE], &[&format!("{SUITE}-security")]));
    program::run(&mut mmdebstrap)?;
    make_anonymous(tree)
}

/// How this machine's apt reaches its mirror: proxies, certificates, clock checks.
fn network_options() -> Result<Vec<String>> {
    let dump = program::read(command("apt-config").args(["dump", "Acquire"]))?;
    let wanted = ["Acquire::http", "Acquire::Check"];
    Ok(dump
        .lines()
        .filter(|line| wanted.iter().any(|start| line.starts_with(start)) && !line.contains("\"\""))
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect())
}

/// Takes out what tells of the machine that built the tree, and device nodes: a container's and a
/// guest's /dev are their own.
fn make_anonymous(tree: &Path) -> Result<()> {
    for emptied in ["dev", "etc/apt/sources.list.d", "var/cache/apt/archives", "var/log"] {
        let directory = tree.join(emptied);
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
        }
        fs::create_dir_all(&directory)?;
    }
    for (file, content) in [
        ("etc/hostname", "testbed\n"),
        ("etc/hosts", "127.0.0.1\tlocalhost testbed\n::1\tlocalhost ip6-localhost\n"),
        // The address at which cases that need names have their server.
        ("etc/resolv.conf", "nameserver 192.0.2.53\n"),
        ("etc/apt/sources.list", ""),
    ] {
        let path = tree.join(file);
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn make_skeleton(debian: &Path, tree: &Path) -> Result<()> {
    for directory in DIRECTORIES {
        fs::create_dir_all(tree.join(directory))?;
    }
    for (directory, mode) in [("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)] {
        let path = tree.join(directory);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    fs::set_permissions(tree, fs::Permissions::from_mode(0o755))?;
    symlink("/run", tree.join("var/run"))?;
    for account in ACCOUNTS {
        copy(&debian.join("etc").join(account), &tree.join("etc").join(account))?;
    }
    // Debian keeps the hashes of passwords from all but one group.
    let shadow_group = fs::metadata(debian.join("etc/shadow")).map(|found| {
        use std::os::unix::fs::MetadataExt;
        found.gid()
    })?;
    chown(tree.join("etc/shadow"), None, Some(shadow_group))?;
    Ok(())
}

/// The path of a program inside a usr-merged tree.
fn find_program(tree: &Path, program: &str) -> Result<PathBuf> {
    ["usr/bin", "usr/sbin"]
        .into_iter()
        .map(|directory| Path::new("/").join(directory).join(program))
        .find(|path| inside(tree, path).is_ok())
        .with_context(|| format!("no {program} in {}", tree.display()))
}

/// The file that `path` names inside the tree, its links followed as if the tree were the root.
fn inside(tree: &Path, path: &Path) -> Result<PathBuf> {
    let mut at = tree.to_owned();
    let mut rest: Vec<PathBuf> = parts(path);
    let mut followed = 0;
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            if at != tree {
                at.pop();
            }
            continue;
        }
        let next = at.join(&part);
        let Ok(target) = fs::read_link(&next) else {
            at = next;
            continue;
        };
        followed += 1;
        if followed > 40 {
            bail!("too many links on the way to {}", path.display());
        }
        if target.is_absolute() {
            tree.clone_into(&mut at);
        }
        rest.extend(parts(&target));
    }
    if !at.exists() {
        bail!("{} does not exist in {}", path.display(), tree.display());
    }
    Ok(at)
}

/// The components of a path below the root, last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    relative.iter().rev().filter(|part| *part != ".").map(PathBuf::from).collect()
}

/// The shared libraries of a program, the loader among them, as the tree's own loader finds them.
fn libraries_of(tree: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let listing = program::read(command("chroot").arg(tree).arg("/usr/bin/ldd").arg(program))?;
    Ok(listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("etc/alternatives")).unwrap();
        fs::write(root.join("usr/bin/nc.openbsd"), "").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/etc/alternatives/nc", root.join("usr/bin/nc")).unwrap();
        symlink("../../bin/nc.openbsd", root.join("etc/alternatives/nc")).unwrap();
        let found = inside(root, Path::new("/bin/nc")).unwrap();
        assert_eq!(found, root.join("usr/bin/nc.openbsd"));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let tree = tempfile::tempdir().unwrap();
        symlink("b", tree.path().join("a")).unwrap();
        symlink("a", tree.path().join("b")).unwrap();
        assert!(inside(tree.path(), Path::new("/a")).is_err());
    }
}
