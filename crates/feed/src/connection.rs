//! Where connections come from: the unix socket, TCP, and TLS on it. Each comes with what is known of its peer.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::transport::server::Connected;
use tracing::warn;

use crate::{local_socket::LocalSocket, peer::Peer, seldom::Seldom, tls::Certificates};

/// Peers that may be agreeing on TLS at once; others wait.
const HANDSHAKES: usize = 128;
/// What a peer has for that.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Until another attempt where nothing can be accepted, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What the agent listens on.
pub enum Listener {
    /// TCP, to anyone.
    Tcp(TcpListener),
    /// TCP, to those with a certificate.
    Tls(TcpListener, Arc<Certificates>),
    /// This machine's administrators.
    Local(LocalSocket),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<LocalSocket> for Listener {
    fn from(socket: LocalSocket) -> Self {
        Self::Local(socket)
    }
}

/// Bytes both ways, over whatever transport.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An accepted connection.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    peer: Peer,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// A connection before anything was agreed on.
enum Accepted {
    Ready(Connection),
    Tls(TcpStream, Peer, TlsAcceptor),
}

/// What is spoken over a connection. TLS agrees on it beforehand, so that nobody speaks the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// gRPC.
    Http2,
    Http1,
}

impl Protocol {
    /// Certificates are configured for gRPC.
    fn over(self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        match self {
            Self::Http2 => config,
            Self::Http1 => {
                let mut config = ServerConfig::clone(&config);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Arc::new(config)
            }
        }
    }
}

impl Listener {
    /// Connections as they come, until the stream is dropped.
    pub(crate) fn incoming(
        self,
        protocol: Protocol,
    ) -> impl Stream<Item = Result<Connection, Infallible>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.accept_all(protocol, sender));
        ReceiverStream::new(receiver).map(Ok)
    }

    async fn accept_all(self, protocol: Protocol, sender: mpsc::Sender<Connection>) {
        let mut greeted = JoinSet::new();
        let failures = Arc::new(Seldom::default());
        loop {
            tokio::select! {
                () = sender.closed() => return,
                Some(_) = greeted.join_next() => {}
                accepted = self.accept(protocol), if greeted.len() < HANDSHAKES => match accepted {
                    Ok(accepted) => {
                        let (sender, failures) = (sender.clone(), Arc::clone(&failures));
                        greeted.spawn(async move {
                            if let Some(connection) = accepted.greet(&failures).await {
                                // Fails only while the server ends.
                                let _ = sender.send(connection).await;
                            }
                        });
                    }
                    // The peer's doing, who must not slow others down.
                    Err(problem) if problem.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(problem) => {
                        warn!("a connection was not accepted: {problem}");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn accept(&self, protocol: Protocol) -> io::Result<Accepted> {
        let ready = |stream, peer| Accepted::Ready(Connection { stream, peer });
        Ok(match self {
            Self::Local(socket) => {
                let (stream, peer) = socket.accept().await?;
                ready(Box::new(stream), peer)
            }
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                hurry(&stream);
                ready(Box::new(stream), Peer::Unknown(address))
            }
            Self::Tls(listener, certificates) => {
                let (stream, address) = listener.accept().await?;
                hurry(&stream);
                let acceptor = TlsAcceptor::from(protocol.over(certificates.config()));
                // Certified, since the handshake fails without a certificate.
                Accepted::Tls(stream, Peer::Certified(address), acceptor)
            }
        })
    }
}

/// Sends what is there without waiting for more. Fails where the peer is gone already.
fn hurry(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

impl Accepted {
    async fn greet(self, failures: &Seldom) -> Option<Connection> {
        let (stream, peer, acceptor) = match self {
            Self::Ready(connection) => return Some(connection),
            Self::Tls(stream, peer, acceptor) => (stream, peer, acceptor),
        };
        let problem = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(Connection { stream: Box::new(stream), peer }),
            Ok(Err(problem)) => problem.to_string(),
            Err(_) => format!("nothing was agreed on within {HANDSHAKE:?}"),
        };
        failures.warn(&format!("no TLS with {peer}: {problem}"));
        None
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
