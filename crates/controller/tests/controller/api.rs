//! A small API server: objects by path, versions that refuse stale writes, watches, the patches that the controller
//! sends, and a record of all writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Refusal = (StatusCode, &'static str);

/// One write that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// A request, in the terms in which rights are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) verb: &'static str,
    /// Empty for the oldest.
    pub(crate) group: String,
    /// With its subresource: `kubearmorpolicies/status`.
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

impl Asked {
    fn new(method: &Method, path: &str, watches: bool) -> Self {
        let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let group = if parts.remove(0) == "api" { "" } else { parts.remove(0) };
        parts.remove(0);
        let namespace = (parts[0] == "namespaces").then(|| parts.drain(..2).nth(1).unwrap());
        let mut resource = parts[0].to_owned();
        let name = parts.get(1).copied();
        if let Some(subresource) = parts.get(2) {
            resource = format!("{resource}/{subresource}");
        }
        let verb = match (method.as_str(), name) {
            ("GET", None) if watches => "watch",
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            (other, _) => panic!("{other}"),
        };
        Self {
            verb,
            group: group.to_owned(),
            resource,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }
}

#[derive(Default)]
struct State {
    version: u64,
    /// By path, without a subresource.
    objects: BTreeMap<String, Value>,
    events: Vec<(u64, String, Value)>,
    watchers: Vec<(String, mpsc::UnboundedSender<Bytes>)>,
    written: Vec<Written>,
    asked: BTreeSet<Asked>,
}

/// A server on a port of its own.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Answers nothing but 500.
    broken: Arc<AtomicBool>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, state: Arc::default(), broken: Arc::default() };
        let answering = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = answering.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.respond(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    pub(crate) fn client(&self) -> kube::Client {
        let url = format!("http://{}", self.address).parse().unwrap();
        kube::Client::try_from(kube::Config::new(url)).unwrap()
    }

    pub(crate) fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Puts an object there as somebody else would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().store(path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.state.lock().unwrap().remove(path);
    }

    /// The writes to paths with this beginning.
    pub(crate) fn written(&self, beginning: &str) -> Vec<Written> {
        let state = self.state.lock().unwrap();
        state
            .written
            .iter()
            .filter(|written| written.path.starts_with(beginning))
            .cloned()
            .collect()
    }

    /// All that anybody has asked so far.
    pub(crate) fn asked(&self) -> BTreeSet<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        if self.broken.load(Ordering::SeqCst) {
            return refused((StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
        }
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let format =
            parts.headers.get(CONTENT_TYPE).map(|format| format.to_str().unwrap().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let watches = parts.method == Method::GET && query.contains("watch=true");
        state.asked.insert(Asked::new(&parts.method, parts.uri.path(), watches));
        if watches {
            return state.watch(parts.uri.path(), &query);
        }
        let written = Written { method: parts.method, path: parts.uri.path().to_owned(), body };
        match state.answer(&written, &query, &format.unwrap_or_default()) {
            Ok(answer) => {
                if written.method != Method::GET {
                    state.written.push(written);
                }
                json_response(StatusCode::OK, &answer)
            }
            Err(refusal) => refused(refusal),
        }
    }
}

impl State {
    fn answer(&mut self, asked: &Written, query: &str, format: &str) -> Result<Value, Refusal> {
        const GONE: Refusal = (StatusCode::NOT_FOUND, "NotFound");
        const CONFLICT: Refusal = (StatusCode::CONFLICT, "Conflict");
        let Written { method, path, body } = asked;
        let (path, status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path.as_str(), false),
        };
        let there = self.objects.get(path).cloned();
        match *method {
            Method::GET => match there {
                Some(object) => Ok(object),
                None if is_collection(path) => Ok(self.list(path)),
                None => Err(GONE),
            },
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap();
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return Err((StatusCode::CONFLICT, "AlreadyExists"));
                }
                Ok(self.store(&path, body.clone()))
            }
            Method::PUT => {
                let there = there.ok_or(GONE)?;
                let version = &body["metadata"]["resourceVersion"];
                if !version.is_null() && *version != there["metadata"]["resourceVersion"] {
                    return Err(CONFLICT);
                }
                Ok(self.store(path, body.clone()))
            }
            Method::PATCH => {
                let mut object = there.ok_or(GONE)?;
                for field in ["resourceVersion", "uid"] {
                    let asked = &body["metadata"][field];
                    if !asked.is_null() && *asked != object["metadata"][field] {
                        return Err(CONFLICT);
                    }
                }
                match format {
                    "application/merge-patch+json" => merge(&mut object, body),
                    "application/strategic-merge-patch+json" => merge_by_name(&mut object, body),
                    // Of one manager that forces: all that it applied before and now leaves out goes.
                    "application/apply-patch+yaml" if status => {
                        assert!(query.contains("fieldManager=") && query.contains("force=true"));
                        object["status"] = body["status"].clone();
                    }
                    other => panic!("{other}"),
                }
                Ok(self.store(path, object))
            }
            Method::DELETE => self.remove(path).ok_or(GONE),
            ref other => panic!("{other}"),
        }
    }

    fn list(&self, path: &str) -> Value {
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(at, _)| is_in(at, path))
            .map(|(_, object)| object)
            .collect();
        let version = self.version.to_string();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items})
    }

    fn watch(&mut self, path: &str, query: &str) -> Response<Body> {
        let since = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let since: u64 = since.and_then(|version| version.parse().ok()).unwrap_or_default();
        let (sender, receiver) = mpsc::unbounded_channel();
        for (version, at, event) in &self.events {
            if *version > since && is_in(at, path) {
                let _ = sender.send(line(event));
            }
        }
        self.watchers.push((path.to_owned(), sender));
        let stream = UnboundedReceiverStream::new(receiver);
        let stream = stream.map(|line| Ok::<_, Infallible>(Frame::data(line)));
        Response::new(UnsyncBoxBody::new(StreamBody::new(stream)))
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(path);
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        let (kind, generation) = match before {
            None => ("ADDED", 1),
            Some(before) => {
                metadata["uid"] = before["metadata"]["uid"].clone();
                let generation = before["metadata"]["generation"].as_u64().unwrap();
                ("MODIFIED", generation + u64::from(before["spec"] != object["spec"]))
            }
        };
        let metadata = &mut object["metadata"];
        metadata["generation"] = json!(generation);
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(kind, path, &object);
        object
    }

    fn remove(&mut self, path: &str) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell("DELETED", path, &object);
        Some(object)
    }

    fn tell(&mut self, kind: &str, path: &str, object: &Value) {
        let event = json!({"type": kind, "object": object});
        for (collection, watcher) in &self.watchers {
            if is_in(path, collection) {
                let _ = watcher.send(line(&event));
            }
        }
        self.events.push((self.version, path.to_owned(), event));
    }
}

