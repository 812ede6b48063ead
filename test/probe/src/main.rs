//! `probe OPERATION ARGUMENTS`: one operation on the kernel, in the exact way that a behaviour case asks for.
//!
//! Exits 0 when the operation succeeded; prints the name of the errno on a line and exits with its number when it
//! was refused. Static, so that it runs in every root file system.

#![expect(unsafe_code, reason = "it makes the calls that no safe library offers")]

mod capability;
mod dns;
mod errno;
mod exec;
mod file;
mod file_open;
mod memory;
mod process;
mod sandbox;
mod socket;
mod syscall;
mod uring;
mod words;

use std::{ffi::CString, os::unix::ffi::OsStringExt, process::ExitCode};

use words::{Outcome, Refusal, Words};

/// One sub-command: its name, its arguments as the usage line shows them, what it does.
struct Operation {
    name: &'static str,
    arguments: &'static str,
    perform: fn(&Words) -> Outcome,
}

const fn operation(
    name: &'static str,
    arguments: &'static str,
    perform: fn(&Words) -> Outcome,
) -> Operation {
    Operation { name, arguments, perform }
}

const OPERATIONS: &[Operation] = &[
    operation("open", "PATH", file_open::open),
    operation("openat2", "PATH", file_open::openat2),
    operation("uring-open", "PATH", uring::open),
    operation("handle-open", "PATH", file_open::by_handle),
    operation("loop-open", "PATH COUNT", file_open::in_a_loop),
    operation("open-until-refused", "PATH SECONDS", file_open::until_refused),
    operation("creat", "PATH", file_open::creat),
    operation("write", "PATH", file_open::write),
    operation("append", "PATH", file_open::append),
    operation("mmap-write", "PATH", file_open::mmap_write),
    operation("truncate", "PATH", file::truncate),
    operation("ftruncate", "PATH", file::ftruncate),
    operation("unlink", "PATH", file::unlink),
    operation("rename", "OLD NEW", file::rename),
    operation("exchange", "OLD NEW", file::exchange),
    operation("link", "OLD NEW", file::link),
    operation("symlink", "OLD NEW", file::symlink),
    operation("mknod", "PATH", file::mknod),
    operation("chmod", "PATH", file::chmod),
    operation("chown", "PATH", file::chown),
    operation("setxattr", "PATH", file::setxattr),
    operation("utimes", "PATH", file::utimes),
    operation("setflags", "PATH", file::setflags),
    operation("file-setattr", "PATH", file::file_setattr),
    operation("exec", "PATH [ARGS]", exec::exec),
    operation("execveat", "PATH [ARGS]", exec::execveat),
    operation("fexec", "PATH [ARGS]", exec::fexec),
    operation("memfd-exec", "PATH [ARGS]", exec::memfd_exec),
    operation("ldso-exec", "PATH [ARGS]", exec::ldso_exec),
    operation("exec-as", "ARGV0 PATH [ARGS]", exec::exec_as),
    operation("socket", "FAMILY TYPE PROTO", socket::socket),
    operation("connect", "HOST:PORT [tcp|udp|sctp]", socket::connect),
    operation("sendto", "HOST:PORT [tcp|udp|sctp]", socket::sendto),
    operation("bind", "HOST:PORT [tcp|udp|sctp]", socket::bind),
    operation("listen", "HOST:PORT [tcp|sctp]", socket::listen),
    operation("dns", "NAME [connected|sendto|tcp|iovec|mmsg|cork] SERVER", dns::query),
    operation("cap", "NAME", capability::exercise),
    operation("syscall", "NAME", syscall::once),
    operation("userns", "CMD [ARGS]", sandbox::userns),
    operation("mmap-exec-anon", "", memory::mmap_exec_anon),
    operation("map-exec", "WAY [PATH]", memory::map_exec),
    operation("pause", "", process::pause),
    operation("ptrace", "PID", process::ptrace),
    operation("read-env", "PID", process::read_env),
];

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).map(|word| {
        CString::new(word.into_vec()).unwrap_or_default() // The kernel hands over no inner NUL.
    });
    let Some(name) = words.next() else {
        usage();
        return ExitCode::from(2);
    };
    let Some(operation) = OPERATIONS.iter().find(|o| o.name.as_bytes() == name.as_bytes()) else {
        eprintln!("probe: no operation {}", name.to_string_lossy());
        usage();
        return ExitCode::from(2);
    };
    match (operation.perform)(&Words::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Kernel(errno)) => {
            println!("{errno}");
            ExitCode::from(u8::try_from(errno.0).unwrap_or(u8::MAX))
        }
        Err(Refusal::Partly) => ExitCode::from(1),
        Err(Refusal::Usage(complaint)) => {
            eprintln!("probe {}: {complaint}", operation.name);
            eprintln!("usage: probe {} {}", operation.name, operation.arguments);
            ExitCode::from(2)
        }
    }
}

fn usage() {
    eprintln!("usage:");
    for Operation { name, arguments, .. } in OPERATIONS {
        eprintln!("  probe {name} {arguments}");
    }
}
