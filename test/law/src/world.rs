//! The root file system of the containers: every name that generated rules speak of, as far as a name can be a
//! directory and a file at different places only.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::mount::MountFlags;

/// Where the file system is mounted for the judge; for the subjects it is the root.
pub(crate) const ROOT: &str = "/law";

/// Directories that have files in them.
const DIRECTORIES: [&str; 5] = ["/", "/a", "/b", "/a/a", "/b/a"];
/// Names of files in each directory, unless a directory has the name.
const FILES: [&[u8]; 8] = [b"a", b"b", b"ab", "é".as_bytes(), b"*", b"abc", b"cb", b"x\xff"];
/// The programs that act. They run all the time, so nobody can write to them.
pub(crate) const SUBJECTS: [&str; 6] = ["/ab", "/é", "/a/b", "/a/a/abc", "/b/*", "/b/a/a"];

/// What is there.
pub(crate) struct World {
    pub(crate) directories: Vec<PathBuf>,
    /// All of them can be executed.
    pub(crate) files: Vec<PathBuf>,
    program: PathBuf,
}

impl World {
    /// Mounts the file system and fills it with copies of `program`.
    pub(crate) fn make(program: &Path) -> Result<Self> {
        fs::create_dir_all(ROOT)?;
        rustix::mount::mount("tmpfs", ROOT, "tmpfs", MountFlags::empty(), c"mode=0755")
            .context("mounting a root file system")?;
        let world = Self { program: program.to_owned(), ..Self::plan() };
        for directory in &world.directories {
            let place = outside(directory);
            fs::create_dir_all(&place)?;
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777))?;
        }
        for file in &world.files {
            world.restore(file)?;
        }
        Ok(world)
    }

    /// Takes away what has this name.
    pub(crate) fn vacate(path: &Path) -> Result<()> {
        let place = outside(path);
        let gone = match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => fs::remove_dir(&place),
            Ok(_) => fs::remove_file(&place),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        gone.with_context(|| place.display().to_string())
    }

    /// A new file of this name, in place of whatever has it.
    pub(crate) fn restore(&self, path: &Path) -> Result<()> {
        Self::vacate(path)?;
        let place = outside(path);
        fs::copy(&self.program, &place).with_context(|| place.display().to_string())?;
        Ok(fs::set_permissions(&place, fs::Permissions::from_mode(0o777))?)
    }

    pub(crate) fn plan() -> Self {
        let directories: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
        let files = directories
            .iter()
            .flat_map(|directory| {
                FILES.map(|name| directory.join(std::ffi::OsStr::from_bytes(name)))
            })
            .filter(|path| !directories.contains(path))
            .collect();
        Self { directories, files, program: PathBuf::new() }
    }
}

/// A path of the containers as the judge sees it.
fn outside(path: &Path) -> PathBuf {
    Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_files() {
        let world = World::plan();
        for subject in SUBJECTS {
            assert!(world.files.contains(&PathBuf::from(subject)), "{subject}");
        }
    }
}
