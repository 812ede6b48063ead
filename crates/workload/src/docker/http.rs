//! HTTP over a unix socket: one connection for each question.

use std::{collections::VecDeque, path::Path};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::runtime::RuntimeError;

/// A description with many mounts and labels, times many containers.
const LARGEST_ANSWER: usize = 64 << 20;
/// The attributes of an event are the container's labels.
const LONGEST_LINE: usize = 4 << 20;

/// `None` if there is no such thing.
pub(super) async fn get<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
) -> Result<Option<T>, RuntimeError> {
    let response = ask(socket, path).await?;
    let status = response.status();
    let failed = RuntimeError::call("asking for containers");
    let body = match Limited::new(response.into_body(), LARGEST_ANSWER).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(failed(&error)),
    };
    match status {
        StatusCode::OK => match serde_json::from_slice(&body) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(failed(&format!("{path}: {error}"))),
        },
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(failed(&format!("{path}: {status}"))),
    }
}

/// A stream of JSON objects, one each line, that lasts as long as the runtime does. Stands when this returns.
pub(super) async fn lines(socket: &Path, path: &str) -> Result<Lines, RuntimeError> {
    let response = ask(socket, path).await?;
    match response.status() {
        StatusCode::OK => {
            Ok(Lines { body: response.into_body(), rest: Vec::new(), whole: VecDeque::new() })
        }
        status => Err(RuntimeError::call("subscribing to events")(&status)),
    }
}

async fn ask(socket: &Path, path: &str) -> Result<Response<Incoming>, RuntimeError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| RuntimeError::connect(socket)(error.into()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| RuntimeError::connect(socket)(error.into()))?;
    // Ends with the answer.
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "docker").body(Empty::<Bytes>::new());
    let failed = RuntimeError::call("asking for containers");
    match request {
        Ok(request) => sender.send_request(request).await.map_err(|error| failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

pub(super) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

impl Lines {
    /// The next line; nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, RuntimeError> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Ok(line);
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(RuntimeError::call("reading events")(&error)),
                None => return Err(RuntimeError::StreamEnded),
            };
            if let Ok(data) = frame.into_data() {
                self.take(&data)?;
            }
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), RuntimeError> {
        for part in data.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.whole.push_back(std::mem::take(&mut self.rest));
            }
        }
        if self.rest.len() > LONGEST_LINE {
            let reason = format!("an event is longer than {LONGEST_LINE} bytes");
            return Err(RuntimeError::call("reading events")(&reason));
        }
        Ok(())
    }
}