/// Names of resources are plural; objects of the tests are called otherwise.
fn is_collection(path: &str) -> bool {
    path.ends_with('s')
}

/// Whether an object is one of a collection, which may be that of all namespaces.
fn is_in(path: &str, collection: &str) -> bool {
    let (group, plural) = collection.rsplit_once('/').unwrap();
    let Some((folder, _name)) = path.rsplit_once('/') else { return false };
    folder == collection
        || folder.strip_prefix(&format!("{group}/namespaces/")).is_some_and(|rest| {
            rest.split_once('/').is_some_and(|(_namespace, found)| found == plural)
        })
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let target = object.as_object_mut().unwrap();
    for (name, value) in fields {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Lists of objects with names are merged by them, others replaced.
fn merge_by_name(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(target), Value::Object(fields)) => {
            for (name, value) in fields {
                merge_by_name(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(entries)) => {
            for entry in entries {
                let there = target.iter_mut().find(|there| there["name"] == entry["name"]);
                merge_by_name(there.expect("an entry of this name"), entry);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let body = http_body_util::Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(UnsyncBoxBody::new(body));
    *response.status_mut() = status;
    response
}

fn refused((status, reason): Refusal) -> Response<Body> {
    let code = status.as_u16();
    json_response(
        status,
        &json!({
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": reason,
            "message": reason,
            "code": code,
        }),
    )
}
