//! A terminal of a test's own: a pseudo-terminal with a program in it, and what a person would see there.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcgetattr, tcsetwinsize},
};
use vt100::Parser;

/// Nothing here takes long; what does is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Screen {
    child: Child,
    /// The end of who looks and types.
    master: File,
    /// Kept open so that the terminal is still there when the program is not.
    slave: OwnedFd,
    shown: Arc<Shown>,
}

struct Shown {
    parser: Mutex<Parser>,
    changed: Condvar,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Screen {
    /// `karmor` with these arguments, on a terminal of 100 columns and 24 rows.
    pub(crate) fn karmor(
        arguments: &[&str],
        directory: &Path,
        environment: &[(&str, &str)],
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&slave, size(100, 24)).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        // `setsid` makes it the program's terminal, and then becomes the program.
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_karmor")])
            .args(arguments)
            .current_dir(directory)
            .env("TERM", "xterm-256color")
            .env_remove("KUBEARMOR_SERVICE")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let (rows, columns) = (24.try_into().unwrap(), 100.try_into().unwrap());
        let parser = Mutex::new(Parser::new(rows, columns, 0));
        let shown = Arc::new(Shown { parser, changed: Condvar::new() });
        let master = File::from(master);
        let (reader, watched) = (master.try_clone().unwrap(), shown.clone());
        thread::spawn(move || watched.follow(reader));
        Self { child, master, slave, shown }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let (height, width) = (rows.try_into().unwrap(), columns.try_into().unwrap());
        self.shown.parser.lock().unwrap().screen_mut().set_size(height, width);
        tcsetwinsize(&self.slave, size(columns, rows)).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits until all of `texts` can be seen, and returns what can be seen then.
    pub(crate) fn wait_for(&self, texts: &[&str]) -> String {
        self.wait_until(&format!("{texts:?}"), |screen| {
            let contents = screen.contents();
            texts.iter().all(|text| contents.contains(text))
        })
    }

    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut parser = self.shown.parser.lock().unwrap();
        loop {
            if holds(parser.screen()) {
                return parser.screen().contents();
            }
            let left = end.saturating_duration_since(Instant::now());
            let seen = parser.screen().contents();
            assert!(!left.is_zero(), "not seen: {what}; this is:\n{seen}");
            parser = self.shown.changed.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits for the end of the program. Its terminal is as it was: lines are edited and echoed, and what was there
    /// before can be seen.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        let usual = rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO;
        assert!(modes.contains(usual), "{modes:?}");
        let seen = self.wait_until("the usual screen", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        (status, seen)
    }

    /// Whether any cell has a colour now.
    pub(crate) fn is_coloured(&self) -> bool {
        let parser = self.shown.parser.lock().unwrap();
        let screen = parser.screen();
        let cells = (0..24).flat_map(|row| (0..100).map(move |column| (row, column)));
        cells.filter_map(|(row, column)| screen.cell(row, column)).any(|cell| {
            cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a test that has failed; else it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    /// Until the terminal is gone.
    fn follow(&self, mut reader: File) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut bytes) {
            self.parser.lock().unwrap().process(&bytes[..read]);
            self.changed.notify_all();
        }
    }
}
