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
use crate::{Listener, connection::Connection};

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
        let mut connections = Box::pin(listener.into().incoming());
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
