//! Peers that are spoken to by HTTP: one request a batch, and what its answer means for each kind.

use std::{io::Write as _, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
        USER_AGENT,
    },
};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use super::{Fate, Verdict, chain};
use crate::{
    config::{Auth, Endpoint, Kind, SinkConfig, Tls},
    encode::{otlp, search, splunk, webhook},
    event::Event,
    tls,
};

/// An answer to a batch of some thousand documents is smaller.
const LONGEST_ANSWER: usize = 16 << 20;
/// What of an answer is told.
const SHOWN: usize = 200;

#[derive(Debug)]
pub(crate) struct Http {
    kind: Kind,
    uri: Uri,
    auth: Option<Auth>,
    tls: Tls,
    patience: Duration,
    /// Made anew after a failure, so that replaced files come into use.
    client: Option<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(config: &SinkConfig) -> Self {
        let endpoint = match &config.endpoint {
            Endpoint::Http(uri) => uri.clone(),
            _ => Uri::default(),
        };
        Self {
            uri: target(&endpoint, &config.kind),
            kind: config.kind.clone(),
            auth: config.auth.clone(),
            tls: config.tls.clone(),
            patience: config.timeout(),
            client: None,
        }
    }

    pub(super) async fn send(&mut self, events: &[Event]) -> Verdict {
        let request = match self.request(events) {
            Ok(request) => request,
            Err(problem) => return Verdict::away(problem),
        };
        let client = match self.client.take().map_or_else(|| self.connect(), Ok) {
            Ok(client) => client,
            Err(problem) => return Verdict::away(problem),
        };
        let exchange = async {
            let answer = client.request(request).await.map_err(|error| chain(&error))?;
            let (status, wait) = (answer.status(), retry_after(&answer));
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
            let body = body.map_err(|error| chain(&*error))?.to_bytes();
            Ok::<_, String>((status, wait, body))
        };
        match timeout(self.patience, exchange).await {
            Ok(Ok((status, wait, body))) => {
                self.client = Some(client);
                judge(&self.kind, status, wait, &body, events.len())
            }
            Ok(Err(problem)) => Verdict::away(problem),
            Err(_) => Verdict::away(format!("no answer within {:?}", self.patience)),
        }
    }

    fn connect(&self) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.patience));
        // Without TLS nothing of it is needed, such as authorities that this system trusts.
        let https = self.uri.scheme_str() == Some("https");
        let config = if https { tls::client(&self.tls)? } else { nothing_trusted()? };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let builder = match &self.tls.server_name {
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|error| error.to_string())?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(tcp);
        Ok(Client::builder(TokioExecutor::new()).build(connector))
    }

    fn request(&self, events: &[Event]) -> Result<Request<Full<Bytes>>, String> {
        let (body, content_type, gzip) = match &self.kind {
            Kind::Search(_, own) => (search::body(events, own), "application/x-ndjson", own.gzip),
            Kind::Splunk(own) => (splunk::body(events, own), "application/json", own.gzip),
            Kind::Webhook(own) => {
                let content_type = webhook::content_type(own.format);
                (webhook::body(events, own.format), content_type, own.gzip)
            }
            Kind::Otlp(own) => {
                (otlp::request(events, &own.service_name), "application/x-protobuf", own.gzip)
            }
            // Not spoken to by HTTP.
            Kind::Kafka(_) | Kind::Syslog(_) => (Vec::new(), "", false),
        };
        let agent = concat!("kubearmor/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(USER_AGENT, agent)
            .header(CONTENT_TYPE, content_type);
        if let Kind::Webhook(own) = &self.kind {
            for (name, value) in &own.headers {
                request = request.header(name, value);
            }
        }
        if let Some(auth) = &self.auth {
            let (name, value) = credentials(auth, &self.kind)?;
            request = request.header(name, value);
        }
        let body = if gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
            compressed(&body).map_err(|error| error.to_string())?
        } else {
            body
        };
        request.body(Full::new(body.into())).map_err(|error| error.to_string())
    }
}

fn nothing_trusted() -> Result<rustls::ClientConfig, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// The endpoint with the path that the protocol lays down, where it names none itself.
fn target(endpoint: &Uri, kind: &Kind) -> Uri {
    let base = endpoint.path().trim_end_matches('/');
    let path = match kind {
        Kind::Otlp(_) if base.is_empty() => "/v1/logs".to_owned(),
        // Answers to large batches are long; only this of them is looked at.
        Kind::Search(..) => format!("{base}/_bulk?filter_path=errors,items.*.status,items.*.error"),
        Kind::Splunk(_) if base.is_empty() => "/services/collector/event".to_owned(),
        _ => return endpoint.clone(),
    };
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| endpoint.clone())
}

