//! Follows directories whose files mean something to the agent.

use std::{
    io,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};

/// An editor or a deployment changes several files in a row; they are read when it has paused this long.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Calls `changed` after every burst of changes in one of the directories, until it returns false.
pub(crate) fn directories(
    directories: &[PathBuf],
    mut changed: impl FnMut() -> bool + Send + 'static,
) -> io::Result<()> {
    let watcher = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let of_interest = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE;
    for directory in directories {
        inotify::add_watch(&watcher, directory, of_interest)?;
    }
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let mut pending = false;
        loop {
            let patience = pending.then_some(&PAUSE);
            match poll(&mut [PollFd::new(&watcher, PollFlags::IN)], patience) {
                Ok(0) => {
                    pending = false;
                    if !changed() {
                        return;
                    }
                }
                Ok(_) => {
                    drain(&watcher);
                    pending = true;
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!("files are not followed any more: {error}");
                    return;
                }
            }
        }
    })?;
    Ok(())
}

fn drain(watcher: &rustix::fd::OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(watcher, &mut buffer);
    while reader.next().is_ok() {}
}

/// The directory to watch for changes of a file, which may be replaced as a whole.
pub(crate) fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn written_renamed_and_removed_files_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (sender, changes) = mpsc::channel();
        directories(&[directory.path().to_owned()], move || sender.send(()).is_ok()).unwrap();
        let noticed = || changes.recv_timeout(Duration::from_secs(20)).unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        fs::write(&one, "1").unwrap();
        noticed();
        fs::rename(&one, &two).unwrap();
        noticed();
        fs::remove_file(&two).unwrap();
        noticed();
    }
}
