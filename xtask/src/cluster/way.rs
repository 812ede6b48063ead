//! The API server's way to the node's door: it speaks `CONNECT` without TLS through a socket of the file system only, and
//! QEMU forwards ports only.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

use anyhow::{Context, Result};

/// Passes on what comes through the socket at `path` to the port, from now on.
pub(super) fn open(path: &Path, port: u16) -> Result<()> {
    let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
    thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            // The API server hears of a node that is away by the end of its connection.
            thread::spawn(move || pass_on(&visitor, port));
        }
    });
    Ok(())
}

fn pass_on(here: &UnixStream, port: u16) -> io::Result<()> {
    let there = TcpStream::connect(("127.0.0.1", port))?;
    there.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*here, &mut &there);
            let _ = there.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &there, &mut &*here);
        let _ = here.shutdown(Shutdown::Write);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn both_directions_pass_and_ends_are_told() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("way");
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        open(&path, door.local_addr().unwrap().port()).unwrap();
        let mut here = UnixStream::connect(&path).unwrap();
        here.write_all(b"asked").unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        let (mut there, _) = door.accept().unwrap();
        let mut heard = String::new();
        there.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "asked");
        there.write_all(b"answered").unwrap();
        drop(there);
        heard.clear();
        here.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "answered");
    }
}
