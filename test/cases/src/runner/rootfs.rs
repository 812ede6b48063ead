//! A container's root file system: an overlay over the image's, with the files that the case asks for.

use std::{
    collections::HashMap,
    ffi::CString,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::format::{Container, Content, Rootfs};

const IMAGES: &str = "/run/cases/images";
/// On the root disk: what a tmpfs lacks on old kernels, such as user attributes, overlays then lack too.
const CONTAINERS: &str = "/var/lib/cases";
const SHARED_MEMORY: &str = "/dev/shm";

/// The images' root file systems, mounted when first needed.
#[derive(Default)]
pub(crate) struct Images(HashMap<Rootfs, PathBuf>);

impl Images {
    /// Where the image's files are.
    pub(crate) fn directory(&mut self, rootfs: Rootfs) -> Result<PathBuf> {
        if let Some(directory) = self.0.get(&rootfs) {
            return Ok(directory.clone());
        }
        let directory = Path::new(IMAGES).join(rootfs.name());
        fs::create_dir_all(&directory)?;
        let image = format!("testbed/{}:latest", rootfs.name());
        let output =
            Command::new("ctr").args(["image", "mount", &image]).arg(&directory).output()?;
        ensure!(
            output.status.success(),
            "cannot mount the image {image}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        self.0.insert(rootfs, directory.clone());
        Ok(directory)
    }
}

/// The mounted root of one life of a container; gone when dropped.
pub(crate) struct Root {
    directory: PathBuf,
    /// Mounted before the start because files had to be put there.
    shared_memory: Option<PathBuf>,
}

impl Root {
    pub(crate) fn make(container: &Container, id: &str, images: &mut Images) -> Result<Self> {
        let lower = images.directory(container.rootfs)?;
        let directory = Path::new(CONTAINERS).join(id);
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let mut root = Self { directory, shared_memory: None };
        let data = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            root.directory.join("upper").display(),
            root.directory.join("work").display()
        );
        let data = CString::new(data)?;
        mount("overlay", root.path(), "overlay", MountFlags::empty(), Some(data.as_c_str()))
            .context("cannot mount the overlay")?;
        root.put_files(container)?;
        Ok(root)
    }

    /// The root directory itself.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("root")
    }

    pub(crate) fn shared_memory(&self) -> Option<&Path> {
        self.shared_memory.as_deref()
    }

    /// Where the container's description is kept.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn put_files(&mut self, container: &Container) -> Result<()> {
        for (path, content) in &container.files {
            let (root, path) = match path.strip_prefix(SHARED_MEMORY) {
                Ok(below) => (self.mounted_shared_memory()?, below),
                Err(_) => (self.path(), path.as_path()),
            };
            let is_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
            put_file(&root, path, is_directory, content)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        Ok(())
    }

    fn mounted_shared_memory(&mut self) -> Result<PathBuf> {
        if let Some(directory) = &self.shared_memory {
            return Ok(directory.clone());
        }
        let directory = self.directory.join("shm");
        fs::create_dir_all(&directory)?;
        mount("shm", &directory, "tmpfs", MountFlags::NODEV, Some(c"mode=1777"))?;
        self.shared_memory = Some(directory.clone());
        Ok(directory)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for mounted in [Some(self.path()), self.shared_memory.take()].into_iter().flatten() {
            let _ = unmount(mounted, UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn put_file(root: &Path, path: &Path, is_directory: bool, content: &Content) -> Result<()> {
    let (parent, name) = match path.file_name() {
        Some(name) => (path.parent().unwrap_or(Path::new("/")), name),
        None => bail!("not a file's name"),
    };
    let parent = make_directories(root, parent)?;
    if is_directory {
        make_directories(root, path)?;
        return Ok(());
    }
    let place = parent.join(name);
    match content {
        Content::Link(link) => symlink(&link.link, &place)?,
        Content::Text(text) => {
            // What is there may be a link that leads out of the root.
            match fs::remove_file(&place) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
            fs::write(&place, text)?;
            fs::set_permissions(&place, PermissionsExt::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// Makes the directory as the container will see it: links on the way are followed inside `root`.
fn make_directories(root: &Path, path: &Path) -> Result<PathBuf> {
    const MOST_LINKS: usize = 40;
    let mut inside = PathBuf::from("/");
    let mut left: Vec<PathBuf> =
        path.components().rev().map(|part| part.as_os_str().into()).collect();
    let mut links = 0;
    while let Some(part) = left.pop() {
        match part.components().next() {
            Some(Component::ParentDir) => {
                inside.pop();
                continue;
            }
            Some(Component::Normal(_)) => {}
            Some(Component::RootDir) => {
                inside = PathBuf::from("/");
                continue;
            }
            _ => continue,
        }
        let real = root.join(inside.strip_prefix("/")?).join(&part);
        if let Ok(target) = fs::read_link(&real) {
            links += 1;
            ensure!(links <= MOST_LINKS, "too many links");
            left.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
            continue;
        }
        if !real.exists() {
            fs::create_dir(&real)?;
            fs::set_permissions(&real, PermissionsExt::from_mode(0o755))?;
        }
        inside.push(part);
    }
    Ok(root.join(inside.strip_prefix("/")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    #[test]
    fn links_on_the_way_stay_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run")).unwrap();
        fs::create_dir_all(root.path().join("var")).unwrap();
        symlink("/run", root.path().join("var/run")).unwrap();
        symlink("../run", root.path().join("var/rel")).unwrap();
        put_file(root.path(), Path::new("/var/run/a/token"), false, &text("1")).unwrap();
        put_file(root.path(), Path::new("/var/rel/b"), false, &text("2")).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("run/a/token")).unwrap(), "1");
        assert_eq!(fs::read_to_string(root.path().join("run/b")).unwrap(), "2");
    }

    #[test]
    fn makes_directories_and_links() {
        let root = tempfile::tempdir().unwrap();
        put_file(root.path(), Path::new("/srv/spool/"), true, &text("")).unwrap();
        let link = Content::Link(crate::format::Link { link: "/target".to_owned() });
        put_file(root.path(), Path::new("/srv/link"), false, &link).unwrap();
        assert!(root.path().join("srv/spool").is_dir());
        assert_eq!(fs::read_link(root.path().join("srv/link")).unwrap(), Path::new("/target"));
        let mode = fs::metadata(root.path().join("srv")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
