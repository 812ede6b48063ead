//! What the judge (`law`) and those it sends (`law-subject`) agree on: one request a line, one number back.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// In the environment of a program that is to serve requests; without it the program ends at once.
pub const SERVE: &str = "LAW_SERVE";
/// What a subject calls itself in `argv[0]`: for a multi-call binary, its applet.
pub const APPLET: &str = "zz";
/// Written by a subject that is ready.
pub const READY: &str = "ready";

/// A user who owns no file; user 0 owns them all.
pub const OTHER_USER: u32 = 1;

/// Something to do, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// 0 or [`OTHER_USER`].
    pub user: u32,
    pub deed: Deed,
}

/// One thing to do. Each answers with an errno, 0 if it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Read(PathBuf),
    Write(PathBuf),
    Chmod(PathBuf),
    Utimes(PathBuf),
    Stat(PathBuf),
    Unlink(PathBuf),
    Rmdir(PathBuf),
    Mkdir(PathBuf),
    /// A pipe with a name.
    Mknod(PathBuf),
    Truncate(PathBuf),
    /// To whom it belongs already.
    Chown(PathBuf),
    Setxattr(PathBuf),
    /// The old name and the new one.
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    /// The words begin with `argv[0]`.
    Execute(PathBuf, Vec<Vec<u8>>),
    Socket {
        family: u16,
        kind: u16,
        protocol: u16,
    },
    /// With a socket of its own, to or at this machine.
    Peer(Call, Internet),
    /// `CAP_SYS_ADMIN`
    SetHostname,
    /// `CAP_SYS_BOOT`
    Reboot,
}

/// What is done with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Bind,
    Connect,
    /// Without connecting.
    Send,
}

/// Sockets that every kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Internet {
    /// IPv6.
    pub six: bool,
    /// TCP, else UDP.
    pub stream: bool,
}

impl Call {
    pub const ALL: [Self; 3] = [Self::Bind, Self::Connect, Self::Send];

    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Send => "send",
        }
    }
}

impl Deed {
    /// The name on the line and the path, of what is done to one path.
    fn of_path(&self) -> Option<(&'static str, &Path)> {
        Some(match self {
            Self::Read(path) => ("read", path),
            Self::Write(path) => ("write", path),
            Self::Chmod(path) => ("chmod", path),
            Self::Utimes(path) => ("utimes", path),
            Self::Stat(path) => ("stat", path),
            Self::Unlink(path) => ("unlink", path),
            Self::Rmdir(path) => ("rmdir", path),
            Self::Mkdir(path) => ("mkdir", path),
            Self::Mknod(path) => ("mknod", path),
            Self::Truncate(path) => ("truncate", path),
            Self::Chown(path) => ("chown", path),
            Self::Setxattr(path) => ("setxattr", path),
            _ => return None,
        })
    }
}

impl Request {
    pub fn to_line(&self) -> String {
        let mut line = format!("{} ", self.user);
        match &self.deed {
            Deed::Rename(old, new) => {
                named(&mut line, "rename", old);
                named(&mut line, "", new);
            }
            Deed::Link(old, new) => {
                named(&mut line, "link", old);
                named(&mut line, "", new);
            }
            Deed::Peer(call, Internet { six, stream }) => {
                let _ = write!(line, "{} {} {}", call.name(), u8::from(*six), u8::from(*stream));
            }
            Deed::Execute(path, words) => {
                named(&mut line, "execute", path);
                for word in words {
                    line.push(' ');
                    line.push_str(&spell(word));
                }
            }
            Deed::Socket { family, kind, protocol } => {
                // Writing to a string cannot fail.
                let _ = write!(line, "socket {family} {kind} {protocol}");
            }
            Deed::SetHostname => line.push_str("sethostname"),
            Deed::Reboot => line.push_str("reboot"),
            deed => {
                if let Some((name, path)) = deed.of_path() {
                    named(&mut line, name, path);
                }
            }
        }
        line.push('\n');
        line
    }

