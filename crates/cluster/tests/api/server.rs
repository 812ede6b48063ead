//! An API server in small: lists in pages, watches with bookmarks, versions that are forgotten, server-side apply.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use cluster::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How the server says that it has forgotten a version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// In the stream of events.
    AsEvent,
    /// As the answer to the call.
    AsStatus,
}

pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Shared>,
    running: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts changes and requests.
    moved: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By collection, then by namespace and name.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Version, collection, kind of event, object.
    events: Vec<(u64, String, &'static str, Value)>,
    forgotten: u64,
    gone: Option<Gone>,
    refused: BTreeMap<String, u16>,
    /// Further pages that are not given.
    broken_pages: u32,
    asked: Vec<String>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    body: Value,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Shared { state: Mutex::default(), moved: watch::Sender::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Some(tokio::spawn(accept(listener, Arc::clone(&state))));
        Self { address, state, running }
    }

    pub(crate) fn client(&self) -> Client {
        let config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        Client::try_from(config).unwrap()
    }

    /// Ends all connections; nobody answers any more.
    pub(crate) async fn cut(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = Some(tokio::spawn(accept(listener, Arc::clone(&self.state))));
    }

    pub(crate) fn put(&self, collection: &str, mut object: Value) {
        self.state.change(|state| {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let objects = state.objects.entry(collection.to_owned()).or_default();
            let known = objects.insert(key(&object), object.clone()).is_some();
            let event = if known { "MODIFIED" } else { "ADDED" };
            state.events.push((state.version, collection.to_owned(), event, object));
        });
    }

    pub(crate) fn remove(&self, collection: &str, namespace: &str, name: &str) {
        self.state.change(|state| {
            let objects = state.objects.get_mut(collection).unwrap();
            let mut object = objects.remove(&format!("{namespace}/{name}")).unwrap();
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.events.push((state.version, collection.to_owned(), "DELETED", object));
        });
    }

    /// Forgets all that happened.
    pub(crate) fn forget(&self, gone: Gone) {
        self.state.change(|state| {
            state.events.clear();
            state.forgotten = state.version;
            state.gone = Some(gone);
        });
    }

    /// Answers all calls of a collection with this status; 0: as ever.
    pub(crate) fn refuse(&self, collection: &str, status: u16) {
        self.state.change(|state| {
            state.refused.insert(collection.to_owned(), status);
        });
    }

    pub(crate) fn break_pages(&self, count: u32) {
        self.state.change(|state| state.broken_pages = count);
    }

    pub(crate) fn object(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.state.lock();
        state.objects.get(collection)?.get(&format!("{namespace}/{name}")).cloned()
    }

    /// The calls that were made of a collection.
    pub(crate) fn asked(&self, collection: &str) -> Vec<String> {
        let of = |asked: &&String| {
            asked.split(' ').nth(1).is_some_and(|path| path.starts_with(collection))
        };
        self.state.lock().asked.iter().filter(of).cloned().collect()
    }

    pub(crate) async fn was_asked(&self, collection: &str, times: usize) {
        let mut moved = self.state.moved.subscribe();
        while self.asked(collection).len() < times {
            moved.changed().await.unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.moved.send_modify(|count| *count += 1);
    }
}

fn key(object: &Value) -> String {
    let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", of("namespace"), of("name"))
}

async fn accept(listener: TcpListener, state: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((connection, _)) = listener.accept().await else { return };
        connections.spawn(serve(connection, Arc::clone(&state)));
    }
}

async fn serve(connection: TcpStream, state: Arc<Shared>) -> Option<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let request = read(&mut connection).await?;
        state.change(|state| {
            let query: Vec<_> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
            state.asked.push(format!("{} {} {}", request.method, request.path, query.join("&")));
        });
        let refused = {
            let state = state.lock();
            let mut refused = state.refused.iter();
            let found = refused.find(|(path, _)| request.path.starts_with(path.as_str()));
            found.map_or(0, |(_, status)| *status)
        };
        if refused != 0 {
            answer(&mut connection, refused, &status(refused, "refused")).await?;
        } else if request.query.contains_key("watch") {
            return events(&mut connection, &request, &state).await;
        } else {
            let (code, body) = respond(&request, &state);
            answer(&mut connection, code, &body).await?;
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if connection.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let method = words.next()?.to_owned();
    let (path, query) =
        words.next().map(|target| target.split_once('?').unwrap_or((target, "")))?;
    let query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace("%3D", "=").replace("%2F", "/")))
        .collect();
    let path = path.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Request { method, path, query, body })
}

