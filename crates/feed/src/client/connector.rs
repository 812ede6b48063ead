//! Opens connections: to the unix socket, over TCP, over what somebody else opens; with TLS on it or without.

use std::{future::Future, io, pin::Pin, sync::Arc};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;
use tower::{Service, service_fn};

use super::{Address, ClientError};
use crate::{ClientIdentity, connection::Duplex};

/// Opens a way to a server, such as one through a cluster's API server.
pub type Opener = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>> + Send + Sync,
>;

/// How connections to one agent are opened, the first and those after a loss.
#[derive(Clone)]
pub(super) struct Connector {
    way: Way,
    /// With TLS: the name that the server has to prove.
    tls: Option<(ClientIdentity, ServerName<'static>)>,
}

#[derive(Clone)]
enum Way {
    To(Address),
    Through(Opener),
}

impl Connector {
    pub(super) fn to(address: Address) -> Self {
        Self { way: Way::To(address), tls: None }
    }

    pub(super) fn through(opener: Opener) -> Self {
        Self { way: Way::Through(opener), tls: None }
    }

    /// Fails if no certificate can be for `name`.
    pub(super) fn secure(self, identity: &ClientIdentity, name: &str) -> Result<Self, ClientError> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| ClientError::Address(name.to_owned()))?;
        Ok(Self { tls: Some((identity.clone(), server)), ..self })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// What the calls name as the one they are meant for.
    pub(super) fn authority(&self) -> String {
        match &self.way {
            Way::To(address) => address.authority(),
            Way::Through(_) => "localhost".to_owned(),
        }
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
        let stream = self.way.open().await?;
        Ok(match self.tls {
            None => stream,
            Some((identity, name)) => {
                Box::new(TlsConnector::from(identity.config).connect(name, stream).await?)
            }
        })
    }
}

impl Way {
    async fn open(self) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::To(Address::Socket(path)) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::To(Address::Host { host, port }) => {
                let stream = TcpStream::connect(format!("{host}:{port}")).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Through(opener) => opener().await,
        }
    }
}
