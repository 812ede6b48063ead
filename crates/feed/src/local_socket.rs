//! The unix socket: making its file, and telling who is at the other end.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
};

use procfs::process::Process;
use rustix::{
    fs::{Gid, Mode, chown, fchmod},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    process::geteuid,
};
use tokio::net::{UnixListener, UnixStream};

use crate::peer::Peer;

const BACKLOG: i32 = 128;
/// Where groups are looked up: a static program knows no other place.
const GROUPS: &str = "/etc/group";

/// Why the socket is not there, or not for whom it was meant.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "cannot listen on {}: {source}\n\
         hint: choose a path that the agent may write, with `gRPCSocket` in kubearmor.yaml or `--gRPCSocket`",
        path.display()
    )]
    Make { path: PathBuf, source: io::Error },
    #[error(
        "{} cannot be given to the group `{group}`: {reason}\n\
         hint: correct `gRPCSocketGroup`; the agent needs to be in that group or to have CAP_CHOWN",
        path.display()
    )]
    Group { path: PathBuf, group: String, reason: String },
}

/// A unix socket that the agent listens on.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Whose members are admitted beside root.
    group: Option<u32>,
}

impl LocalSocket {
    /// Where clients look for the agent of their machine.
    pub const USUAL_PATH: &str = "/run/kubearmor/kubearmor.sock";

    /// Takes `path`, in place of a socket that an agent of before has left there. It is root's alone until
    /// [`Self::share`], and gone when this value is.
    pub fn listen(path: &Path) -> Result<Self, SocketError> {
        let made = || -> io::Result<UnixListener> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            // On Linux the file gets the socket's mode, so at no time anyone else could connect.
            fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
            remove_socket(path)?;
            bind(&socket, &SocketAddrUnix::new(path)?)?;
            listen(&socket, BACKLOG)?;
            UnixListener::from_std(StdListener::from(socket))
        };
        let listener =
            made().map_err(|source| SocketError::Make { path: path.to_owned(), source })?;
        Ok(Self { listener, path: path.to_owned(), group: None })
    }

    /// Admits members of `group`, which is a name or a number.
    pub fn share(&mut self, group: &str) -> Result<(), SocketError> {
        let shared = || -> Result<u32, String> {
            let number = group_number(group)?;
            chown(&self.path, None, Some(Gid::from_raw(number)))
                .map_err(|problem| problem.to_string())?;
            fs::set_permissions(&self.path, Permissions::from_mode(0o660))
                .map_err(|problem| problem.to_string())?;
            Ok(number)
        };
        let number = shared().map_err(|reason| SocketError::Group {
            path: self.path.clone(),
            group: group.to_owned(),
            reason,
        })?;
        self.group = Some(number);
        Ok(())
    }

    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = self.identify(&stream)?;
        Ok((stream, peer))
    }

    /// By what the kernel has noted when the peer connected.
    fn identify(&self, stream: &UnixStream) -> io::Result<Peer> {
        let peer = stream.peer_cred()?;
        let (user, process) = (peer.uid(), peer.pid());
        Ok(if self.admits(user, peer.gid(), process) {
            Peer::Local { user, process }
        } else {
            Peer::Stranger { user, process }
        })
    }

    fn admits(&self, user: u32, first_group: u32, process: Option<i32>) -> bool {
        user == 0
            || user == geteuid().as_raw()
            || self.group.is_some_and(|group| first_group == group || has_group(process, group))
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Clients then see at once that nobody is there.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what an agent of before has left, and nothing that is no socket.
fn remove_socket(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"))
        }
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(problem) => Err(problem),
    }
}

fn group_number(group: &str) -> Result<u32, String> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string(GROUPS).map_err(|problem| format!("{GROUPS}: {problem}"))?;
    groups
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
        })
        .ok_or_else(|| format!("{GROUPS} has no such group"))
}

/// Whether the process is in the group beside its first one. The socket's mode has asked that already; should the process
/// have ended and its number be another's, that one gains nothing.
fn has_group(process: Option<i32>, group: u32) -> bool {
    process
        .and_then(|process| Process::new(process).ok()?.status().ok())
        .is_some_and(|status| status.groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_until_it_is_shared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let mut socket = LocalSocket::listen(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let own = path.metadata().unwrap().gid();
        socket.share(&own.to_string()).unwrap();
        assert_eq!((mode(&path), socket.group), (0o660, Some(own)));
    }

    #[tokio::test]
    async fn a_socket_of_before_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        drop(LocalSocket::listen(&path).unwrap());
        assert!(!path.exists());
        // One that was killed leaves its socket.
        drop(StdListener::bind(&path).unwrap());
        let socket = LocalSocket::listen(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        let error = LocalSocket::listen(&file).unwrap_err().to_string();
        assert!(error.contains("no socket") && error.contains("`gRPCSocket`"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_group_that_is_not_there_is_told_and_leaves_the_socket_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let mut socket = LocalSocket::listen(&path).unwrap();
        let error = socket.share("no such group").unwrap_err().to_string();
        assert!(error.contains("`no such group`") && error.contains("hint:"), "{error}");
        assert_eq!((mode(&path), socket.group), (0o600, None));
    }

    #[tokio::test]
    async fn this_user_is_admitted_by_what_the_kernel_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let socket = LocalSocket::listen(&path).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        let (_, peer) = socket.accept().await.unwrap();
        let process = i32::try_from(std::process::id()).ok();
        assert_eq!(peer, Peer::Local { user: geteuid().as_raw(), process });
    }

    #[tokio::test]
    async fn others_are_admitted_by_their_group_alone() {
        const OTHER: u32 = 54_321;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let mut socket = LocalSocket::listen(&path).unwrap();
        assert!(socket.admits(0, OTHER, None));
        assert!(!socket.admits(OTHER, OTHER, None));
        socket.group = Some(OTHER + 1);
        assert!(socket.admits(OTHER, OTHER + 1, None));
        assert!(!socket.admits(OTHER, OTHER, None));
        // By a group beside the first one, as far as this process has any.
        let process = i32::try_from(std::process::id()).ok();
        assert!(!socket.admits(OTHER, OTHER, process));
        for group in rustix::process::getgroups().unwrap() {
            socket.group = Some(group.as_raw());
            assert!(socket.admits(OTHER, OTHER, process));
        }
    }

    #[test]
    fn groups_by_name_and_number() {
        assert_eq!(group_number("root"), Ok(0));
        assert_eq!(group_number("123456"), Ok(123_456));
    }
}
