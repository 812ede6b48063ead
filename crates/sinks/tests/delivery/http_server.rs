//! A server of HTTP/1.1 that answers as the test says, and remembers what it was sent.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Unpacked.
    pub(crate) body: Vec<u8>,
}

pub(crate) enum Answer {
    Status(u16, Vec<u8>),
    /// The connection ends instead.
    Close,
    /// Nothing, ever.
    Hang,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self::Status(200, Vec::new())
    }

    pub(crate) fn status(code: u16) -> Self {
        Self::Status(code, Vec::new())
    }
}

pub(crate) type Script = dyn Fn(usize, &Received) -> Answer + Send + Sync;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// `script` is asked with the number of the request, counted from 0.
    pub(crate) async fn start(
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(None, script).await
    }

    pub(crate) async fn start_with(
        tls: Option<rustls::ServerConfig>,
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            received: Arc::default(),
            connections: Arc::default(),
        };
        let script: Arc<Script> = Arc::new(script);
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::Relaxed);
                let (this, script, acceptor) =
                    (this.clone(), Arc::clone(&script), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => this.serve(stream, script).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                this.serve(stream, script).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        script: Arc<Script>,
    ) {
        let service = service_fn(|request| self.answer(request, &script));
        // Fails where the script says `Close`.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        script: &Arc<Script>,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let path = request.uri().to_string();
        let headers: BTreeMap<String, String> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let packed = request.into_body().collect().await.unwrap().to_bytes();
        let mut body = Vec::new();
        if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
            flate2::read::GzDecoder::new(&*packed).read_to_end(&mut body).unwrap();
        } else {
            body.extend(packed);
        }
        let received = Received { path, headers, body };
        let number = {
            let mut all = self.received.lock().unwrap();
            all.push(received.clone());
            all.len() - 1
        };
        match script(number, &received) {
            Answer::Close => Err(std::io::Error::other("as the test wants it")),
            Answer::Hang => {
                std::future::pending::<Infallible>().await;
                unreachable!()
            }
            Answer::Status(code, body) => {
                Ok(Response::builder().status(code).body(Full::from(body)).unwrap())
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The numbers of all alerts that were sent, repeated ones included.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        self.received().iter().flat_map(|request| super::agent::numbers(&request.body)).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A port on which nobody listens.
pub(crate) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
