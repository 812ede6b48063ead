//! The agent's side: hears hooks, and only hooks.
//!
//! Only root may connect, and only from the host's root directory: a process of a container, though root and though it
//! got hold of the socket, cannot tell the agent what its container is.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use procfs::process::Process;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};
use tracing::{debug, warn};

use super::{Answer, LONGEST_LINE, Request, line};
use crate::{
    cgroup,
    governor::{Governor, Way},
    newcomer::Newcomer,
    root::is_hosts,
};

/// Hooks that are heard at once; a node starts fewer containers at a time.
const MOST_ASKERS: usize = 256;
/// What a hook has for its request.
const REQUEST: Duration = Duration::from_secs(2);

/// Answers hooks at `path` until the future is dropped. What is left there of an earlier run is replaced.
pub async fn listen<G: Governor>(path: PathBuf, governor: Arc<G>) -> io::Result<()> {
    let listener = bind(&path)?;
    let room = Arc::new(Semaphore::new(MOST_ASKERS));
    loop {
        let Ok(turn) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("a hook could not connect: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let governor = Arc::clone(&governor);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &*governor).await {
                debug!("a hook went away: {error}");
            }
            drop(turn);
        });
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(stream: UnixStream, governor: &impl Governor) -> io::Result<()> {
    let asker = stream.peer_cred()?;
    let own = rustix::process::geteuid().as_raw();
    if asker.uid() != 0 && asker.uid() != own {
        return Ok(());
    }
    let Some(asker) = asker.pid().and_then(|pid| u32::try_from(pid).ok()) else { return Ok(()) };
    let mut stream = BufReader::new(stream);
    let answer = match read(&mut stream).await {
        Ok(request) => answer(request, asker, governor).await,
        Err(reason) => Answer::Refused(reason),
    };
    stream.write_all(&line(&answer)).await?;
    stream.flush().await
}

async fn read(stream: &mut BufReader<UnixStream>) -> Result<Request, String> {
    let mut text = Vec::new();
    let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    let mut bounded = stream.take(limit);
    match timeout(REQUEST, bounded.read_until(b'\n', &mut text)).await {
        Ok(Ok(_)) if text.ends_with(b"\n") => {}
        Ok(Ok(_)) => return Err(format!("a request is one line of at most {LONGEST_LINE} bytes")),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_elapsed) => return Err(format!("no request within {} s", REQUEST.as_secs())),
    }
    serde_json::from_slice(&text).map_err(|error| format!("the request cannot be read: {error}"))
}

async fn answer(request: Request, asker: u32, governor: &impl Governor) -> Answer {
    let done = match request {
        Request::Starting(newcomer) => starting(newcomer, asker, governor).await,
        Request::Ended(id) => {
            governor.ended(id).await;
            Ok(())
        }
    };
    match done {
        Ok(()) => Answer::Done,
        Err(reason) => Answer::Refused(reason),
    }
}

async fn starting(newcomer: Newcomer, asker: u32, governor: &impl Governor) -> Result<(), String> {
    let unknown = |error: &dyn std::fmt::Display| format!("process {asker}, which asks: {error}");
    if !is_hosts(Path::new(&format!("/proc/{asker}/root"))).map_err(|error| unknown(&error))? {
        return Err("only a runtime of the host may tell of containers".to_owned());
    }
    let inside = is_in_another_pid_namespace(asker).map_err(|error| unknown(&error))?;
    // Without control groups nothing can be placed, and `govern` says so.
    if let Ok(cgroup) = cgroup::of_process(asker)
        && let Some(known) = governor.container_of(cgroup).await
    {
        return from_inside(&known, &newcomer);
    }
    let mut newcomer = newcomer;
    if inside {
        // The number that it was told counts in there; its parent is the container's first process.
        newcomer.pid = parent(asker).map_err(|error| unknown(&error))?;
    } else if let Ok(cgroup) = newcomer.cgroup() {
        newcomer.check_apart(&cgroup, asker).map_err(|error| error.to_string())?;
    }
    governor.way(Way::Hook, true);
    governor.govern(newcomer).await
}

/// What a process of a governed container gets to hear; nothing changes by it. The hook of a later stage runs in the
/// container that an earlier stage has told of.
pub(super) fn from_inside(known: &str, newcomer: &Newcomer) -> Result<(), String> {
    if known == newcomer.id {
        return Ok(());
    }
    Err(format!("the container {known} does not tell of containers"))
}

fn is_in_another_pid_namespace(pid: u32) -> io::Result<bool> {
    Ok(fs::read_link(format!("/proc/{pid}/ns/pid"))? != fs::read_link("/proc/self/ns/pid")?)
}

fn parent(pid: u32) -> Result<u32, String> {
    let stat =
        Process::new(i32::try_from(pid).unwrap_or(i32::MAX)).and_then(|process| process.stat());
    let stat = stat.map_err(|error| error.to_string())?;
    u32::try_from(stat.ppid).map_err(|error| error.to_string())
}
