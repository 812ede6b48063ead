//! The files that are opened. Every arm has a tree of its own, alike but never seen by another
//! arm, so that nothing the kernel remembers of one arm helps the next.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::measure::MOST_RUNS;

/// A tree of one arm. Every file's path has nine components.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Makes the tree below a root directory and looks at each file once, so that no arm waits for
    /// the disk. The paths of the tree are those of a process with that root.
    pub(crate) fn make(number: usize, root: &Path) -> Result<Self> {
        let tree = Self { root: PathBuf::from(format!("/srv/bench/arm-{number}")) };
        for path in tree
            .new_directories()
            .into_iter()
            .chain(tree.known_directory())
            .chain([tree.neighbour()])
        {
            let path = root.join(path.strip_prefix("/")?);
            let folder = path.parent().context("a file without a directory")?;
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            fs::write(&path, "x").with_context(|| path.display().to_string())?;
            fs::read(&path).with_context(|| path.display().to_string())?;
        }
        Ok(tree)
    }

    /// The tree that lies there already.
    pub(crate) fn at(root: &str) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// One file in each of many directories.
    pub(crate) fn new_directories(&self) -> Vec<PathBuf> {
        let around = self.root.join("app-17/releases/current/etc");
        (0..MOST_RUNS).map(|i| around.join(format!("part-{i:04}/settings.conf"))).collect()
    }

    /// Many files in one directory.
    pub(crate) fn known_directory(&self) -> Vec<PathBuf> {
        let directory = self.root.join("app-17/releases/current/etc/conf.d");
        (0..MOST_RUNS).map(|i| directory.join(format!("settings-{i:04}.conf"))).collect()
    }

    /// What a rule forbids next to the files that are measured.
    pub(crate) fn neighbour(&self) -> PathBuf {
        self.root.join("app-17/releases/current/etc/conf.d/settings-0000.conf.key")
    }
}

/// As system calls take them, made before the clock runs.
pub(crate) fn as_arguments(paths: &[PathBuf]) -> Result<Vec<CString>> {
    paths
        .iter()
        .map(|path| CString::new(path.as_os_str().as_encoded_bytes()).context("a path with a NUL"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_nine_components() {
        let tree = Tree::at("/srv/bench/arm-0");
        let mut files = tree.new_directories();
        files.extend(tree.known_directory());
        for file in files {
            assert_eq!(file.iter().skip(1).count(), 9, "{}", file.display());
        }
    }
}
