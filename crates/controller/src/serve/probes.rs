//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use feed::metrics::{Families, Source};
use hyper::{Method, Request, StatusCode, body::Incoming};
use tokio::{net::TcpListener, sync::watch};

use super::{Answer, Shown, accept_all, answer, converse, text};

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told.
pub struct Probes {
    /// Ready is who has a certificate to show.
    pub shown: Arc<Shown>,
    pub sources: Vec<Arc<dyn Source>>,
}

/// Answers until `shutdown` holds.
pub async fn serve(listener: TcpListener, probes: Probes, shutdown: watch::Receiver<bool>) {
    let probes = Arc::new(probes);
    let ending = shutdown.clone();
    accept_all(listener, shutdown, |stream, place| {
        let (probes, ending) = (Arc::clone(&probes), ending.clone());
        async move {
            converse(stream, ending, |request| probes.respond(request)).await;
            drop(place);
        }
    })
    .await;
}

impl Probes {
    async fn respond(&self, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.shown.is_there() => text(StatusCode::OK, "ok\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "there is no certificate yet\n"),
            "/metrics" => {
                let mut families = Families::default();
                for source in &self.sources {
                    source.collect(&mut families).await;
                }
                answer(StatusCode::OK, FORMAT, families.into_text())
            }
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz and /metrics are here\n"),
        }
    }
}
