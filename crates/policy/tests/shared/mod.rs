//! Where the behaviour cases and the policy corpus are: outside of the repository, and optional.

#![expect(clippy::unwrap_used, reason = "a folder that cannot be read fails the test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder next to the repository, or `KUBEARMOR_SHARED`; `None` (and a line that says so) without it.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let shared = env::var_os("KUBEARMOR_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no ../shared");
    None
}

#[allow(dead_code, reason = "not every test reads whole folders")]
/// All YAML files below a folder, sorted.
pub(crate) fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
