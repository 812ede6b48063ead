//! Control groups as they appear. A runtime makes a container's control group long before it runs the container's
//! program, and before any runtime tells of the container.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::sync::mpsc::Sender;

/// Tells of new control groups in the folders that it was asked to look into.
#[derive(Debug)]
pub struct Appearing {
    watcher: Arc<OwnedFd>,
    /// By the kernel's number of the watch.
    folders: Arc<Mutex<HashMap<i32, PathBuf>>>,
}

impl Appearing {
    /// Hands the directory of each new control group to `groups` until its receiver is gone.
    pub fn tell(groups: Sender<PathBuf>) -> io::Result<Self> {
        let watcher = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let folders = Arc::<Mutex<HashMap<i32, PathBuf>>>::default();
        let (descriptor, known) = (Arc::clone(&watcher), Arc::clone(&folders));
        thread::Builder::new().name("control-groups".to_owned()).spawn(move || {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&descriptor, &mut buffer);
            loop {
                let event = match reader.next() {
                    Ok(event) => event,
                    Err(Errno::INTR) => continue,
                    Err(error) => {
                        tracing::warn!("control groups are not seen as they appear: {error}");
                        return;
                    }
                };
                if event.events().contains(ReadFlags::IGNORED) {
                    // The folder itself is gone.
                    lock(&known).remove(&event.wd());
                    continue;
                }
                let name = event.file_name().and_then(|name| name.to_str().ok());
                let folder = lock(&known).get(&event.wd()).cloned();
                if let (Some(folder), Some(name)) = (folder, name)
                    && event.events().contains(ReadFlags::ISDIR)
                    && groups.blocking_send(folder.join(name)).is_err()
                {
                    return;
                }
            }
        })?;
        Ok(Self { watcher, folders })
    }

    /// Looks into a folder as long as it exists, if it is not looked into already.
    pub fn look_into(&self, folder: &Path) -> io::Result<()> {
        let wanted = WatchFlags::CREATE | WatchFlags::ONLYDIR;
        // The reader may hear of the folder before it is written down.
        let mut folders = lock(&self.folders);
        let watch = inotify::add_watch(&self.watcher, folder, wanted)?;
        folders.insert(watch, folder.to_owned());
        Ok(())
    }
}

fn lock(folders: &Mutex<HashMap<i32, PathBuf>>) -> MutexGuard<'_, HashMap<i32, PathBuf>> {
    // The map is whole after each of its methods.
    folders.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn what_appears_in_a_folder_is_told_and_what_is_no_folder_is_not() {
        let root = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| root.path().join(name));
        let (sender, mut groups) = mpsc::channel(8);
        let appearing = Appearing::tell(sender).unwrap();
        for folder in [&one, &two] {
            fs::create_dir(folder).unwrap();
            appearing.look_into(folder).unwrap();
            appearing.look_into(folder).unwrap();
        }
        fs::write(one.join("cgroup.procs"), "").unwrap();
        fs::create_dir(one.join("web")).unwrap();
        assert_eq!(groups.blocking_recv(), Some(one.join("web")));
        fs::remove_dir_all(&one).unwrap();
        fs::create_dir(two.join("web")).unwrap();
        assert_eq!(groups.blocking_recv(), Some(two.join("web")));
        assert!(appearing.look_into(&one).is_err());
        assert!(groups.try_recv().is_err());
    }
}
