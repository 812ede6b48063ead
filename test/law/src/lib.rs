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
    /// The words begin with `argv[0]`.
    Execute(PathBuf, Vec<Vec<u8>>),
    Socket {
        family: u16,
        kind: u16,
        protocol: u16,
    },
    /// `CAP_SYS_ADMIN`
    SetHostname,
    /// `CAP_SYS_BOOT`
    Reboot,
}

impl Request {
    pub fn to_line(&self) -> String {
        let mut line = format!("{} ", self.user);
        match &self.deed {
            Deed::Read(path) => named(&mut line, "read", path),
            Deed::Write(path) => named(&mut line, "write", path),
            Deed::Chmod(path) => named(&mut line, "chmod", path),
            Deed::Utimes(path) => named(&mut line, "utimes", path),
            Deed::Stat(path) => named(&mut line, "stat", path),
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
            "execute" => Deed::Execute(path()?, words.map(read).collect::<Option<_>>()?),
            "socket" => {
                let mut number = || words.next()?.parse().ok();
                Deed::Socket { family: number()?, kind: number()?, protocol: number()? }
            }
            "sethostname" => Deed::SetHostname,
            "reboot" => Deed::Reboot,
            _ => return None,
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
        for line in ["", "0", "x read x2f", "0 fly x2f", "0 read 2f", "0 read x2g", "0 socket 1"] {
            assert_eq!(Request::from_line(line), None, "{line}");
        }
    }
}
