//! Pins: what keeps rules in force when the agent is gone. Each run of the agent has a folder of its own; a new run
//! attaches its programs before it takes the old ones away, so enforcement never lapses.
//!
//! A run's folder has the links of its programs, and below `maps` what the next run needs to understand the alerts that
//! nobody has read: that outlives the links until they are read.
#![expect(unsafe_code, reason = "libbpf pins a link once; after that only the system call is left")]

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use libbpf_rs::{Link, MapHandle, MapInfo, libbpf_sys};

/// Names the layout of pins. Another number: another agent's pins, left alone except by `detach`.
pub const ABI: u32 = 1;

#[derive(Debug, thiserror::Error)]
#[error("{action} {path}")]
pub struct PinError {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// The folder `<bpf file system>/kubearmor/<abi>` and the runs in it.
#[derive(Clone, Debug)]
pub struct PinnedRuns {
    root: PathBuf,
}

impl PinnedRuns {
    /// `bpffs` is where the bpf file system is mounted, usually `/sys/fs/bpf`.
    pub fn new(bpffs: &Path) -> Self {
        Self { root: bpffs.join("kubearmor").join(ABI.to_string()) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder of a new run. Names must not contain dots: the bpf file system refuses them.
    pub fn begin(&self) -> Result<PathBuf, PinError> {
        for number in 0u32.. {
            let path = self.root.join(format!("run_{number}"));
            if path.exists() {
                continue;
            }
            fs::create_dir_all(path.join("maps")).map_err(|source| PinError {
                action: "making the folder for pins",
                path: path.clone(),
                source,
            })?;
            return Ok(path);
        }
        Ok(self.root.clone())
    }

    /// The folders of every run but this one.
    pub(crate) fn others(&self, own: Option<&Path>) -> Result<Vec<PathBuf>, PinError> {
        let mut runs = self.runs()?;
        runs.retain(|run| Some(run.as_path()) != own);
        Ok(runs)
    }

    fn runs(&self) -> Result<Vec<PathBuf>, PinError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(PinError {
                    action: "listing pins in",
                    path: self.root.clone(),
                    source,
                });
            }
        };
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }
}

/// What was lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// Pinned links and maps that were removed.
    pub pins: usize,
    /// Programs that were in force by them.
    pub programs: usize,
    /// Of these, what is in the kernel still: somebody else holds them.
    pub held: usize,
}

/// The programs that pins of any version keep in force, by the kernel's numbers.
pub fn pinned_programs(bpffs: &Path) -> Vec<u32> {
    programs_below(&bpffs.join("kubearmor"))
}

/// Lifts every rule on purpose: removes all pins of all versions, and waits until the kernel has let go of these programs,
/// which pins kept in force, no longer than `patience`.
pub fn detach_all(
    bpffs: &Path,
    programs: &[u32],
    patience: Duration,
) -> Result<Detached, PinError> {
    let root = bpffs.join("kubearmor");
    let pins = if root.exists() { remove(&root)? } else { 0 };
    let since = Instant::now();
    loop {
        let held = programs.iter().filter(|program| is_loaded(**program)).count();
        if held == 0 || since.elapsed() >= patience {
            return Ok(Detached { pins, programs: programs.len(), held });
        }
        // The kernel detaches them in the background and tells nobody.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Removes the links of a run: its programs are detached when this returns, unless somebody else holds them. Its maps
/// stay.
pub(crate) fn let_go(run: &Path) -> Result<(), PinError> {
    for path in links_in(run) {
        // A link that goes with its pin is taken away in the background; one that is closed, at once.
        let link = Link::open(&path);
        fs::remove_file(&path).map_err(|source| PinError {
            action: "removing the pin",
            path: path.clone(),
            source,
        })?;
        drop(link);
    }
    Ok(())
}

/// Removes all that is left of a run.
pub(crate) fn forget(run: &Path) -> Result<(), PinError> {
    remove(run).map(drop)
}

/// The pinned links of a run.
pub(crate) fn links_in(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    links.map(|entry| entry.path()).collect()
}

/// The programs behind all pins of all versions, by the kernel's numbers.
fn programs_below(folder: &Path) -> Vec<u32> {
    let mut programs = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            programs.extend(programs_below(&path));
        } else if let Some(program) = program_of(&path) {
            programs.push(program);
        }
    }
    programs
}

/// The program of a pinned link.
pub(crate) fn program_of(link: &Path) -> Option<u32> {
    Some(Link::open(link).ok()?.info().ok()?.prog_id)
}

/// Whether a program is still in the kernel, as far as that may be asked (`CAP_SYS_ADMIN`). Its number goes when nothing
/// holds it any more, a link included.
pub(crate) fn is_loaded(program: u32) -> bool {
    libbpf_rs::Program::fd_from_id(program).is_ok()
}

/// Whether this pin is there and leads to this link.
pub(crate) fn holds_link(pin: &Path, link: &Link) -> Result<bool, libbpf_rs::Error> {
    let ours = link.info()?.id;
    let pinned = Link::open(pin).and_then(|link| link.info());
    Ok(pinned.is_ok_and(|pinned| pinned.id == ours))
}

/// Whether this pin is there and leads to this map.
pub(crate) fn holds_map(pin: &Path, map: &MapHandle) -> Result<bool, libbpf_rs::Error> {
    let id = |map: &MapHandle| MapInfo::new(map.as_fd()).map(|info| info.info.id);
    let ours = id(map)?;
    let pinned = MapHandle::from_pinned_path(pin).and_then(|map| id(&map));
    Ok(pinned.is_ok_and(|pinned| pinned == ours))
}

/// Pins what libbpf believes to be pinned already, in the place of whatever is there now.
pub(crate) fn pin_again(object: &impl AsFd, pin: &Path) -> io::Result<()> {
    if let Some(folder) = pin.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let path = CString::new(pin.as_os_str().as_bytes())?;
    // SAFETY: the descriptor is open and the path ends with a NUL for the whole call, which keeps neither.
    let code = unsafe { libbpf_sys::bpf_obj_pin(object.as_fd().as_raw_fd(), path.as_ptr()) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.abs())) }
}

fn remove(folder: &Path) -> Result<usize, PinError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| PinError { action, path, source }
    };
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(failed("listing pins in", folder))?.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove(&path)?;
        } else {
            fs::remove_file(&path).map_err(failed("removing the pin", &path))?;
            removed += 1;
        }
    }
    fs::remove_dir(folder).map_err(failed("removing the folder of pins", folder))?;
    Ok(removed)
}
