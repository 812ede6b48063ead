//! The node's door: how those outside come to addresses of the node's network, as a proxy of HTTP's `CONNECT`, and what
//! they may ask of the node itself.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::Sender,
    thread,
};

use anyhow::{Context as _, Result};

/// Bytes that the words of a program may have.
const LONGEST: usize = 1 << 16;

/// What somebody wants of the node.
pub(crate) enum Wish {
    Stop,
    Reboot,
}

/// Listens from now on.
pub(crate) fn open(wishes: Sender<Wish>) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", node::DOOR)).context("open the node's door")?;
    thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            let wishes = wishes.clone();
            thread::spawn(move || {
                // Who has gone is no concern of the node's.
                let _ = receive(&visitor, &wishes);
            });
        }
    });
    Ok(())
}

fn receive(visitor: &TcpStream, wishes: &Sender<Wish>) -> io::Result<()> {
    visitor.set_nodelay(true)?;
    let mut reader = BufReader::new(visitor);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        header.clear();
    }
    let mut words = request.split_whitespace();
    match (words.next(), words.next()) {
        (Some("CONNECT"), Some(address)) => connect(visitor, reader, address),
        (Some("GET"), Some(path)) => send_log(visitor, path),
        (Some("POST"), Some(node::RUN)) => {
            let mut argv = vec![0; length.min(LONGEST)];
            reader.read_exact(&mut argv)?;
            run(visitor, &String::from_utf8_lossy(&argv))
        }
        (Some("POST"), Some(path)) => grant(visitor, path, wishes),
        _ => answer(visitor, "400 Bad Request", b""),
    }
}

fn connect(visitor: &TcpStream, mut from: BufReader<&TcpStream>, address: &str) -> io::Result<()> {
    let there = match TcpStream::connect(address) {
        Ok(there) => there,
        Err(error) => return answer(visitor, "502 Bad Gateway", error.to_string().as_bytes()),
    };
    there.set_nodelay(true)?;
    (&mut &*visitor).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut from, &mut &there);
            let _ = there.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &there, &mut &*visitor);
        let _ = visitor.shutdown(Shutdown::Write);
    });
    Ok(())
}

fn send_log(visitor: &TcpStream, path: &str) -> io::Result<()> {
    let name = path.strip_prefix("/log/").filter(|name| !name.contains('/'));
    let Some(name) = name else { return answer(visitor, "404 Not Found", b"") };
    match fs::read(Path::new(crate::LOGS).join(format!("{name}.log"))) {
        Ok(text) => answer(visitor, "200 OK", &text),
        Err(error) => answer(visitor, "404 Not Found", error.to_string().as_bytes()),
    }
}

/// Runs a program on the node itself, outside all containers.
fn run(visitor: &TcpStream, argv: &str) -> io::Result<()> {
    let mut words = argv.lines();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let status = if output.status.success() { "200 OK" } else { "417 Expectation Failed" };
            answer(visitor, status, &said)
        }
        Err(error) => answer(visitor, "417 Expectation Failed", error.to_string().as_bytes()),
    }
}

fn grant(visitor: &TcpStream, path: &str, wishes: &Sender<Wish>) -> io::Result<()> {
    let wish = match path {
        node::STOP => Wish::Stop,
        node::REBOOT => Wish::Reboot,
        _ => return answer(visitor, "404 Not Found", b""),
    };
    // Answered first: the machine may be gone at once.
    answer(visitor, "202 Accepted", b"")?;
    let _ = wishes.send(wish);
    Ok(())
}

fn answer(mut visitor: &TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(visitor, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    visitor.write_all(body)?;
    visitor.shutdown(Shutdown::Write)
}
