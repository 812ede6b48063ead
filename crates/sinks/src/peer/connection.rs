//! A stream to a peer, with TLS or without.

use std::{fmt, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{config::Tls, tls};

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// How streams to a peer are opened.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    /// `None`: plain TCP.
    pub(super) tls: Option<Tls>,
    pub(super) patience: Duration,
}

/// An open stream.
pub(super) struct Connection(pub(super) Box<dyn Duplex>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Dial {
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<Connection, String> {
        match timeout(self.patience, self.connect(host, port)).await {
            Ok(connected) => connected,
            Err(_) => Err(format!("{host}:{port}: no connection within {:?}", self.patience)),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Connection, String> {
        let wrong = |error: &dyn fmt::Display| format!("{host}:{port}: {error}");
        // Before the connection: a server counts one that says nothing.
        let config = self.tls.as_ref().map(tls::client).transpose()?;
        let stream = TcpStream::connect((host, port)).await.map_err(|error| wrong(&error))?;
        stream.set_nodelay(true).map_err(|error| wrong(&error))?;
        let (Some(tls), Some(config)) = (&self.tls, config) else {
            return Ok(Connection(Box::new(stream)));
        };
        let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| wrong(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.map_err(|error| wrong(&error))?;
        Ok(Connection(Box::new(stream)))
    }
}
