//! The policies that outlive the agent: one file each, replaced atomically, never lost to a crash or a full disk.
//!
//! A file's name comes from the policy's kind, namespace and name, so no two kinds shadow each other; its content is
//! the text that was accepted. Files of the existing implementation (`NAME.yaml`, JSON inside) are read as well and
//! take their new name at the next change.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use policy::PolicyId;

const EXTENSION: &str = "yaml";
/// Marks a file that is being written. One that is found at start was never accepted.
const UNFINISHED: &str = ".unfinished";
/// Longest file name that all file systems take, less what is added to it.
const LONGEST_NAME: usize = 200;

#[derive(Debug, thiserror::Error)]
#[error("{action} {} failed: {source}{}", path.display(), remedy(source))]
pub(crate) struct StoreError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room there, or set `stateDir` to a file system that has some, and apply again"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; make it writable for the agent, or set `stateDir` to a directory that is"
        }
        _ => "",
    }
}

/// A directory of policies.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// The file that holds each policy.
    files: BTreeMap<PolicyId, PathBuf>,
}

/// A file found at start.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A text that is on the disk but not in force yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
#[must_use]
pub(crate) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    id: PolicyId,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already if it was committed.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Store {
    /// Opens `state_dir/policies`, making it if need be.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::open_directory(state_dir.join("policies"))
    }

    /// The same for policies that the API server has: `state_dir/cluster-policies`.
    pub(crate) fn of_cluster(state_dir: &Path) -> Result<Self, StoreError> {
        Self::open_directory(state_dir.join("cluster-policies"))
    }

    fn open_directory(directory: PathBuf) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed("creating", &directory))?;
        Ok(Self { directory, files: BTreeMap::new() })
    }

    /// Reads every file, in the order of names. One that cannot be read is told and left alone.
    pub(crate) fn read(&self) -> Result<(Vec<Stored>, Vec<StoreError>), StoreError> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.directory)
            .map_err(failed("reading", &self.directory))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.sort();
        let mut stored = Vec::new();
        let mut unreadable = Vec::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(UNFINISHED) {
                let _ = fs::remove_file(&path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => stored.push(Stored { path, text }),
                Err(error) => unreadable.push(failed("reading", &path)(error)),
            }
        }
        Ok((stored, unreadable))
    }

    /// Whether a file found at start holds this policy: a text of several policies is kept once for each.
    pub(crate) fn holds(&self, path: &Path, id: &PolicyId) -> bool {
        let own = path == self.path(id);
        let foreign = !path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            KINDS.iter().any(|kind| name.starts_with(&format!("{kind}_")))
        });
        own || foreign
    }

    /// Takes over a policy that was found in a file.
    pub(crate) fn adopt(&mut self, id: PolicyId, path: PathBuf) {
        self.files.insert(id, path);
    }

    /// Sets a corrupt file aside under another name, and returns that name.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".corrupt");
        let aside = PathBuf::from(aside);
        fs::rename(path, &aside).map_err(failed("renaming", path))?;
        self.sync()?;
        Ok(aside)
    }

    /// Writes the text beside the one in force.
    pub(crate) fn stage(&self, id: &PolicyId, text: &str) -> Result<Staged, StoreError> {
        let target = self.path(id);
        let mut temporary = target.clone().into_os_string();
        temporary.push(UNFINISHED);
        let staged = Staged { temporary: temporary.into(), target, id: id.clone() };
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&staged.temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed("writing", &staged.temporary))?;
        Ok(staged)
    }

    /// Puts the staged text in the place of the policy's earlier one.
    pub(crate) fn commit(&mut self, staged: &Staged) -> Result<(), StoreError> {
        fs::rename(&staged.temporary, &staged.target)
            .map_err(failed("renaming", &staged.temporary))?;
        let before = self.files.insert(staged.id.clone(), staged.target.clone());
        if let Some(before) = before
            && before != staged.target
            && !self.files.values().any(|used| *used == before)
        {
            fs::remove_file(&before).map_err(failed("removing", &before))?;
        }
        self.sync()
    }

    /// Forgets a policy. Fine if it was never stored.
    pub(crate) fn remove(&mut self, id: &PolicyId) -> Result<(), StoreError> {
        let Some(path) = self.files.get(id) else { return Ok(()) };
        let shared = self.files.iter().any(|(other, used)| other != id && used == path);
        if !shared {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("removing", path)(error));
                }
                _ => {}
            }
        }
        self.files.remove(id);
        self.sync()
    }

    fn path(&self, id: &PolicyId) -> PathBuf {
        self.directory.join(file_name(id))
    }

    /// Makes renames and removals last.
    fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("syncing", &self.directory))
    }
}

const KINDS: [policy::Kind; 4] =
    [policy::Kind::Container, policy::Kind::Cluster, policy::Kind::Host, policy::Kind::Network];

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { action, path, source }
}

