//! etcd, Debian's, unpacked into the cache.

use std::{fs, path::PathBuf};

use anyhow::Result;

use crate::{checkout::Checkout, program::step, vm::Archive};

/// trixie's is the first of the version that today's API servers ask for.
const PACKAGE: &str = "etcd-server/trixie";

/// The path of the program, fetched when it is not in the cache.
pub(super) fn get(checkout: &Checkout) -> Result<PathBuf> {
    let directory = checkout.cache("kubernetes")?.join(PACKAGE.replace('/', "-"));
    let program = directory.join("usr/bin/etcd");
    if program.exists() {
        return Ok(program);
    }
    let _lock = checkout.lock_cache()?;
    if !program.exists() {
        step("fetching etcd", || {
            let parent = checkout.cache("kubernetes")?;
            let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&parent)?;
            Archive::open(checkout)?.unpack(&[PACKAGE], work.path())?;
            fs::rename(work.keep(), &directory)?;
            Ok(())
        })?;
    }
    Ok(program)
}
