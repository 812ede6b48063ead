//! One record: [`Record::decode`] checks version and lengths and copies everything out.

/// `RECORD_VERSION`
pub const VERSION: u16 = 2;

/// Bytes before the path.
pub const HEAD_SIZE: usize = 168;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    Alert,
    Exec,
    Log,
}

/// The hook that reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Exec,
    Open,
    Unlink,
    Mkdir,
    Rmdir,
    Mknod,
    Symlink,
    Link,
    Rename,
    Chmod,
    Chown,
    Truncate,
    Utimes,
    Setxattr,
    Getattr,
    Mmap,
    Load,
    Inherit,
    Receive,
    Use,
    Mount,
    Umount,
    Setattr,
    SocketCreate,
    SocketConnect,
    SocketSendmsg,
    SocketBind,
    SocketListen,
    SocketAccept,
    DnsQuery,
    SocketRecvmsg,
    Capable,
    AnonymousMapExec,
    FilelessExec,
    ProtectEnv,
    ExecPreset,
    ProtectProc,
    Syscall,
    Signal,
    Ptrace,
    SetLimits,
    Bpf,
}

pub mod flag {
    pub const PATH_CUT: u16 = 1;
    pub const ARGS_CUT: u16 = 2;
    pub const NO_NAME: u16 = 4;
    pub const UNRESOLVED: u16 = 8;
    pub const VISIBLE: u16 = 16;
    pub const ASKED: u16 = 32;
    pub const CWD_CUT: u16 = 64;
    pub const PROCFS: u16 = 128;
}

const NO_SYSCALL: u32 = u32::MAX;

pub const RULE_POSTURE: u32 = 0xffff_fffe;
pub const RULE_UNRESOLVED: u32 = 0xffff_fffd;
/// No rule of a policy: the agent protects itself.
pub const RULE_SELF: u32 = 0xffff_fffc;

/// A decoded record; see `bpf/include/records.h` for the meaning of each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: RecordKind,
    pub operation: Operation,
    pub flags: u16,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    pub exec: u64,
    pub parent_exec: u64,
    pub slot: u32,
    pub generation: u32,
    pub image: u32,
    pub rule: u32,
    /// 0 or a negative errno.
    pub result: i32,
    pub host_pid: u32,
    pub host_ppid: u32,
    pub pid: u32,
    pub ppid: u32,
    pub uid: u32,
    pub owner: u32,
    pub detail: [u32; 4],
    pub address: [u8; 16],
    pub comm: String,
    pub tty: String,
    /// The number of the system call that the task was in; `None` for one of another kind of number.
    pub syscall: Option<u32>,
    /// The first argument of that call, which is a descriptor or not.
    pub descriptor: i32,
    /// Of a log: the like that were kept back since the last one.
    pub repeats: u32,
    /// Absolute, root first; empty if the object has none. With [`flag::ASKED`] the text that was asked for. Of a DNS
    /// query: its name, with dots.
    pub path: Vec<u8>,
    /// The working directory, absolute.
    pub cwd: Vec<u8>,
    /// `argv[0]` first.
    pub args: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a record of {have} bytes where at least {need} are needed")]
    Short { have: usize, need: usize },
    #[error("record version {0}, this program reads version {VERSION}")]
    Version(u16),
    #[error("unknown record kind {0}")]
    Kind(u16),
    #[error("unknown operation {0}")]
    Operation(u16),
}

