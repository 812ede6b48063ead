//! The name server of cases: A with 127.0.0.1, everything else with an empty answer.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    process::Command,
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    event::{PollFd, PollFlags, poll},
    pipe::PipeFlags,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const PORT: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers in one network namespace until it is dropped.
pub(crate) struct NameServer {
    /// Its end tells the thread to stop.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// In the namespace of that process, or in the runner's own.
    pub(crate) fn start(process: Option<u32>) -> Result<Self> {
        // An agent that a step starts must not hold the other end.
        let (stopped, stop) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (report, ready) = mpsc::channel();
        let thread = std::thread::spawn(move || match Sockets::open(process) {
            Ok(sockets) => {
                let _ = report.send(Ok(()));
                sockets.serve(&stopped);
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        });
        ready.recv().context("the name server ended")??;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sockets {
    datagrams: UdpSocket,
    connections: TcpListener,
}

impl Sockets {
    /// Moves this thread into the namespace for good.
    fn open(process: Option<u32>) -> Result<Self> {
        if let Some(pid) = process {
            let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        // A child of this thread is in its namespace.
        let output = Command::new("ip")
            .args(["address", "replace", &format!("{ADDRESS}/32"), "dev", "lo"])
            .output()
            .context("cannot start `ip`")?;
        ensure!(
            output.status.success(),
            "no address for the name server: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Self::bind((ADDRESS, PORT).into())
    }

    fn bind(address: SocketAddr) -> Result<Self> {
        let datagrams = UdpSocket::bind(address).context("name server, UDP")?;
        let connections = TcpListener::bind(datagrams.local_addr()?).context("name server, TCP")?;
        connections.set_nonblocking(true)?;
        datagrams.set_nonblocking(true)?;
        Ok(Self { datagrams, connections })
    }

    fn serve(&self, stopped: &OwnedFd) {
        loop {
            let mut ready = [
                PollFd::new(stopped, PollFlags::IN),
                PollFd::new(&self.datagrams, PollFlags::IN),
                PollFd::new(&self.connections, PollFlags::IN),
            ];
            if poll(&mut ready, None).is_err() || !ready[0].revents().is_empty() {
                return;
            }
            self.answer_datagram();
            if let Ok((connection, _)) = self.connections.accept() {
                // A client that goes away is no concern of ours.
                let _ = answer_connection(connection);
            }
        }
    }

    fn answer_datagram(&self) {
        let mut query = [0; 1500];
        let Ok((length, peer)) = self.datagrams.recv_from(&mut query) else { return };
        if let Some(answer) = answer(&query[..length]) {
            let _ = self.datagrams.send_to(&answer, peer);
        }
    }
}

fn answer_connection(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut length = [0; 2];
    connection.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    connection.read_exact(&mut query)?;
    if let Some(answer) = answer(&query) {
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        connection.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
    Ok(())
}

/// `None` for what is no query.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const TYPE_A: [u8; 4] = [0, 1, 0, 1];
    const FOUND: [u8; 12] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4];
    let id = query.get(..2)?;
    let mut end = HEADER;
    while let Some(label @ 1..=63) = query.get(end).copied() {
        end += 1 + usize::from(label);
    }
    let question = query.get(HEADER..end + 5)?;
    let is_address = question.ends_with(&TYPE_A);
    let mut answer = id.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_address {
        answer.extend(FOUND);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY_A: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
    const QUERY_AAAA: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x1c\0\x01";

    #[test]
    fn an_address_is_this_machine() {
        let answer = answer(QUERY_A).unwrap();
        assert!(answer.starts_with(b"\x12\x34\x81\x80\0\x01\0\x01"));
        assert!(answer.ends_with(&[127, 0, 0, 1]));
    }

    #[test]
    fn everything_else_is_empty() {
        let answer = answer(QUERY_AAAA).unwrap();
        assert!(answer.starts_with(b"\x12\x34\x81\x80\0\x01\0\0"));
        assert!(answer.ends_with(b"\0\0\x1c\0\x01"));
    }

    #[test]
    fn noise_has_no_answer() {
        assert_eq!(answer(b"x"), None);
        assert_eq!(answer(&[0x3f; 40]), None);
    }

    #[test]
    fn answers_both_transports() {
        let sockets = Sockets::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = sockets.datagrams.local_addr().unwrap();
        let (stopped, stop) = rustix::pipe::pipe().unwrap();
        let server = std::thread::spawn(move || sockets.serve(&stopped));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(QUERY_A, address).unwrap();
        let mut buffer = [0; 512];
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], answer(QUERY_A).unwrap());
        let mut stream = TcpStream::connect(address).unwrap();
        let framed = [&[0, u8::try_from(QUERY_A.len()).unwrap()], QUERY_A].concat();
        stream.write_all(&framed).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received[2..], answer(QUERY_A).unwrap());
        drop(stop);
        server.join().unwrap();
    }
}
