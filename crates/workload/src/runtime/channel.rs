//! gRPC over a unix socket.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    sync::mpsc::{Receiver, channel},
};
use tokio_stream::StreamExt as _;
use tonic::{
    Response, Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{Change, RuntimeError};

/// Changes that wait while a scan is going on; beyond, they wait in the runtime.
const QUEUE: usize = 64;

pub(crate) async fn connect(socket: &Path) -> Result<Channel, RuntimeError> {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_uri| {
        let path: PathBuf = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The address is never used: the connector above goes to the socket.
    Endpoint::from_static("http://runtime")
        .connect_with_connector(connector)
        .await
        .map_err(|error| RuntimeError::connect(socket)(error.into()))
}

/// Why a call failed.
pub(crate) fn failed(call: &'static str) -> impl FnOnce(Status) -> RuntimeError {
    move |status| RuntimeError::call(call)(&status.message())
}

/// Takes from a stream of events those that `change` makes a change of. A task of its own, so that events are taken from
/// the socket while a scan is going on, and since some runtimes answer the call with the first event only.
pub(crate) fn changes<E: Send + 'static>(
    call: impl Future<Output = Result<Response<Streaming<E>>, Status>> + Send + 'static,
    change: fn(E) -> Option<Change>,
) -> Receiver<Result<Change, Status>> {
    let (sender, receiver) = channel(QUEUE);
    tokio::spawn(async move {
        let mut stream = match call.await {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                // The receiver may be gone, and then nobody wants to know.
                let _ = sender.send(Err(status)).await;
                return;
            }
        };
        loop {
            let event = tokio::select! {
                () = sender.closed() => return,
                event = stream.next() => event,
            };
            let change = match event {
                Some(Ok(event)) => change(event).map(Ok),
                Some(Err(status)) => Some(Err(status)),
                None => return,
            };
            if let Some(change) = change
                && sender.send(change).await.is_err()
            {
                return;
            }
        }
    });
    receiver
}
