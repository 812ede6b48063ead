//! The kinds of sinks, the keys that each has of its own, and how its peer is named.

use std::{collections::BTreeMap, fmt};

use hyper::Uri;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Auth, Stream};

/// Registered for HTTP: what a header's name consists of, and those that hold secrets or are ours.
const OWN_HEADERS: [&str; 6] =
    ["authorization", "content-type", "content-length", "content-encoding", "host", "cookie"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Otlp(Otlp),
    /// `elasticsearch` or `opensearch`: the names differ, the protocol does not.
    Search(&'static str, Search),
    Kafka(Kafka),
    Syslog(Syslog),
    Webhook(Webhook),
    Splunk(Splunk),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Otlp {
    pub(crate) gzip: bool,
    pub(crate) service_name: String,
}

impl Default for Otlp {
    fn default() -> Self {
        Self { gzip: true, service_name: "kubearmor".into() }
    }
}

/// Elasticsearch and `OpenSearch`. The defaults are those that dashboards look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) alerts_index: String,
    pub(crate) logs_index: String,
    pub(crate) messages_index: String,
    pub(crate) gzip: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            alerts_index: "kubearmor-alerts".into(),
            logs_index: "kubearmor-logs".into(),
            messages_index: "kubearmor-messages".into(),
            gzip: true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "as the keys are called")]
pub(crate) struct Kafka {
    pub(crate) alerts_topic: String,
    pub(crate) logs_topic: String,
    pub(crate) messages_topic: String,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            alerts_topic: "kubearmor-alerts".into(),
            logs_topic: "kubearmor-logs".into(),
            messages_topic: "kubearmor-messages".into(),
        }
    }
}

impl Kafka {
    pub(crate) fn topic(&self, stream: Stream) -> &str {
        match stream {
            Stream::Alerts => &self.alerts_topic,
            Stream::Logs => &self.logs_topic,
            Stream::Messages => &self.messages_topic,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Syslog {
    pub(crate) facility: Facility,
    pub(crate) app_name: String,
    /// Of a datagram, header included.
    pub(crate) max_datagram_bytes: usize,
}

impl Default for Syslog {
    fn default() -> Self {
        Self { facility: Facility::Local0, app_name: "kubearmor".into(), max_datagram_bytes: 8192 }
    }
}

/// RFC 5424, 6.2.1: those that such events may be filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Facility {
    User = 1,
    Daemon = 3,
    Auth = 4,
    Authpriv = 10,
    Audit = 13,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Webhook {
    pub(crate) format: WebhookFormat,
    /// Sent as they are, and shown: a secret belongs into `auth`.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) gzip: bool,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { format: WebhookFormat::Array, headers: BTreeMap::new(), gzip: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WebhookFormat {
    /// One JSON array.
    Array,
    /// One JSON object a line.
    Lines,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Splunk {
    /// Empty: the token's.
    pub(crate) index: String,
    /// `:alert`, `:log` or `:message` is appended.
    pub(crate) sourcetype: String,
    pub(crate) gzip: bool,
}

impl Default for Splunk {
    fn default() -> Self {
        Self { index: String::new(), sourcetype: "kubearmor".into(), gzip: true }
    }
}

impl Kind {
    pub(super) fn read(kind: &str, keys: Map<String, Value>) -> Result<Self, String> {
        fn own<T: DeserializeOwned>(keys: Map<String, Value>) -> Result<T, String> {
            serde_json::from_value(Value::Object(keys)).map_err(|error| error.to_string())
        }
        Ok(match kind {
            "otlp" => Self::Otlp(own(keys)?),
            "elasticsearch" => Self::Search("elasticsearch", own(keys)?),
            "opensearch" => Self::Search("opensearch", own(keys)?),
            "kafka" => Self::Kafka(own(keys)?),
            "syslog" => Self::Syslog(own(keys)?),
            "webhook" => Self::Webhook(own(keys)?),
            "splunk" => Self::Splunk(own(keys)?),
            _ => {
                return Err(format!(
                    "`kind`: `{kind}` is none: use otlp, elasticsearch, opensearch, kafka, syslog, webhook or splunk"
                ));
            }
        })
    }

    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Otlp(_) => "otlp",
            Self::Search(name, _) => name,
            Self::Kafka(_) => "kafka",
            Self::Syslog(_) => "syslog",
            Self::Webhook(_) => "webhook",
            Self::Splunk(_) => "splunk",
        }
    }

    pub(super) fn check(&self, auth: Option<&Auth>) -> Result<(), String> {
        let scheme_or_header = auth.is_some_and(|auth| auth.username.is_none());
        match self {
            Self::Kafka(_) if scheme_or_header => Err("`auth`: `username` is missing".into()),
            Self::Syslog(_) if auth.is_some() => {
                Err("`auth`: syslog has none; use a client certificate under `tls`".into())
            }
            Self::Syslog(syslog) if syslog.max_datagram_bytes < 480 => {
                Err("`maxDatagramBytes`: 480 at least, as RFC 5426 has it".into())
            }
            Self::Syslog(syslog)
                if !(1..=48).contains(&syslog.app_name.len())
                    || !syslog.app_name.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Err("`appName`: 1 to 48 printable ASCII characters without spaces".into())
            }
            Self::Splunk(_) if auth.is_none() => {
                Err("`auth` is missing: name the token's `secretFile` or `secretEnv`".into())
            }
            Self::Webhook(webhook) => check_headers(&webhook.headers),
            _ => Ok(()),
        }
    }

    pub(super) fn shown(&self) -> Map<String, Value> {
        let value = match self {
            Self::Otlp(own) => serde_json::to_value(own),
            Self::Search(_, own) => serde_json::to_value(own),
            Self::Kafka(own) => serde_json::to_value(own),
            Self::Syslog(own) => serde_json::to_value(own),
            Self::Webhook(own) => serde_json::to_value(own),
            Self::Splunk(own) => serde_json::to_value(own),
        };
        match value {
            Ok(Value::Object(keys)) => keys,
            _ => Map::new(),
        }
    }
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in headers {
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("`headers`: `{name}` is not set here; secrets belong into `auth`"));
        }
        let good = hyper::header::HeaderName::try_from(name).is_ok()
            && hyper::header::HeaderValue::try_from(value).is_ok();
        if !good {
            return Err(format!("`headers`: `{name}` or its value is no HTTP header"));
        }
    }
    Ok(())
}

