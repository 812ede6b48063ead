//! Policies are judged here: `POST /validate` over TLS.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Answer, Shown, accept_all, answer, converse, text};
use crate::{
    admission::{self, Strictness},
    metrics::{Admissions, Failure},
};

/// Where API servers ask.
const PATH: &str = "/validate";
/// Bytes of a question: an API server takes objects of about 3 MiB, and sends the old one along.
const LARGEST: usize = 8 << 20;
/// Judgements at once; others wait.
const AT_ONCE: usize = 4;
/// What a peer has to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What judging takes.
pub struct Webhook {
    pub shown: Arc<Shown>,
    pub strictness: Strictness,
    pub admissions: Arc<Admissions>,
}

/// Answers API servers until `shutdown` holds.
pub async fn serve(
    listener: TcpListener,
    webhook: Webhook,
    shutdown: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let Webhook { shown, strictness, admissions } = webhook;
    let acceptor = TlsAcceptor::from(Arc::new(shown.config()?));
    let judge = Arc::new(Judge { strictness, admissions, places: Semaphore::new(AT_ONCE) });
    let ending = shutdown.clone();
    accept_all(listener, shutdown, |stream, place| {
        let (acceptor, judge, ending) = (acceptor.clone(), Arc::clone(&judge), ending.clone());
        async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => converse(stream, ending, |request| judge.respond(request)).await,
                _ => judge.admissions.failed(Failure::Handshake),
            }
            drop(place);
        }
    })
    .await;
    Ok(())
}

struct Judge {
    strictness: Strictness,
    admissions: Arc<Admissions>,
    places: Semaphore,
}

impl Judge {
    async fn respond(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() != PATH {
            return text(StatusCode::NOT_FOUND, format!("policies are judged at {PATH}\n"));
        }
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        let since = Instant::now();
        match self.judged(request).await {
            Ok(answered) => {
                self.admissions.answered(answered.verdict, since.elapsed());
                answer(StatusCode::OK, "application/json", answered.to_json().to_string())
            }
            Err((failure, status, problem)) => {
                self.admissions.failed(failure);
                tracing::warn!("a question about admission was not answered: {problem}");
                text(status, format!("{problem}\n"))
            }
        }
    }

    async fn judged(
        &self,
        request: Request<Incoming>,
    ) -> Result<admission::Answer, (Failure, StatusCode, String)> {
        let body = Limited::new(request.into_body(), LARGEST).collect().await;
        let body = body.map_err(|problem| {
            let status = match problem.downcast_ref::<LengthLimitError>() {
                Some(_) => StatusCode::PAYLOAD_TOO_LARGE,
                None => StatusCode::BAD_REQUEST,
            };
            (Failure::Unreadable, status, problem.to_string())
        })?;
        let (body, strictness) = (body.to_bytes(), self.strictness);
        // Never closed.
        let _place = self.places.acquire().await;
        match spawn_blocking(move || admission::answer(&body, strictness)).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(problem)) => {
                Err((Failure::Unreadable, StatusCode::BAD_REQUEST, problem.to_string()))
            }
            Err(problem) => {
                Err((Failure::Internal, StatusCode::INTERNAL_SERVER_ERROR, problem.to_string()))
            }
        }
    }
}