    /// `None` for what [`Request::to_line`] never writes.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let user = words.next()?.parse().ok()?;
        let deed = words.next()?;
        let mut path = || read(words.next()?).map(|bytes| PathBuf::from(OsStr::from_bytes(&bytes)));
        let deed = match deed {
            "read" => Deed::Read(path()?),
            "write" => Deed::Write(path()?),
            "chmod" => Deed::Chmod(path()?),
            "utimes" => Deed::Utimes(path()?),
            "stat" => Deed::Stat(path()?),
            "unlink" => Deed::Unlink(path()?),
            "rmdir" => Deed::Rmdir(path()?),
            "mkdir" => Deed::Mkdir(path()?),
            "mknod" => Deed::Mknod(path()?),
            "truncate" => Deed::Truncate(path()?),
            "chown" => Deed::Chown(path()?),
            "setxattr" => Deed::Setxattr(path()?),
            "rename" => Deed::Rename(path()?, path()?),
            "link" => Deed::Link(path()?, path()?),
            "execute" => Deed::Execute(path()?, words.map(read).collect::<Option<_>>()?),
            "socket" => {
                let mut number = || words.next()?.parse().ok();
                Deed::Socket { family: number()?, kind: number()?, protocol: number()? }
            }
            "sethostname" => Deed::SetHostname,
            "reboot" => Deed::Reboot,
            name => {
                let call = Call::ALL.into_iter().find(|call| call.name() == name)?;
                let mut truth = || match words.next()? {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                };
                Deed::Peer(call, Internet { six: truth()?, stream: truth()? })
            }
        };
        Some(Self { user, deed })
    }
}

fn named(line: &mut String, deed: &str, path: &Path) {
    line.push_str(deed);
    line.push(' ');
    line.push_str(&spell(path.as_os_str().as_bytes()));
}

/// Bytes as hexadecimal digits behind an `x`, so that no bytes are a word too.
fn spell(bytes: &[u8]) -> String {
    bytes.iter().fold("x".to_owned(), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    })
}

fn read(word: &str) -> Option<Vec<u8>> {
    let digits = word.strip_prefix('x')?.as_bytes();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_comes_back_from_its_line() {
        let path = || PathBuf::from(OsStr::from_bytes(b"/a \xff/\n"));
        let deeds = [
            Deed::Read(path()),
            Deed::Write(path()),
            Deed::Chmod(path()),
            Deed::Utimes(path()),
            Deed::Stat(path()),
            Deed::Unlink(path()),
            Deed::Rmdir(path()),
            Deed::Mkdir(path()),
            Deed::Mknod(path()),
            Deed::Truncate(path()),
            Deed::Chown(path()),
            Deed::Setxattr(path()),
            Deed::Rename(path(), "/b".into()),
            Deed::Link(path(), "/b".into()),
            Deed::Peer(Call::Bind, Internet { six: true, stream: false }),
            Deed::Peer(Call::Connect, Internet { six: false, stream: true }),
            Deed::Peer(Call::Send, Internet { six: true, stream: true }),
            Deed::Execute(path(), vec![b"zz".to_vec(), Vec::new(), b"-a b".to_vec()]),
            Deed::Socket { family: 2, kind: 3, protocol: 262 },
            Deed::SetHostname,
            Deed::Reboot,
        ];
        for deed in deeds {
            let request = Request { user: 1, deed };
            assert_eq!(Request::from_line(&request.to_line()), Some(request));
        }
    }

    #[test]
    fn other_lines_are_no_requests() {
        for line in [
            "",
            "0",
            "x read x2f",
            "0 fly x2f",
            "0 read 2f",
            "0 read x2g",
            "0 socket 1",
            "0 bind 2 0",
            "0 link x2f",
        ] {
            assert_eq!(Request::from_line(line), None, "{line}");
        }
    }
}
