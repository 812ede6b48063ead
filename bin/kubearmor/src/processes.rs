//! What only the running system knows about processes and users.

use std::{
    collections::HashMap,
    fs,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use rustix::time::ClockId;
use telemetry::{Program, System};

/// Answers from `/proc` and `/etc/passwd`.
#[derive(Debug)]
pub(crate) struct Processes {
    /// By user id, with the time of the file that they were read from.
    users: Mutex<(Option<SystemTime>, HashMap<u32, String>)>,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self { users: Mutex::new((None, HashMap::new())) }
    }
}

impl System for Processes {
    /// Asked anew each time: the wall clock may have been set.
    fn wall_clock(&self, monotonic: u64) -> SystemTime {
        SystemTime::now() - age(monotonic)
    }

    fn program(&self, host_pid: u32) -> Option<Program> {
        let path = fs::read_link(format!("/proc/{host_pid}/exe")).ok()?;
        let line = fs::read(format!("/proc/{host_pid}/cmdline")).unwrap_or_default();
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        let args = line.split(|&byte| byte == 0).skip(1);
        Some(Program {
            path: path.to_string_lossy().into_owned(),
            args: args.map(|arg| String::from_utf8_lossy(arg).into_owned()).collect(),
        })
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        let changed = fs::metadata("/etc/passwd").and_then(|data| data.modified()).ok();
        let mut users = self.users.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if users.0 != changed {
            *users = (changed, read_users(&fs::read_to_string("/etc/passwd").ok()?));
        }
        users.1.get(&uid).cloned()
    }
}

/// How long ago the monotonic clock showed `monotonic` nanoseconds.
pub(crate) fn age(monotonic: u64) -> Duration {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds).saturating_sub(Duration::from_nanos(monotonic))
}

/// The first name of each id counts, as in the C library.
fn read_users(passwd: &str) -> HashMap<u32, String> {
    let mut users = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            users.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_user_counts() {
        let users =
            read_users("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\nbroken\ndaemon:x:1:1::/:\n");
        assert_eq!(users[&0], "root");
        assert_eq!(users[&1], "daemon");
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn this_process_is_found() {
        let program = Processes::new().program(std::process::id()).unwrap();
        assert_eq!(program.path, std::env::current_exe().unwrap().to_str().unwrap());
    }

    #[test]
    fn the_monotonic_now_is_the_wall_clocks_now() {
        let now = rustix::time::clock_gettime(ClockId::Monotonic);
        let now = u64::try_from(now.tv_sec).unwrap() * 1_000_000_000
            + u64::try_from(now.tv_nsec).unwrap();
        let told = Processes::new().wall_clock(now);
        assert!(told.elapsed().unwrap_or_default() < Duration::from_mins(1));
    }
}