impl Record {
    /// Decodes one ring message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let head = bytes
            .get(..HEAD_SIZE)
            .ok_or(DecodeError::Short { have: bytes.len(), need: HEAD_SIZE })?;
        let mut cursor = Cursor { bytes: head };
        let version = cursor.u16();
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let kind = match cursor.u16() {
            1 => RecordKind::Alert,
            2 => RecordKind::Exec,
            3 => RecordKind::Log,
            other => return Err(DecodeError::Kind(other)),
        };
        let operation = operation(cursor.u16())?;
        let flags = cursor.u16();
        let path_size = cursor.u32() as usize;
        let args_size = cursor.u32() as usize;
        let mut record = Self {
            kind,
            operation,
            flags,
            time: cursor.u64(),
            exec: cursor.u64(),
            parent_exec: cursor.u64(),
            slot: cursor.u32(),
            generation: cursor.u32(),
            image: cursor.u32(),
            rule: cursor.u32(),
            result: cursor.u32().cast_signed(),
            host_pid: cursor.u32(),
            host_ppid: cursor.u32(),
            pid: cursor.u32(),
            ppid: cursor.u32(),
            uid: cursor.u32(),
            owner: cursor.u32(),
            detail: [cursor.u32(), cursor.u32(), cursor.u32(), cursor.u32()],
            address: cursor.array(),
            comm: text(&cursor.array::<16>()),
            tty: text(&cursor.array::<16>()),
            syscall: None,
            descriptor: 0,
            repeats: 0,
            path: Vec::new(),
            cwd: Vec::new(),
            args: Vec::new(),
        };
        let cwd_size = cursor.u32() as usize;
        record.syscall = Some(cursor.u32()).filter(|&number| number != NO_SYSCALL);
        record.descriptor = cursor.u32().cast_signed();
        record.repeats = cursor.u32();
        let need =
            [path_size, cwd_size, args_size].into_iter().fold(HEAD_SIZE, usize::saturating_add);
        if bytes.len() < need {
            return Err(DecodeError::Short { have: bytes.len(), need });
        }
        let (names, rest) = bytes[HEAD_SIZE..need].split_at(path_size);
        let (cwd, args) = rest.split_at(cwd_size);
        record.path = if operation == Operation::DnsQuery {
            join_labels(names)
        } else {
            path_or_text(names, flags)
        };
        record.cwd = join_names("", cwd);
        record.args = split_args(args);
        if operation == Operation::Exec {
            // Behind the arguments the kernel may have copied a part of the environment, which is nobody's business.
            record.args.truncate(record.detail[0] as usize);
        }
        Ok(record)
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    /// The caller has checked that the head is whole; a missing byte reads as zero all the same.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = N.min(self.bytes.len());
        out[..n].copy_from_slice(&self.bytes[..n]);
        self.bytes = &self.bytes[n..];
        out
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.array())
    }
}

fn operation(number: u16) -> Result<Operation, DecodeError> {
    Ok(match number {
        1 => Operation::Exec,
        2 => Operation::Open,
        3 => Operation::Unlink,
        4 => Operation::Mkdir,
        5 => Operation::Rmdir,
        6 => Operation::Mknod,
        7 => Operation::Symlink,
        8 => Operation::Link,
        9 => Operation::Rename,
        10 => Operation::Chmod,
        11 => Operation::Chown,
        12 => Operation::Truncate,
        13 => Operation::Utimes,
        14 => Operation::Setxattr,
        15 => Operation::Getattr,
        16 => Operation::Mmap,
        17 => Operation::Load,
        18 => Operation::Inherit,
        19 => Operation::Receive,
        20 => Operation::Use,
        21 => Operation::Mount,
        22 => Operation::Umount,
        24 => Operation::Setattr,
        32 => Operation::SocketCreate,
        33 => Operation::SocketConnect,
        34 => Operation::SocketSendmsg,
        35 => Operation::SocketBind,
        36 => Operation::SocketListen,
        37 => Operation::SocketAccept,
        38 => Operation::DnsQuery,
        39 => Operation::SocketRecvmsg,
        64 => Operation::Capable,
        96 => Operation::Syscall,
        112 => Operation::AnonymousMapExec,
        113 => Operation::FilelessExec,
        114 => Operation::ProtectEnv,
        115 => Operation::ExecPreset,
        116 => Operation::ProtectProc,
        128 => Operation::Signal,
        129 => Operation::Ptrace,
        130 => Operation::SetLimits,
        131 => Operation::Bpf,
        other => return Err(DecodeError::Operation(other)),
    })
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A path, or text that is none.
fn path_or_text(names: &[u8], flags: u16) -> Vec<u8> {
    if flags & (flag::NO_NAME | flag::ASKED) != 0 {
        return names.strip_suffix(b"\0").unwrap_or(names).to_vec();
    }
    // Wherever procfs is mounted, this is how its entries are called.
    join_names(if flags & flag::PROCFS == 0 { "" } else { "/proc" }, names)
}

/// Leaf-first names to an absolute path below a folder. The root directory itself has no names.
fn join_names(folder: &str, names: &[u8]) -> Vec<u8> {
    if names.is_empty() {
        return Vec::new();
    }
    let mut path = Vec::with_capacity(folder.len() + names.len() + 1);
    path.extend_from_slice(folder.as_bytes());
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    for name in names.rsplit(|&b| b == 0) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// A name as DNS messages write it, to where it ends or was cut.
fn join_labels(name: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    let mut rest = name;
    while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length != 0) {
        let (label, behind) = behind.split_at(usize::from(length).min(behind.len()));
        if !joined.is_empty() {
            joined.push(b'.');
        }
        joined.extend_from_slice(label);
        rest = behind;
    }
    joined
}

fn split_args(args: &[u8]) -> Vec<Vec<u8>> {
    if args.is_empty() {
        return Vec::new();
    }
    args.strip_suffix(b"\0").unwrap_or(args).split(|&b| b == 0).map(<[u8]>::to_vec).collect()
}
