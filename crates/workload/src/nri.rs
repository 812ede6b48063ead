//! The agent as a plugin of the node resource interface: the runtime asks it before a container's first program runs.
//!
//! A plugin connects to the runtime and introduces itself; from then on the runtime calls, over the same socket. Calls
//! come one at a time, so they are answered in order.

mod api;
mod framing;
mod plugin;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
    time::{sleep, timeout},
};
use tracing::{info, warn};

pub use self::framing::read_hostile;
use self::{
    framing::{Frames, FramingError, Messages, PLUGIN, RUNTIME},
    plugin::{Call, What, registered, registration},
};
use crate::governor::{Governor, Way};

/// Where runtimes listen unless told otherwise.
const SOCKETS: [&str; 2] = ["/var/run/nri/nri.sock", "/run/nri/nri.sock"];

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Between looks whether a socket has appeared.
const LOOK: Duration = Duration::from_secs(5);
/// From the introduction to the first call.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Why a session with the runtime ended, or did not begin.
#[derive(Debug, thiserror::Error)]
enum NriError {
    #[error("{}: {source}", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the runtime ended the connection")]
    Ended,
    #[error("the runtime sends {0}")]
    Framing(#[from] FramingError),
    #[error("the runtime does not take the plugin: {0}")]
    NotTaken(String),
    #[error("the runtime did not configure the plugin within {} s", INTRODUCTION.as_secs())]
    NotConfigured,
}

/// Serves the runtime at `socket`, or at the one of the usual places that is there, until the future is dropped. `index`
/// is the plugin's place among others, two digits. Reconnects for ever, with growing pauses; an outage is logged once.
pub async fn serve<G: Governor>(socket: Option<PathBuf>, index: String, governor: Arc<G>) {
    let mut pause = FIRST_RETRY;
    let mut told = String::new();
    loop {
        let Some(socket) = socket.clone().or_else(usual) else {
            sleep(LOOK).await;
            continue;
        };
        let mut session = Session::new(Arc::clone(&governor));
        let error = match connect(&socket).await {
            Ok(stream) => session.run(stream, &index).await,
            Err(error) => error,
        };
        if session.configured {
            governor.way(Way::Nri, false);
            pause = FIRST_RETRY;
            told.clear();
        }
        let text = error.to_string();
        if text != told {
            warn!(
                "NRI at {}: {text}; containers are found by other ways meanwhile",
                socket.display()
            );
            told = text;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

fn usual() -> Option<PathBuf> {
    SOCKETS.iter().map(PathBuf::from).find(|socket| socket.exists())
}

async fn connect(socket: &Path) -> Result<UnixStream, NriError> {
    let connected = UnixStream::connect(socket).await;
    connected.map_err(|source| NriError::Connect { socket: socket.to_owned(), source })
}

/// One connection, for as long as it lasts.
struct Session<G> {
    governor: Arc<G>,
    frames: Frames,
    /// Of the two logical connections.
    calls: Messages,
    responses: Messages,
    /// What a container may wait.
    patience: Duration,
    configured: bool,
}

impl<G: Governor> Session<G> {
    fn new(governor: Arc<G>) -> Self {
        Self {
            governor,
            frames: Frames::default(),
            calls: Messages::default(),
            responses: Messages::default(),
            patience: Duration::ZERO,
            configured: false,
        }
    }

    /// Returns why it ended.
    async fn run(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin, index: &str) -> NriError {
        match self.exchange(stream, index).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn exchange(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        index: &str,
    ) -> Result<std::convert::Infallible, NriError> {
        stream.write_all(&registration(index)).await?;
        let mut piece = vec![0; 16 << 10];
        loop {
            let reading = stream.read(&mut piece);
            let length = if self.configured {
                reading.await?
            } else {
                timeout(INTRODUCTION, reading)
                    .await
                    .map_err(|_elapsed| NriError::NotConfigured)??
            };
            if length == 0 {
                return Err(NriError::Ended);
            }
            self.frames.push(&piece[..length]);
            while let Some(frame) = self.frames.next()? {
                match frame.connection {
                    PLUGIN => self.calls.push(&frame.payload),
                    RUNTIME => self.responses.push(&frame.payload),
                    // Nobody listens there, on either side.
                    _ => {}
                }
                while let Some(message) = self.responses.next()? {
                    if let Some(Err(why)) = registered(&message) {
                        return Err(NriError::NotTaken(why));
                    }
                }
                while let Some(message) = self.calls.next()? {
                    let Some(call) = Call::read(&message) else { continue };
                    let refused = self.act(&call.what).await;
                    stream.write_all(&call.answer(refused.as_deref())).await?;
                }
            }
        }
    }

    /// Does what a call asks; returns why a container must not start.
    async fn act(&mut self, what: &What) -> Option<String> {
        match what {
            What::Configure { runtime, timeout } => {
                info!("NRI: plugin of {runtime}");
                // Whoever is late is taken for dead, and asked no more.
                self.patience = *timeout * 3 / 4;
                self.configured = true;
                self.governor.way(Way::Nri, true);
            }
            What::Synchronize(found, _) => {
                // The runtime does nothing else until it is answered, and these run already.
                let (governor, found) = (Arc::clone(&self.governor), found.clone());
                tokio::spawn(async move {
                    for newcomer in found {
                        // Told in the log by the governor.
                        let _ = governor.govern(newcomer).await;
                    }
                });
            }
            What::Starting(newcomer) => {
                let governed = timeout(self.patience, self.governor.govern(newcomer.clone())).await;
                let why = match governed {
                    Ok(Ok(())) => return None,
                    Ok(Err(why)) => why,
                    Err(_elapsed) => format!("no rules within {} ms", self.patience.as_millis()),
                };
                return (!self.governor.may_start_ungoverned().await).then_some(why);
            }
            What::Removed(id) => self.governor.ended(id.clone()).await,
            What::Malformed(why) => warn!("NRI: a call that cannot be read: {why}"),
            What::Shutdown | What::Other | What::Unknown(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;
