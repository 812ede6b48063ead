//! Where things are: the checkout, its build output, and the cache of what was downloaded or made
//! from downloads.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Name of the environment variable that moves the cache.
const CACHE_VARIABLE: &str = "KUBEARMOR_CACHE";

/// One checkout of the project.
#[derive(Debug, Clone)]
pub(crate) struct Checkout {
    root: PathBuf,
    cache: PathBuf,
}

impl Checkout {
    /// The checkout this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in no checkout")?
            .to_owned();
        let cache = env::var_os(CACHE_VARIABLE).map_or_else(|| root.join("cache"), PathBuf::from);
        fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
        Ok(Self { root, cache: cache.canonicalize()? })
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A directory of the cache, created.
    pub(crate) fn cache(&self, name: &str) -> Result<PathBuf> {
        let directory = self.cache.join(name);
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        Ok(directory)
    }

    /// Cargo's build output.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// Keeps every other process from changing the cache until the answer is dropped.
    pub(crate) fn lock_cache(&self) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another process that fills {}", self.cache.display());
            file.lock().with_context(|| path.display().to_string())?;
        }
        Ok(file)
    }
}
