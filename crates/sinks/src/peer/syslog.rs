//! Syslog servers. Over a stream an event is delivered when it is written: the protocol has no answers.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, ReadBuf},
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use super::{
    Fate, Verdict,
    connection::{Connection, Dial},
};
use crate::{
    config::{self, Endpoint, SinkConfig},
    encode::syslog::{counted, datagram, message},
    event::Event,
};

/// Over TCP or TLS, with octet counting.
#[derive(Debug)]
pub(crate) struct Syslog {
    format: config::Syslog,
    host: (String, u16),
    dial: Dial,
    patience: Duration,
    connection: Option<Connection>,
}

impl Syslog {
    pub(super) fn new(config: &SinkConfig, format: config::Syslog) -> Self {
        let host = match &config.endpoint {
            Endpoint::Stream { hosts, .. } => hosts.first().cloned(),
            _ => None,
        };
        let tls = config.endpoint.is_tls().then(|| config.tls.clone());
        Self {
            format,
            host: host.unwrap_or_default(),
            dial: Dial { tls, patience: config.timeout() },
            patience: config.timeout(),
            connection: None,
        }
    }

    pub(super) async fn send(&mut self, events: &[Event]) -> Verdict {
        let frames = |event| counted(&message(event, &self.format));
        let bytes = events.iter().map(frames).collect::<String>();
        let mut connection = match self.still_open().await {
            Some(connection) => connection,
            None => match self.dial.open(&self.host.0, self.host.1).await {
                Ok(connection) => connection,
                Err(problem) => return Verdict::away(problem),
            },
        };
        let writing = async {
            connection.0.write_all(bytes.as_bytes()).await?;
            connection.0.flush().await
        };
        match timeout(self.patience, writing).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Verdict::all(&Fate::Delivered, events.len())
            }
            Ok(Err(error)) => Verdict::away(format!("{}:{}: {error}", self.host.0, self.host.1)),
            Err(_) => Verdict::away(format!(
                "{}:{}: takes nothing for {:?}",
                self.host.0, self.host.1, self.patience
            )),
        }
    }

    /// The connection, unless the server has closed it: what is written then would be lost without an error.
    async fn still_open(&mut self) -> Option<Connection> {
        let mut connection = self.connection.take()?;
        let mut space = [0; 512];
        let ended = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut space);
            Poll::Ready(match Pin::new(&mut *connection.0).poll_read(context, &mut buffer) {
                Poll::Pending => false,
                Poll::Ready(Ok(())) => buffer.filled().is_empty(),
                Poll::Ready(Err(_)) => true,
            })
        });
        if ended.await { None } else { Some(connection) }
    }
}

/// Over UDP, one message a datagram.
#[derive(Debug)]
pub(crate) struct Datagrams {
    format: config::Syslog,
    host: String,
    port: u16,
    socket: Option<UdpSocket>,
}

impl Datagrams {
    pub(super) fn new(format: config::Syslog, host: String, port: u16) -> Self {
        Self { format, host, port, socket: None }
    }

    pub(super) async fn send(&mut self, events: &[Event]) -> Verdict {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => match self.open().await {
                Ok(socket) => socket,
                Err(error) => {
                    return Verdict::away(format!("{}:{}: {error}", self.host, self.port));
                }
            },
        };
        let (mut fates, mut truncated) = (Vec::new(), 0);
        for event in events {
            let message = message(event, &self.format);
            let (part, cut) = datagram(&message, self.format.max_datagram_bytes);
            if let Err(error) = socket.send(part.as_bytes()).await {
                let problem = format!("{}:{}: {error}", self.host, self.port);
                fates.resize(events.len(), Fate::Again(problem));
                return Verdict::Judged { fates, wait: None, truncated };
            }
            fates.push(Fate::Delivered);
            truncated += u64::from(cut);
        }
        self.socket = Some(socket);
        Verdict::Judged { fates, wait: None, truncated }
    }

    /// Bound to nothing in particular, so that refusals of the host come back as errors.
    async fn open(&self) -> std::io::Result<UdpSocket> {
        let mut failure = std::io::Error::other("the name has no address");
        for address in lookup_host((&*self.host, self.port)).await? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let opened = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(socket)
            };
            match opened.await {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
