//! The page `/metrics` over HTTP.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{sync::Semaphore, time::timeout};
use tokio_stream::StreamExt as _;

use super::{Families, Source};
use crate::{
    Listener,
    connection::{Connection, Protocol},
};

/// Connections that are answered at once; others wait.
const AT_ONCE: usize = 4;
/// What a peer has to ask and to take the answer.
const TIME: Duration = Duration::from_secs(10);

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `GET /metrics` with what `sources` tell, until `shutdown`. One request for each connection.
pub async fn serve(
    listener: impl Into<Listener>,
    sources: Vec<Arc<dyn Source>>,
    shutdown: impl Future<Output = ()>,
) {
    let sources: Arc<[_]> = sources.into();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let answer_all = async {
        let mut connections = Box::pin(listener.into().incoming(Protocol::Http1));
        while let Some(Ok(connection)) = connections.next().await {
            // Never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let sources = Arc::clone(&sources);
            tokio::spawn(async move {
                // Whoever is too slow, or gone, asks again.
                let _ = timeout(TIME, answer(connection, sources)).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = answer_all => {}
        () = shutdown => {}
    }
}

async fn answer(
    connection: Connection,
    sources: Arc<[Arc<dyn Source>]>,
) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let sources = Arc::clone(&sources);
        async move { Ok::<_, Infallible>(respond(&request, &sources).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), service)
        .await
}

async fn respond(
    request: &Request<Incoming>,
    sources: &[Arc<dyn Source>],
) -> Response<Full<Bytes>> {
    let (status, format, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut families = Families::default();
            for source in sources {
                source.collect(&mut families).await;
            }
            (StatusCode::OK, FORMAT, families.into_text())
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "text/plain", "the metrics are at /metrics\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(format));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio::{
        io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
        net::TcpStream,
    };
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::{Certificates, ClientIdentity, Provider, TlsOptions, metrics::Process};

    /// What a scraper gets, up to the connection's end.
    async fn scrape(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // The other end may be gone.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn over_tls_whoever_has_a_certificate_gets_the_page() {
        let directory = tempfile::tempdir().unwrap();
        let options = TlsOptions {
            directory: directory.path().to_owned(),
            provider: Provider::SelfMade,
            names: vec!["localhost".into()],
        };
        let certificates = Arc::new(Certificates::open(options).unwrap());
        let listener = crate::listen(([127, 0, 0, 1], 0).into(), "metricsPort").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sources: Vec<Arc<dyn Source>> = vec![Arc::new(Process)];
        tokio::spawn(serve(Listener::Tls(listener, certificates), sources, std::future::pending()));

        let identity = ClientIdentity::load(directory.path(), Provider::SelfMade).unwrap();
        let mut config = (*identity.config).clone();
        // As scrapers offer them.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connect = async |config| {
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TcpStream::connect(address).await.unwrap();
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        };
        let page = scrape(connect(config.clone()).await.unwrap()).await;
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
        assert!(page.contains("\nprocess_open_fds "), "{page}");

        config.alpn_protocols = vec![b"h2".to_vec()];
        assert!(connect(config).await.is_err(), "HTTP/2 is not spoken here");
        let without = scrape(TcpStream::connect(address).await.unwrap()).await;
        assert!(!without.contains("200 OK"), "{without}");
    }
}
