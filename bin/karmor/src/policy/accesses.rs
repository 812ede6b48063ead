//! Accesses as they are asked about on the command line.

use clap::Args;
use policy::{Capability, Preset, syscall};
use ruleset::{FileOperation, OwnedAccess, OwnedObject, Socket};

use super::context::Filesystem;
use crate::failure::Advised;

#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessOptions {
    #[command(flatten)]
    object: ObjectOptions,
    /// The path that the system call concerns
    #[arg(long, value_name = "PATH", requires = "syscall",
          conflicts_with_all = ["exec", "read", "write", "stat", "socket", "dns", "capability", "preset"])]
    on: Option<String>,
    /// The program that acts
    #[arg(long, value_name = "EXECUTABLE")]
    from: Option<String>,
    /// From a terminal
    #[arg(long)]
    tty: bool,
    /// By the owner of the file or program
    #[arg(long, conflicts_with = "not_owner")]
    owner: bool,
    /// By somebody else
    #[arg(long)]
    not_owner: bool,
    /// Arguments of the program that --exec runs
    #[arg(last = true, value_name = "ARGS", requires = "exec")]
    args: Vec<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ObjectOptions {
    /// Running a program; its arguments follow behind `--`
    #[arg(long, value_name = "PATH", help_heading = "Access")]
    exec: Option<String>,
    /// Reading a file, listing a directory
    #[arg(long, value_name = "PATH", help_heading = "Access")]
    read: Option<String>,
    /// Writing, creating, deleting, renaming, changing mode or owner
    #[arg(long, value_name = "PATH", help_heading = "Access")]
    write: Option<String>,
    /// Looking at metadata only
    #[arg(long, value_name = "PATH", help_heading = "Access")]
    stat: Option<String>,
    /// Using a socket: tcp, udp, icmp, raw, packet, ... or FAMILY/TYPE/PROTOCOL such as inet6/dgram/17
    #[arg(long, visible_alias = "connect", value_name = "SOCKET", value_parser = socket, help_heading = "Access")]
    socket: Option<Socket>,
    /// Asking the name service for a name
    #[arg(long, value_name = "NAME", value_parser = dns_name, help_heading = "Access")]
    dns: Option<String>,
    /// Using a capability, such as `net_raw`
    #[arg(long, value_name = "NAME", value_parser = capability, help_heading = "Access")]
    capability: Option<Capability>,
    /// Doing what a preset watches for, such as `filelessExec`
    #[arg(long, value_name = "NAME", value_parser = preset, help_heading = "Access")]
    preset: Option<Preset>,
    /// Making a system call, such as `ptrace`; --on names the path that it concerns
    #[arg(long, value_name = "NAME", value_parser = call, help_heading = "Access")]
    syscall: Option<&'static str>,
}

/// An access with what is not known about it.
pub(super) struct Asked {
    pub(super) access: OwnedAccess,
    /// Neither --owner nor --not-owner was given.
    pub(super) owner_open: bool,
    /// The paths as they were asked about, where links lead elsewhere.
    pub(super) renamed: Vec<(String, String)>,
}

impl AccessOptions {
    pub(super) fn access(&self, filesystem: &Filesystem) -> anyhow::Result<Asked> {
        let mut renamed = vec![];
        let mut canonical = |path: &str, found: String| {
            if found != path {
                renamed.push((path.to_owned(), found.clone()));
            }
            found.into_bytes()
        };
        let object = self.object(filesystem, &mut canonical)?;
        let subject = match &self.from {
            Some(path) => {
                check(path)?;
                Some(canonical(path, filesystem.program(path, &[])))
            }
            None => None,
        };
        let by_owner = matches!(object, OwnedObject::Execute { .. } | OwnedObject::File { .. });
        Ok(Asked {
            access: OwnedAccess { subject, object, terminal: self.tty, owner: self.owner },
            owner_open: by_owner && !self.owner && !self.not_owner,
            renamed,
        })
    }
}

impl AccessOptions {
    /// `canonical` takes a path as written and what it leads to.
    fn object(
        &self,
        filesystem: &Filesystem,
        canonical: &mut dyn FnMut(&str, String) -> Vec<u8>,
    ) -> anyhow::Result<OwnedObject> {
        let asked = &self.object;
        if let Some(path) = &asked.exec {
            check(path)?;
            let path = canonical(path, filesystem.program(path, &self.args));
            let args = self.args.iter().map(|arg| arg.clone().into_bytes()).collect();
            return Ok(OwnedObject::Execute { path: Some(path), args });
        }
        let mut file = |path: &str| -> anyhow::Result<Vec<u8>> {
            check(path)?;
            Ok(canonical(path, filesystem.file(path)))
        };
        for (path, operation) in [
            (&asked.read, FileOperation::Read),
            (&asked.write, FileOperation::Change),
            (&asked.stat, FileOperation::Metadata),
        ] {
            if let Some(path) = path {
                return Ok(OwnedObject::File { path: file(path)?, operation });
            }
        }
        if let Some(name) = asked.syscall {
            let path = self.on.as_deref().map(file).transpose()?;
            return Ok(OwnedObject::Syscall { name: name.to_owned(), path });
        }
        let dns = |name: &String| OwnedObject::Dns(Some(name.clone().into_bytes()));
        let capability = |capability: Capability| OwnedObject::Capability(capability.0);
        let object = (asked.socket.map(OwnedObject::Socket))
            .or(asked.dns.as_ref().map(dns))
            .or(asked.capability.map(capability))
            .or(asked.preset.map(OwnedObject::Preset));
        object.ok_or_else(|| anyhow::anyhow!("no access to explain"))
    }
}

