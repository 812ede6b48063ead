//! Opens connections to an address: the unix socket, TCP, or TLS on it.

use std::io;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;
use tower::{Service, service_fn};

use super::Address;
use crate::{ClientIdentity, connection::Duplex};

/// How connections to one agent are opened, the first and those after a loss.
#[derive(Clone)]
pub(super) struct Connector {
    address: Address,
    /// With TLS: the name that the server has to prove.
    tls: Option<(ClientIdentity, ServerName<'static>)>,
}

impl Connector {
    /// `None` if no certificate can be for the address. The socket needs no TLS: the kernel tells who is there.
    pub(super) fn new(address: Address, identity: Option<ClientIdentity>) -> Option<Self> {
        let tls = match (&address, identity) {
            (Address::Host { host, .. }, Some(identity)) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                Some((identity, ServerName::try_from(bare.to_owned()).ok()?))
            }
            _ => None,
        };
        Some(Self { address, tls })
    }

    pub(super) fn service(
        self,
    ) -> impl Service<Uri, Response = TokioIo<Box<dyn Duplex>>, Error = io::Error, Future: Send> + Send
    {
        service_fn(move |_: Uri| {
            let connector = self.clone();
            async move { connector.open().await.map(TokioIo::new) }
        })
    }

    async fn open(self) -> io::Result<Box<dyn Duplex>> {
        let (host, port) = match self.address {
            Address::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Host { host, port } => (host, port),
        };
        let stream = TcpStream::connect(format!("{host}:{port}")).await?;
        stream.set_nodelay(true)?;
        Ok(match self.tls {
            None => Box::new(stream),
            Some((identity, name)) => {
                Box::new(TlsConnector::from(identity.config).connect(name, stream).await?)
            }
        })
    }
}