fn credentials(auth: &Auth, kind: &Kind) -> Result<(HeaderName, HeaderValue), String> {
    let secret = auth.secret()?;
    let (name, value) = match auth {
        Auth { username: Some(username), .. } => {
            let pair = BASE64_STANDARD.encode(format!("{username}:{secret}"));
            (AUTHORIZATION, format!("Basic {pair}"))
        }
        Auth { header: Some(header), .. } => {
            let name = HeaderName::try_from(header);
            (name.map_err(|_| format!("`{header}` is no HTTP header"))?, secret)
        }
        Auth { scheme, .. } => {
            let usual = if matches!(kind, Kind::Splunk(_)) { "Splunk" } else { "Bearer" };
            (AUTHORIZATION, format!("{} {secret}", scheme.as_deref().unwrap_or(usual)))
        }
    };
    // The error does not show the value.
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "the secret holds characters that no HTTP header may hold".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Seconds; dates are not heeded.
fn retry_after(answer: &Response<Incoming>) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// What an answer means. What an operator can mend (a wrong path, a missing right) is waited for; what is the events'
/// fault is not tried again.
fn judge(
    kind: &Kind,
    status: StatusCode,
    wait: Option<Duration>,
    body: &[u8],
    count: usize,
) -> Verdict {
    if status.is_success() {
        return match kind {
            Kind::Search(..) => {
                Verdict::Judged { fates: search::fates(body, count), wait, truncated: 0 }
            }
            Kind::Otlp(_) => partial(body, count),
            _ => Verdict::all(&Fate::Delivered, count),
        };
    }
    let problem = format!("status {status}{}", shown(body));
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Verdict::all(&Fate::TooLarge, count),
        StatusCode::BAD_REQUEST if matches!(kind, Kind::Splunk(_)) => {
            Verdict::fates(splunk::fates(body, count))
        }
        StatusCode::BAD_REQUEST
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Verdict::all(&Fate::Refused(problem), count),
        _ => Verdict::Away { problem, wait },
    }
}

/// A collector tells how many it has rejected, not which.
fn partial(body: &[u8], count: usize) -> Verdict {
    let (rejected, reason) = otlp::rejected(body);
    let rejected = usize::try_from(rejected).unwrap_or(count).min(count);
    let mut fates = vec![Fate::Delivered; count - rejected];
    fates.resize(count, Fate::Refused(reason));
    Verdict::fates(fates)
}

/// The beginning of an answer, as one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Otlp, Search, Splunk, Webhook};

    #[test]
    fn paths_are_those_of_the_protocol_unless_the_endpoint_has_one() {
        let shown =
            |endpoint: &str, kind: &Kind| target(&endpoint.parse().unwrap(), kind).to_string();
        let otlp = Kind::Otlp(Otlp::default());
        assert_eq!(shown("http://h:4318", &otlp), "http://h:4318/v1/logs");
        assert_eq!(shown("http://h:4318/x", &otlp), "http://h:4318/x");
        let search = Kind::Search("opensearch", Search::default());
        let query = "_bulk?filter_path=errors,items.*.status,items.*.error";
        assert_eq!(shown("https://h/es/", &search), format!("https://h/es/{query}"));
        let splunk = Kind::Splunk(Splunk::default());
        assert_eq!(shown("https://h", &splunk), "https://h/services/collector/event");
        let webhook = Kind::Webhook(Webhook::default());
        assert_eq!(shown("http://h/a?b", &webhook), "http://h/a?b");
    }

    #[test]
    fn an_answer_is_the_events_fault_or_the_peers() {
        let webhook = Kind::Webhook(Webhook::default());
        let judged = |status: u16, body: &[u8]| {
            judge(&webhook, StatusCode::from_u16(status).unwrap(), None, body, 2)
        };
        assert_eq!(judged(204, b""), Verdict::all(&Fate::Delivered, 2));
        assert_eq!(judged(413, b""), Verdict::all(&Fate::TooLarge, 2));
        let refused = Fate::Refused("status 400 Bad Request: no such field".into());
        assert_eq!(judged(400, b"no such\nfield"), Verdict::all(&refused, 2));
        for status in [301, 401, 403, 404, 429, 500, 503] {
            assert!(matches!(judged(status, b""), Verdict::Away { .. }), "{status}");
        }
        assert!(shown(&[b'x'; 9999]).len() < 300);
    }

    #[test]
    fn a_secret_is_where_the_peer_looks_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        let auth = Auth { secret_file: Some(file), ..Auth::default() };
        let webhook = Kind::Webhook(Webhook::default());
        let text = |auth: &Auth, kind: &Kind| {
            let (name, value) = credentials(auth, kind).unwrap();
            assert!(!format!("{value:?}").contains("s3cret"), "{value:?}");
            format!("{name}: {}", value.to_str().unwrap())
        };
        assert_eq!(text(&auth, &webhook), "authorization: Bearer s3cret");
        let splunk = Kind::Splunk(Splunk::default());
        assert_eq!(text(&auth, &splunk), "authorization: Splunk s3cret");
        let named = Auth { header: Some("X-Api-Key".into()), ..auth.clone() };
        assert_eq!(text(&named, &webhook), "x-api-key: s3cret");
        let basic = Auth { username: Some("elastic".into()), ..auth.clone() };
        assert_eq!(text(&basic, &webhook), "authorization: Basic ZWxhc3RpYzpzM2NyZXQ=");
        let scheme = Auth { scheme: Some("ApiKey".into()), ..auth };
        assert_eq!(text(&scheme, &webhook), "authorization: ApiKey s3cret");
    }
}
