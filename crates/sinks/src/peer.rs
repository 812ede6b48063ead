//! The connections to peers: what is sent with them, and what their answers mean.

mod connection;
mod http;
mod kafka;
mod syslog;

use std::time::Duration;

use crate::{
    config::{Endpoint, Kind, SinkConfig},
    event::Event,
};

/// What a peer has to say of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Judged {
        /// One for each event, in their order.
        fates: Vec<Fate>,
        /// How long the peer asks not to be asked again.
        wait: Option<Duration>,
        /// Of those that are delivered.
        truncated: u64,
    },
    /// Nobody has it, as far as is known.
    Away { problem: String, wait: Option<Duration> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    /// At another time it may be taken.
    Again(String),
    /// It never will.
    Refused(String),
    /// It may be taken with fewer others.
    TooLarge,
}

impl Verdict {
    pub(crate) fn all(fate: &Fate, count: usize) -> Self {
        Self::fates(vec![fate.clone(); count])
    }

    pub(crate) fn fates(fates: Vec<Fate>) -> Self {
        Self::Judged { fates, wait: None, truncated: 0 }
    }

    pub(crate) fn away(problem: impl Into<String>) -> Self {
        Self::Away { problem: problem.into(), wait: None }
    }
}

/// One peer, connected or not.
#[derive(Debug)]
pub(crate) enum Peer {
    Http(Box<http::Http>),
    Kafka(Box<kafka::Kafka>),
    Syslog(syslog::Syslog),
    Datagrams(syslog::Datagrams),
}

impl Peer {
    /// Connects at the first batch.
    pub(crate) fn new(config: &SinkConfig) -> Self {
        match (&config.kind, &config.endpoint) {
            (Kind::Kafka(_), _) => Self::Kafka(Box::new(kafka::Kafka::new(config))),
            (Kind::Syslog(syslog), Endpoint::Datagram(host, port)) => {
                Self::Datagrams(syslog::Datagrams::new(syslog.clone(), host.clone(), *port))
            }
            (Kind::Syslog(syslog), _) => Self::Syslog(syslog::Syslog::new(config, syslog.clone())),
            _ => Self::Http(Box::new(http::Http::new(config))),
        }
    }

    pub(crate) async fn send(&mut self, events: &[Event]) -> Verdict {
        match self {
            Self::Http(peer) => peer.send(events).await,
            Self::Kafka(peer) => peer.send(events).await,
            Self::Syslog(peer) => peer.send(events).await,
            Self::Datagrams(peer) => peer.send(events).await,
        }
    }
}

/// An error with those that caused it, each told once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
