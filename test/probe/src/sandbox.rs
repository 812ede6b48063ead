//! A command in namespaces of its own, as rootless container tools make them.

use std::fs;

use rustix::{
    process::{getgid, getuid},
    thread::UnshareFlags,
};

use crate::{
    exec,
    words::{Outcome, Words},
};

/// Becomes root of a new user and mount namespace, then runs CMD there.
pub(crate) fn userns(words: &Words) -> Outcome {
    words.word(0, "CMD")?;
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    // SAFETY: the process has one thread, and no descriptor table is shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)? };
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    exec::become_command(words.rest(0))
}
