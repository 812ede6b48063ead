//! The process that is measured: waits until it is where it should be, then performs every
//! operation and prints a line for each.

use std::{fs::File, io, process::Command};

use anyhow::{Context, Result, ensure};
use guest::bench::Operation;
use rustix::{
    fs::{Mode, OFlags, open},
    net::{AddressFamily, SocketType, socket},
};

use crate::{
    measure,
    shares::Shares,
    tree::{Tree, as_arguments},
};

/// The first line of output: the process waits for the word to begin.
pub(crate) const READY: &str = "ready";
/// Ends at once and needs no loader.
const STATIC: &str = "/usr/local/bin/bench-nothing";
const DYNAMIC: &str = "/usr/bin/true";

/// What is asked of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// [`guest::bench::Cost`], one a line.
    Costs,
    /// [`guest::bench::Share`], one a line.
    Shares,
}

/// Waits for a line on standard input, then measures everything. The line names a file that is
/// denied, or is empty.
pub(crate) fn perform(tree: &Tree, wish: Wish) -> Result<()> {
    println!("{READY}");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    ensure!(!line.is_empty(), "nobody said when to begin");
    let denied = line.trim_end();
    if !denied.is_empty() {
        let refused = File::open(denied).err().map(|error| error.kind());
        ensure!(
            refused == Some(io::ErrorKind::PermissionDenied),
            "{denied} should be refused, and opening it gives {refused:?}: no rules to measure"
        );
    }
    for operation in Operation::ALL {
        let shares = (wish == Wish::Shares).then(Shares::before);
        let cost = count(operation, tree)
            .with_context(|| format!("{operation:?} below {}", tree.root().display()))?;
        match shares {
            None => println!("{}", serde_json::to_string(&cost)?),
            Some(before) => {
                for share in before.since(operation) {
                    println!("{}", serde_json::to_string(&share)?);
                }
            }
        }
    }
    Ok(())
}

fn count(operation: Operation, tree: &Tree) -> Result<guest::bench::Cost> {
    let opening = |files: Vec<_>| {
        let files = as_arguments(&files)?;
        measure::cost(operation, |run| open_and_close(&files[run]))
    };
    match operation {
        Operation::OpenInNewDirectory => opening(tree.new_directories()),
        Operation::OpenInKnownDirectory => opening(tree.known_directory()),
        Operation::OpenAgain => {
            let files = as_arguments(&tree.known_directory())?;
            measure::cost(operation, |_| open_and_close(&files[0]))
        }
        Operation::Write => {
            let file = File::options().write(true).open("/dev/null")?;
            measure::cost(operation, |_| Ok(rustix::io::write(&file, b"x").map(drop)?))
        }
        Operation::Socket => measure::cost(operation, |_| {
            Ok(socket(AddressFamily::INET, SocketType::STREAM, None).map(drop)?)
        }),
        Operation::Spawn => measure::cost(operation, |_| spawn(STATIC)),
        Operation::SpawnDynamic => measure::cost(operation, |_| spawn(DYNAMIC)),
    }
}

fn open_and_close(path: &std::ffi::CStr) -> Result<()> {
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)?)
}

fn spawn(program: &str) -> Result<()> {
    let status = Command::new(program).env_clear().status().with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}
