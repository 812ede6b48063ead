//! The container on stage, and the ways to run something in it.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};

pub(crate) const NAME: &str = "my-app";
const IMAGE: &str = "testbed/debian:latest";
/// A right for each capability that a policy takes away, and the label that all policies select.
const OPTIONS: [&str; 6] =
    ["--label", "app=my-app", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_NET_ADMIN"];
const APPLICATION: [&str; 8] =
    ["python3", "-m", "http.server", "--directory", "/srv", "--bind", "127.0.0.1", "8080"];

/// Secrets, a page to serve, and a stand-in for a scanner that the image lacks.
const FURNITURE: &str = "mkdir -p /etc/secrets /var/run/secrets /root/.ssh && \
    echo s3cret > /etc/secrets/token && \
    echo s3cret > /var/run/secrets/password && \
    echo s3cret > /root/.ssh/id_ed25519 && \
    echo welcome > /srv/index.html && \
    cp /usr/bin/true /usr/bin/nmap";

/// How a program in the container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    /// Both streams.
    pub(crate) output: String,
}

/// What starts the container, as a person would type it.
pub(crate) fn run_line() -> String {
    format!("ctr run -d {} {IMAGE} {NAME} {}", OPTIONS.join(" "), APPLICATION.join(" "))
}

/// Starts the web application; it runs as long as the machine does.
pub(crate) fn run() -> Result<()> {
    let mut ctr = Command::new("ctr");
    ctr.args(["run", "-d"]).args(OPTIONS).args([IMAGE, NAME]).args(APPLICATION);
    let ended = finish(&mut ctr)?;
    if ended.status != 0 {
        bail!("the container does not start: {}", ended.output);
    }
    Ok(())
}

/// Has the runtime run a program in the container, as a person does who opens a shell there. `id` is a new one.
pub(crate) fn exec(id: &str, command: &str) -> Result<Ended> {
    let mut ctr = Command::new("ctr");
    ctr.args(["task", "exec", "--exec-id", id, NAME]).args(command.split_whitespace());
    finish(&mut ctr)
}

pub(crate) fn open_shell() -> Result<Shell> {
    let mut ctr = Command::new("ctr");
    ctr.args(["task", "exec", "--exec-id", "shell", NAME, "/bin/sh"]);
    ctr.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = ctr.spawn().context("cannot start ctr")?;
    let input = child.stdin.take().context("the shell's input")?;
    let output = BufReader::new(child.stdout.take().context("the shell's output")?);
    Ok(Shell { streams: RefCell::new((input, output)), _ctr: child })
}

/// Puts into the container what the policies protect.
pub(crate) fn furnish(shell: &Shell) -> Result<()> {
    let ended = shell.run(FURNITURE)?;
    if ended.status != 0 {
        bail!("the container cannot be prepared: {}", ended.output);
    }
    Ok(())
}

/// A shell inside the container that takes one line after the other.
pub(crate) struct Shell {
    streams: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    _ctr: Child,
}

/// Begins the line with the exit status, which no command prints.
const MARK: &str = "-- the command ended with status ";

impl Shell {
    pub(crate) fn run(&self, command: &str) -> Result<Ended> {
        let (input, output) = &mut *self.streams.borrow_mut();
        // Commands must not read what is typed after them. The first newline ends output that lacks its own.
        writeln!(input, "{{ {command} ; }} </dev/null 2>&1; printf '\\n{MARK}%s\\n' $?")?;
        input.flush()?;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                bail!("the shell in the container has ended; its last words: {said}");
            }
            if let Some(status) = line.strip_prefix(MARK) {
                let status = status.trim().parse().context("the shell's answer")?;
                return Ok(Ended { status, output: said.trim().to_owned() });
            }
            said.push_str(&line);
        }
    }
}

fn finish(command: &mut Command) -> Result<Ended> {
    let name = command.get_program().display().to_string();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Ended { status: output.status.code().unwrap_or(-1), output: said.trim().to_owned() })
}