/// The kernel names objects by absolute paths in their shortest form.
fn check(path: &str) -> Result<(), Advised> {
    if !path.starts_with('/') {
        let hint = format!("write the absolute path, such as /usr/bin/{path}");
        return Err(Advised::new(format!("`{path}` is no absolute path"), hint));
    }
    let odd = |component: &str| matches!(component, "" | "." | "..");
    let applet =
        |path: &str| path.split_once("//").is_some_and(|(_, applet)| !applet.contains('/'));
    if path != "/" && path[1..].split('/').any(odd) && !applet(path) {
        let message = format!("no file is called `{path}`");
        let hint = "leave out `//`, `/./`, `/../` and a slash at the end";
        return Err(Advised::new(message, hint));
    }
    Ok(())
}

/// As queries carry it: without the dot at the end that some write.
fn dns_name(name: &str) -> Result<String, String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| !label.is_empty() && label.len() <= 63;
    if name.len() > 253 || !name.split('.').all(label) {
        return Err("a name is labels of 1 to 63 bytes with dots between them".to_owned());
    }
    Ok(name.to_owned())
}

fn capability(name: &str) -> Result<Capability, String> {
    Capability::parse(name).ok_or_else(|| format!("`{name}` is no capability; `net_raw` is one"))
}

fn preset(name: &str) -> Result<Preset, String> {
    let known = Preset::ALL.into_iter().find(|preset| preset.as_str().eq_ignore_ascii_case(name));
    known.ok_or_else(|| {
        format!("`{name}` is no preset; use {}", Preset::ALL.map(Preset::as_str).join(", "))
    })
}

fn call(name: &str) -> Result<&'static str, String> {
    let known = syscall::canonical(name);
    known.ok_or_else(|| format!("`{name}` is no system call of Linux; `ptrace` is one"))
}

/// Family, type and protocol of what people call by one word.
const SOCKETS: [(&str, [u16; 3]); 16] = [
    ("tcp", [2, 1, 6]),
    ("udp", [2, 2, 17]),
    ("icmp", [2, 3, 1]),
    ("icmpv6", [10, 3, 58]),
    ("sctp", [2, 1, 132]),
    ("mptcp", [2, 1, 262]),
    ("udplite", [2, 2, 136]),
    ("raw", [2, 3, 255]),
    ("stream", [2, 1, 0]),
    ("dgram", [2, 2, 0]),
    ("rdm", [2, 4, 255]),
    ("seqpacket", [2, 5, 132]),
    ("dccp", [2, 6, 33]),
    ("packet", [17, 3, 0x300]),
    ("unix", [1, 1, 0]),
    ("netlink", [16, 3, 0]),
];

const FAMILIES: [(&str, u16); 5] =
    [("inet", 2), ("inet6", 10), ("packet", 17), ("unix", 1), ("netlink", 16)];
const TYPES: [(&str, u16); 7] = [
    ("stream", 1),
    ("dgram", 2),
    ("raw", 3),
    ("rdm", 4),
    ("seqpacket", 5),
    ("dccp", 6),
    ("packet", 10),
];
const PROTOCOLS: [(&str, u16); 8] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("sctp", 132),
    ("mptcp", 262),
    ("udplite", 136),
    ("any", 0),
];

fn socket(text: &str) -> Result<Socket, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, [family, kind, protocol])) = SOCKETS.iter().find(|(name, _)| *name == lower) {
        return Ok(Socket { family: *family, kind: *kind, protocol: *protocol });
    }
    let part = |known: &[(&str, u16)], word: &str| {
        let named = known.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
        named.or_else(|| word.parse().ok()).ok_or_else(|| format!("`{word}` is unknown"))
    };
    let parts: Vec<&str> = lower.split('/').collect();
    match parts[..] {
        [family, kind] => {
            Ok(Socket { family: part(&FAMILIES, family)?, kind: part(&TYPES, kind)?, protocol: 0 })
        }
        [family, kind, protocol] => Ok(Socket {
            family: part(&FAMILIES, family)?,
            kind: part(&TYPES, kind)?,
            protocol: part(&PROTOCOLS, protocol)?,
        }),
        _ => {
            let names: Vec<&str> = SOCKETS.iter().map(|(name, _)| *name).collect();
            Err(format!("use {}, or FAMILY/TYPE/PROTOCOL", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_by_word_and_by_part() {
        assert_eq!(socket("TCP"), Ok(Socket { family: 2, kind: 1, protocol: 6 }));
        assert_eq!(socket("inet6/dgram/17"), Ok(Socket { family: 10, kind: 2, protocol: 17 }));
        assert_eq!(socket("packet/raw"), Ok(Socket { family: 17, kind: 3, protocol: 0 }));
        assert!(socket("tcpp").unwrap_err().starts_with("use tcp"));
        assert!(socket("inet/strem").unwrap_err().contains("`strem`"));
    }

    #[test]
    fn presets_and_calls_by_name() {
        assert_eq!(preset("filelessexec"), Ok(Preset::FilelessExec));
        assert!(preset("fileless").unwrap_err().contains("protectProc"));
        assert_eq!(call("PTRACE"), Ok("ptrace"));
        assert!(call("ptracee").is_err());
    }

    #[test]
    fn names_are_those_of_queries() {
        assert_eq!(dns_name("db.shop.example."), Ok("db.shop.example".to_owned()));
        assert!(dns_name("a..b").is_err() && dns_name("").is_err());
    }

    #[test]
    fn paths_are_those_of_the_kernel() {
        assert!(check("/").is_ok() && check("/bin/busybox//cat").is_ok());
        assert!(check("sh").is_err() && check("/a/").is_err() && check("/a/../b").is_err());
    }
}
