//! Containers that hooks have told of, kept for the next run of the agent: no runtime tells of them again.
//!
//! One file each in the run directory, which goes with the machine's run as the containers do.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use workload::Container;

use crate::instance::write_whole;

#[derive(Debug)]
pub(crate) struct Told(PathBuf);

impl Told {
    pub(crate) fn open(run_dir: &Path) -> io::Result<Self> {
        let directory = run_dir.join("containers");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self(directory))
    }

    pub(crate) fn keep(&self, container: &Container) -> io::Result<()> {
        write_whole(&self.file(&container.id), &serde_json::to_string(container)?, 0o600)
    }

    /// Those that are still there, as `is_there` sees it; the others are forgotten.
    pub(crate) fn still_there(&self, is_there: impl Fn(&Container) -> bool) -> Vec<Container> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let kept = fs::read(entry.path()).ok();
            match kept.and_then(|text| serde_json::from_slice(&text).ok()) {
                Some(container) if is_there(&container) => found.push(container),
                // Also what was half written when an agent was killed.
                _ => drop(fs::remove_file(entry.path())),
            }
        }
        found
    }

    /// Ids may be as long as a file's name may not be, and begin with a dot.
    fn file(&self, id: &str) -> PathBuf {
        let name: String = id.chars().take(200).collect();
        self.0.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, pid: u32) -> Container {
        Container {
            id: id.into(),
            name: id.into(),
            namespace: "shop".into(),
            pod: String::new(),
            pod_uid: String::new(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            image: String::new(),
            pid,
            cgroup: "/group".into(),
            runtime_namespace: String::new(),
            prepared_root: Some("/run/web".into()),
        }
    }

    #[test]
    fn what_is_still_there_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let told = Told::open(directory.path()).unwrap();
        told.keep(&container("web", 7)).unwrap();
        told.keep(&container("web", 8)).unwrap();
        told.keep(&container(&"x".repeat(1000), 9)).unwrap();
        fs::write(directory.path().join("containers/half.json"), "{\"id\":").unwrap();
        let told = Told::open(directory.path()).unwrap();
        assert_eq!(told.still_there(|container| container.pid == 8), [container("web", 8)]);
        assert_eq!(fs::read_dir(directory.path().join("containers")).unwrap().count(), 1);
    }
}
