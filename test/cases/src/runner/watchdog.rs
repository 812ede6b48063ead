//! A case that does not end: what every process of the machine waits for is told, and the run ends. Whatever hangs may
//! hang in the kernel, so nothing can be cleaned up and no further case be run.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The longest case of all takes a fifth of it on an emulated processor that is shared.
const LONGEST_CASE: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_secs(1);
/// Ends the run with the status of one that failed.
const FAILED: i32 = 1;

/// The case that runs now, and since when.
#[derive(Clone, Default)]
pub(crate) struct Watchdog(Arc<Mutex<Option<(String, Instant)>>>);

impl Watchdog {
    pub(crate) fn start() -> Self {
        let watchdog = Self::default();
        let own = watchdog.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK);
                own.look();
            }
        });
        watchdog
    }

    pub(crate) fn begin(&self, case: &str) {
        self.set(Some((case.to_owned(), Instant::now())));
    }

    pub(crate) fn end(&self) {
        self.set(None);
    }

    fn set(&self, now: Option<(String, Instant)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn look(&self) {
        let now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((case, _)) = now.as_ref().filter(|(_, since)| since.elapsed() > LONGEST_CASE)
        else {
            return;
        };
        println!("FAIL  {case}: not done after {LONGEST_CASE:?}; the cases after it were not run");
        for line in waiting() {
            println!("      {line}");
        }
        std::process::exit(FAILED);
    }
}

/// Each thread of each process: its number, name and state, and where in the kernel it is.
fn waiting() -> Vec<String> {
    let mut lines = Vec::new();
    for process in entries(Path::new("/proc")) {
        for task in entries(&process.join("task")) {
            let read = |name| fs::read_to_string(task.join(name)).unwrap_or_default();
            let command = read("cmdline").replace('\0', " ");
            // Threads of the kernel have no arguments.
            if command.is_empty() {
                continue;
            }
            let stat = read("stat");
            let stack = read("stack");
            let stack = stack.lines().filter_map(|line| line.split(' ').nth(1)).take(6);
            let stack = stack.collect::<Vec<_>>().join(" < ");
            let head = stat.rsplit_once(')').map_or("", |(head, _)| head);
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            let state = state.unwrap_or('?');
            let command: String = command.chars().take(80).collect();
            lines.push(format!("{head}) {state} [{command}] {stack}"));
        }
    }
    lines
}

/// The entries that are numbers.
fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let is_number =
        |path: &Path| path.file_name().is_some_and(|n| n.as_encoded_bytes()[0].is_ascii_digit());
    found.flatten().map(|entry| entry.path()).filter(|path| is_number(path)).collect()
}