async fn answer(connection: &mut BufReader<TcpStream>, code: u16, body: &Value) -> Option<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.ok()?;
    connection.write_all(body.as_bytes()).await.ok()
}

fn status(code: u16, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": message, "code": code,
    })
}

fn respond(request: &Request, state: &Shared) -> (u16, Value) {
    if request.method == "PATCH" {
        return apply(request, state);
    }
    let mut state = state.lock();
    if let Some(objects) = state.objects.get(&request.path) {
        return list(&objects.clone(), request, &mut state);
    }
    let Some((collection, name)) = request.path.rsplit_once('/') else {
        return (404, status(404, "not found"));
    };
    let objects = state.objects.get(collection).into_iter().flatten();
    let found = objects.map(|(_, object)| object).find(|object| object["metadata"]["name"] == name);
    match found {
        Some(object) => (200, object.clone()),
        // A collection of nothing.
        None if !state.objects.contains_key(collection) => {
            list(&BTreeMap::new(), request, &mut state)
        }
        None => (404, status(404, "not found")),
    }
}

fn list(objects: &BTreeMap<String, Value>, request: &Request, state: &mut State) -> (u16, Value) {
    let matching = objects.values().filter(|object| is_selected(object, request));
    let from: usize = request.query.get("continue").map_or(0, |from| from.parse().unwrap());
    if from > 0 && state.broken_pages > 0 {
        state.broken_pages -= 1;
        return (500, status(500, "broken"));
    }
    let limit: usize =
        request.query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
    let items: Vec<_> = matching.clone().skip(from).take(limit).cloned().collect();
    let next = from + items.len();
    let mut metadata = json!({"resourceVersion": state.version.to_string()});
    if next < matching.count() {
        metadata["continue"] = json!(next.to_string());
    }
    (200, json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

fn is_selected(object: &Value, request: &Request) -> bool {
    let Some((field, wanted)) =
        request.query.get("fieldSelector").and_then(|selector| selector.split_once('='))
    else {
        return true;
    };
    object.pointer(&format!("/{}", field.replace('.', "/"))) == Some(&json!(wanted))
}

/// Server-side apply by a manager to whom every field belongs.
fn apply(request: &Request, shared: &Shared) -> (u16, Value) {
    let (path, is_status) = match request.path.strip_suffix("/status") {
        Some(path) => (path, true),
        None => (request.path.as_str(), false),
    };
    let (collection, name) = path.rsplit_once('/').unwrap();
    let mut answered = (404, status(404, "not found"));
    shared.change(|state| {
        state.version += 1;
        let objects = state.objects.entry(collection.to_owned()).or_default();
        let known = objects.get(&format!("/{name}")).cloned();
        let mut object = match known {
            None if is_status => return,
            known => known.unwrap_or_else(|| json!({"metadata": {}})),
        };
        let fields: &[&str] =
            if is_status { &["status"] } else { &["apiVersion", "kind", "metadata", "spec"] };
        for &field in fields {
            object[field] = request.body[field].clone();
        }
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        objects.insert(format!("/{name}"), object.clone());
        answered = (200, object);
    });
    answered
}

/// A watch, until the connection ends.
async fn events(
    connection: &mut BufReader<TcpStream>,
    request: &Request,
    shared: &Shared,
) -> Option<()> {
    let mut moved = shared.moved.subscribe();
    let mut from: u64 = request.query.get("resourceVersion")?.parse().ok()?;
    let gone = {
        let state = shared.lock();
        state.gone.filter(|_| from < state.forgotten)
    };
    if gone == Some(Gone::AsStatus) {
        return answer(connection, 410, &status(410, "Expired")).await;
    }
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await.ok()?;
    if gone == Some(Gone::AsEvent) {
        let event = json!({"type": "ERROR", "object": status(410, "Expired")});
        return send(connection, &event).await;
    }
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "kind": "Any", "apiVersion": "v1", "metadata": {"resourceVersion": from.to_string()},
    }});
    send(connection, &bookmark).await?;
    loop {
        moved.borrow_and_update();
        let news: Vec<_> = {
            let state = shared.lock();
            let news = state.events.iter().filter(|(version, collection, _, object)| {
                *version > from && *collection == request.path && is_selected(object, request)
            });
            news.cloned().collect()
        };
        for (version, _, kind, object) in news {
            from = version;
            send(connection, &json!({"type": kind, "object": object})).await?;
        }
        moved.changed().await.ok()?;
    }
}

async fn send(connection: &mut BufReader<TcpStream>, event: &Value) -> Option<()> {
    let line = format!("{event}\n");
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    connection.write_all(chunk.as_bytes()).await.ok()?;
    connection.flush().await.ok()
}