/// `KIND_NAMESPACE_NAME.yaml`. Characters that could end a part or leave the directory are escaped, and what is too
/// long for a file system is cut and told apart by a digest.
fn file_name(id: &PolicyId) -> String {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let mut name = format!("{}_{}_{}", id.kind, escape(namespace), escape(&id.name));
    if name.len() > LONGEST_NAME {
        let digest = fnv1a(name.as_bytes());
        name.truncate(LONGEST_NAME);
        name = format!("{name}~{digest:016x}");
    }
    format!("{name}.{EXTENSION}")
}

fn escape(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02x}");
        }
    }
    escaped
}

/// The 64-bit Fowler-Noll-Vo hash. It only has to be the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use policy::Kind;

    use super::*;

    fn id(kind: Kind, namespace: Option<&str>, name: &str) -> PolicyId {
        PolicyId { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    fn web() -> PolicyId {
        id(Kind::Container, Some("default"), "web")
    }

    struct Fixture {
        directory: tempfile::TempDir,
        store: Store,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).unwrap();
            Self { directory, store }
        }

        fn put(&mut self, id: &PolicyId, text: &str) {
            let staged = self.store.stage(id, text).unwrap();
            self.store.commit(&staged).unwrap();
        }

        /// Names and texts, as the next agent finds them.
        fn found(&self) -> Vec<(String, String)> {
            let (stored, unreadable) = Store::open(self.directory.path()).unwrap().read().unwrap();
            assert!(unreadable.is_empty());
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            stored.into_iter().map(|stored| (name(&stored.path), stored.text)).collect()
        }
    }

    #[test]
    fn a_policy_is_kept_replaced_and_forgotten() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "one");
        fixture.put(&web(), "two");
        let name = "KubeArmorPolicy_default_web.yaml";
        assert_eq!(fixture.found(), [(name.to_owned(), "two".to_owned())]);
        fixture.store.remove(&web()).unwrap();
        fixture.store.remove(&web()).unwrap();
        assert_eq!(fixture.found(), []);
    }

    #[test]
    fn only_the_agent_reads_the_files() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "one");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let policies = fixture.directory.path().join("policies");
        assert_eq!(mode(policies.join("KubeArmorPolicy_default_web.yaml")), 0o600);
        assert_eq!(mode(policies), 0o700);
    }

    #[test]
    fn a_staged_text_changes_nothing_until_it_is_committed() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "one");
        let staged = fixture.store.stage(&web(), "two").unwrap();
        assert_eq!(fixture.found()[0].1, "one");
        drop(staged);
        assert_eq!(fixture.found()[0].1, "one");
    }

    #[test]
    fn a_crash_while_writing_leaves_the_old_text() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "one");
        std::mem::forget(fixture.store.stage(&web(), "tw").unwrap());
        assert_eq!(fixture.found(), [("KubeArmorPolicy_default_web.yaml".into(), "one".into())]);
    }

    #[test]
    fn a_full_disk_is_named_and_the_old_text_stays() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "one");
        let target = "KubeArmorPolicy_default_web.yaml.unfinished";
        symlink("/dev/full", fixture.directory.path().join("policies").join(target)).unwrap();
        let error = fixture.store.stage(&web(), "two").unwrap_err().to_string();
        assert!(error.contains(target) && error.contains("make room there"), "{error}");
        assert_eq!(fixture.found()[0].1, "one");
    }

    #[test]
    fn kinds_namespaces_and_odd_names_have_files_of_their_own() {
        let ids = [
            id(Kind::Container, Some("default"), "web"),
            id(Kind::Container, Some("shop"), "web"),
            id(Kind::Container, None, "default_web"),
            id(Kind::Cluster, None, "web"),
            id(Kind::Host, None, "../../etc/web"),
            id(Kind::Host, None, &"w".repeat(300)),
            id(Kind::Host, None, &"w".repeat(301)),
        ];
        let mut fixture = Fixture::new();
        for id in &ids {
            fixture.put(id, &id.name);
        }
        let found = fixture.found();
        assert_eq!(found.len(), ids.len());
        assert!(found.iter().all(|(name, _)| name.len() < 255), "{found:?}");
    }

    #[test]
    fn an_old_file_is_taken_over_at_the_next_change() {
        let mut fixture = Fixture::new();
        let old = fixture.directory.path().join("policies/web.yaml");
        fs::write(&old, "{}").unwrap();
        assert!(fixture.store.holds(&old, &web()));
        fixture.store.adopt(web(), old.clone());
        fixture.put(&web(), "new");
        assert!(!old.exists());
        assert_eq!(fixture.found()[0].0, "KubeArmorPolicy_default_web.yaml");
    }

    #[test]
    fn a_file_of_ours_holds_its_own_policy_only() {
        let fixture = Fixture::new();
        let path = fixture.store.path(&web());
        assert!(fixture.store.holds(&path, &web()));
        assert!(!fixture.store.holds(&path, &id(Kind::Container, Some("default"), "db")));
    }

    #[test]
    fn a_corrupt_file_is_kept_under_another_name() {
        let mut fixture = Fixture::new();
        fixture.put(&web(), "{");
        let aside = fixture.store.set_aside(&fixture.store.path(&web())).unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), "{");
        assert_eq!(fixture.found(), []);
    }
}
