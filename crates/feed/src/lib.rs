//! How others hear from the agent and talk to it: the gRPC services, the JSON-lines file, the history, metrics, and the client side.
//!
//! This crate owns the wire format of the ecosystem (`feeder`, `policy`), the transports and who may do what over
//! them, the queues of those who listen, and every count of what they missed. It decides nothing about policies: [`PolicyHandler`] and [`ProbeData`] do.
#![forbid(unsafe_code)]

mod answers;
pub mod client;
mod connection;
mod history;
mod kept;
mod listen;
mod local_socket;
mod log_path;
pub mod metrics;
mod peer;
pub mod proto;
mod publish;
mod queue;
mod relayed;
mod resume;
mod seldom;
mod serve;
mod tls;

pub use self::history::HistoryBounds;
pub use answers::{PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse};
pub use connection::{Duplex, Listener};
pub use kept::Keep;
pub use listen::{ListenError, listen};
pub use local_socket::{LocalSocket, SocketError};
pub use log_path::{LogPath, Rotation};
pub use publish::{Feed, FeedOptions, Level};
pub use queue::StreamCounts;
pub use relayed::Relayed;
pub use resume::{Beginning, Position};
pub use serve::{Services, serve, serve_health};
pub use tls::{CertificateError, Certificates, ClientIdentity, Provider, TlsOptions};
/// For implementing [`PolicyHandler`] and [`ProbeData`].
pub use tonic::async_trait;
