//! The control group namespace of an agent that runs in a pod.
//!
//! Runtimes give a container that is not privileged a namespace of its own, in which the groups of others have no names. With
//! the host's process numbers (`hostPID`) the host's first process shows the way to its namespace.

use std::{
    fs::{File, read_link},
    io,
    os::fd::AsFd as _,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const OWN: &str = "/proc/self/ns/cgroup";
const FIRST: &str = "/proc/1/ns/cgroup";

/// Enters the namespace of the first process, and says whether it was another one. To be called while there is one thread.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`, or where the first process may not be looked at; the agent goes on as it is.
pub(crate) fn enter_hosts() -> io::Result<bool> {
    if read_link(OWN)? == read_link(FIRST)? {
        return Ok(false);
    }
    let hosts = File::open(FIRST)?;
    move_into_link_name_space(hosts.as_fd(), Some(LinkNameSpaceType::ControlGroup))?;
    Ok(true)
}