/// Where the peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Http(Uri),
    /// `tcp://` and `tls://`, of Kafka several brokers to ask first.
    Stream {
        tls: bool,
        hosts: Vec<(String, u16)>,
    },
    Datagram(String, u16),
}

impl Endpoint {
    pub(super) fn read(kind: &str, text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        match (kind, scheme) {
            ("kafka", "tcp" | "tls") => {
                let hosts = rest.split(',').map(|part| host_and_port(part, 9092));
                Ok(Self::Stream { tls: scheme == "tls", hosts: hosts.collect::<Result<_, _>>()? })
            }
            ("syslog", "tcp") => {
                Ok(Self::Stream { tls: false, hosts: vec![host_and_port(rest, 601)?] })
            }
            ("syslog", "tls") => {
                Ok(Self::Stream { tls: true, hosts: vec![host_and_port(rest, 6514)?] })
            }
            ("syslog", "udp") => {
                host_and_port(rest, 514).map(|(host, port)| Self::Datagram(host, port))
            }
            ("kafka", _) => Err(format!(
                "`endpoint`: `{text}` is none: write tcp://HOST:PORT,... or tls://HOST:PORT,..."
            )),
            ("syslog", _) => Err(format!(
                "`endpoint`: `{text}` is none: write tcp://, tls:// or udp:// before HOST:PORT"
            )),
            (_, "http" | "https") => http(text),
            _ => {
                Err(format!("`endpoint`: `{text}` is none: write http:// or https:// before HOST"))
            }
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::Http(uri) => uri.scheme_str() == Some("https"),
            Self::Stream { tls, .. } => *tls,
            Self::Datagram(..) => false,
        }
    }
}

fn http(text: &str) -> Result<Endpoint, String> {
    let uri: Uri = text.parse().map_err(|error| format!("`endpoint`: `{text}`: {error}"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() {
        return Err(format!("`endpoint`: `{text}` names no host"));
    }
    if authority.contains('@') {
        return Err("`endpoint`: name and password belong into `auth`".into());
    }
    Ok(Endpoint::Http(uri))
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
fn host_and_port(text: &str, usual: u16) -> Result<(String, u16), String> {
    let wrong = || format!("`endpoint`: `{text}` is not HOST:PORT");
    let text = text.trim_end_matches('/');
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| wrong()))?;
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_named) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |host: &str, port: u16| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        match self {
            Self::Http(uri) => uri.fmt(f),
            Self::Datagram(host, port) => write!(f, "udp://{}", pair(host, *port)),
            Self::Stream { tls, hosts } => {
                let hosts: Vec<_> = hosts.iter().map(|(host, port)| pair(host, *port)).collect();
                write!(f, "{}://{}", if *tls { "tls" } else { "tcp" }, hosts.join(","))
            }
        }
    }
}
