//! Runs a program that tells something, and does not wait for it for ever.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: u64 = 1 << 20;

/// What it prints to standard output.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let (sender, printed) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes);
            // Nobody waits any more if it took too long.
            let _ = sender.send(read);
        });
    }
    let printed = printed.recv_timeout(PATIENCE);
    // It has closed its output or will not do so: in either case it is done with.
    let finished = child.try_wait().ok().flatten();
    let status = match (&printed, finished) {
        (_, Some(status)) => Ok(status),
        (Ok(Ok(bytes)), None) if (bytes.len() as u64) < LARGEST => child.wait(),
        _ => child.kill().and_then(|()| child.wait()),
    };
    match (printed, status) {
        (Err(_), _) => Err(format!("{program}: no answer for {} s", PATIENCE.as_secs())),
        (Ok(Err(error)), _) | (_, Err(error)) => Err(format!("{program}: {error}")),
        (Ok(Ok(bytes)), Ok(status)) if status.success() || bytes.len() as u64 == LARGEST => {
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        (_, Ok(status)) => Err(format!("{program}: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_prints_or_why_not() {
        assert_eq!(output("echo", &["a b"]), Ok("a b\n".to_owned()));
        assert!(output("false", &[]).unwrap_err().starts_with("false: exit status"));
        assert!(output("no-such-program", &[]).unwrap_err().contains("no-such-program"));
    }
}
