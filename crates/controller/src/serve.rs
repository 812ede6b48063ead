//! What others connect to: the webhook over HTTPS, for API servers; probes and metrics over HTTP.

mod probes;
mod shown;
mod webhook;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::warn;

pub use self::{
    probes::{Probes, serve as serve_probes},
    shown::Shown,
    webhook::{Webhook, serve as serve_webhook},
};

/// Connections at once; others wait. API servers keep theirs.
const CONNECTIONS: usize = 256;
/// A connection on which nobody asks for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// What answers that are under way have when the controller ends.
const END: Duration = Duration::from_secs(5);
/// Until another attempt where nothing can be accepted, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

type Answer = Response<Full<Bytes>>;

/// Accepts connections until `shutdown`, and has each of them served by `serve` in a task of its own.
async fn accept_all<F>(
    listener: TcpListener,
    shutdown: watch::Receiver<bool>,
    serve: impl Fn(TcpStream, OwnedSemaphorePermit) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut ending = shutdown.clone();
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::select! {
            () = ended(&mut ending) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Fails where the peer is gone already.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, place));
                }
                Err(problem) => {
                    warn!("a connection was not accepted: {problem}");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // All places are free when all connections have ended.
    let everybody = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    let _ = timeout(END, places.acquire_many(everybody)).await;
}

/// Answers the requests of one connection, until its end or `shutdown`.
async fn converse<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut shutdown: watch::Receiver<bool>,
    respond: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Answer>,
{
    let respond = &respond;
    let service =
        service_fn(move |request| async move { Ok::<_, Infallible>(respond(request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Whoever is gone, or too slow, asks again.
        _ = connection.as_mut() => return,
        () = ended(&mut shutdown) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn ended(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|ends| *ends).await;
}

fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.into())
}

fn answer(status: StatusCode, format: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
    response
}
