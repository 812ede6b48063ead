//! Kafka: finding the leaders of the topics' partitions, and producing to them.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{SaslAuthenticateRequest, SaslHandshakeRequest},
    protocol::StrBytes,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    Fate, Verdict,
    connection::{Connection, Dial},
};
use crate::{
    config::{self, Auth, Endpoint, Kind, SinkConfig},
    encode::kafka::{self, Spoken},
    event::Event,
};

/// Longer answers are rubbish, or not Kafka's.
const LONGEST_ANSWER: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct Kafka {
    topics: config::Kafka,
    auth: Option<Auth>,
    bootstrap: Vec<(String, u16)>,
    dial: Dial,
    patience: Duration,
    /// What the cluster has said of itself, until something there is not as it said.
    cluster: Option<Cluster>,
    connections: BTreeMap<i32, Broker>,
    /// Counts batches: partitions take turns.
    turn: usize,
}

#[derive(Debug, Default)]
struct Cluster {
    brokers: BTreeMap<i32, (String, u16)>,
    /// Of each topic: partition and its leader.
    partitions: BTreeMap<String, Vec<(i32, i32)>>,
}

/// An open connection to one broker.
#[derive(Debug)]
struct Broker {
    connection: Connection,
    correlation: i32,
    patience: Duration,
}

impl Kafka {
    pub(super) fn new(config: &SinkConfig) -> Self {
        let topics = match &config.kind {
            Kind::Kafka(topics) => topics.clone(),
            _ => config::Kafka::default(),
        };
        let bootstrap = match &config.endpoint {
            Endpoint::Stream { hosts, .. } => hosts.clone(),
            _ => Vec::new(),
        };
        let tls = config.endpoint.is_tls().then(|| config.tls.clone());
        Self {
            topics,
            auth: config.auth.clone(),
            bootstrap,
            dial: Dial { tls, patience: config.timeout() },
            patience: config.timeout(),
            cluster: None,
            connections: BTreeMap::new(),
            turn: 0,
        }
    }

    pub(super) async fn send(&mut self, events: &[Event]) -> Verdict {
        let mut fates = vec![None; events.len()];
        for topic in self.topics_of(events) {
            let places: Vec<usize> = (0..events.len())
                .filter(|&place| self.topics.topic(events[place].stream) == topic)
                .collect();
            let of_topic: Vec<&Event> = places.iter().map(|&place| &events[place]).collect();
            let fate = match self.produce(&topic, &of_topic).await {
                Ok(fate) => fate,
                Err(problem) => {
                    // Whatever it was, the next attempt begins with nothing that may be stale.
                    self.cluster = None;
                    self.connections.clear();
                    Fate::Again(problem)
                }
            };
            for place in places {
                fates[place] = Some(fate.clone());
            }
        }
        Verdict::fates(fates.into_iter().flatten().collect())
    }

    fn topics_of(&self, events: &[Event]) -> Vec<String> {
        let mut topics: Vec<String> =
            events.iter().map(|event| self.topics.topic(event.stream).to_owned()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// All of `events` as one batch to the partition whose turn it is.
    async fn produce(&mut self, topic: &str, events: &[&Event]) -> Result<Fate, String> {
        let (partition, leader) = self.partition(topic).await?;
        let millis = i32::try_from(self.patience.as_millis()).unwrap_or(i32::MAX);
        let request = kafka::produce(topic, partition, events, millis)?;
        let answer = self.broker(leader).await?.ask(&request).await?;
        self.turn = self.turn.wrapping_add(1);
        let (code, text) = kafka::produced(&answer)?;
        let Some(error) = ResponseError::try_from_code(code) else { return Ok(Fate::Delivered) };
        let colon = if text.is_empty() { "" } else { ": " };
        let problem = format!("topic {topic}: {error:?}{colon}{text}");
        match error {
            ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge => {
                Ok(Fate::TooLarge)
            }
            ResponseError::InvalidRecord => Ok(Fate::Refused(problem)),
            // Missing rights are for an operator to mend, all else for the cluster.
            _ => Err(problem),
        }
    }

    async fn partition(&mut self, topic: &str) -> Result<(i32, i32), String> {
        let known =
            self.cluster.as_ref().is_some_and(|cluster| cluster.partitions.contains_key(topic));
        if !known {
            self.look(topic).await?;
        }
        let partitions = self.cluster.as_ref().and_then(|cluster| cluster.partitions.get(topic));
        match partitions {
            Some(partitions) if !partitions.is_empty() => {
                Ok(partitions[self.turn % partitions.len()])
            }
            _ => Err(format!("topic {topic}: no partition has a leader")),
        }
    }

    /// Asks the first broker that answers who leads what.
    async fn look(&mut self, topic: &str) -> Result<(), String> {
        let mut problem = String::new();
        let request = kafka::metadata([topic].into_iter());
        for (host, port) in &self.bootstrap {
            let asked = async {
                let mut broker = self.open(host, *port).await?;
                broker.ask(&request).await
            };
            match asked.await {
                Ok(answer) => {
                    let led = kafka::partitions(&answer, topic).map_err(|code| {
                        let error = ResponseError::try_from_code(code);
                        format!(
                            "topic {topic}: {}",
                            error.map_or(String::new(), |e| format!("{e:?}"))
                        )
                    })?;
                    let cluster = self.cluster.get_or_insert_default();
                    let brokers = kafka::brokers(&answer).into_iter();
                    cluster.brokers = brokers.map(|(id, host, port)| (id, (host, port))).collect();
                    cluster.partitions.insert(topic.to_owned(), led);
                    return Ok(());
                }
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    async fn broker(&mut self, id: i32) -> Result<&mut Broker, String> {
        if !self.connections.contains_key(&id) {
            let place = self.cluster.as_ref().and_then(|cluster| cluster.brokers.get(&id)).cloned();
            let (host, port) = place.ok_or_else(|| format!("broker {id} is at no known place"))?;
            let broker = self.open(&host, port).await?;
            self.connections.insert(id, broker);
        }
        self.connections.get_mut(&id).ok_or_else(|| format!("broker {id} is not connected"))
    }

    async fn open(&self, host: &str, port: u16) -> Result<Broker, String> {
        let connection = self.dial.open(host, port).await?;
        let mut broker = Broker { connection, correlation: 0, patience: self.patience };
        if let Some(auth) = &self.auth {
            broker.authenticate(auth).await.map_err(|error| format!("{host}:{port}: {error}"))?;
        }
        Ok(broker)
    }
}

impl Broker {
    async fn ask<R: Spoken>(&mut self, request: &R) -> Result<R::Answer, String> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = kafka::frame(request, self.correlation)?;
        let exchange = async {
            let stream = &mut self.connection.0;
            stream.write_all(&frame).await?;
            stream.flush().await?;
            let length = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
            if length > LONGEST_ANSWER {
                return Err(std::io::Error::other("an answer that is not Kafka's"));
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        };
        match timeout(self.patience, exchange).await {
            Ok(Ok(answer)) => kafka::answer::<R>(Bytes::from(answer), self.correlation),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.patience)),
        }
    }

    /// SASL with the mechanism `PLAIN` (RFC 4616).
    async fn authenticate(&mut self, auth: &Auth) -> Result<(), String> {
        let secret = auth.secret()?;
        let username = auth.username.as_deref().unwrap_or_default();
        let mechanism = StrBytes::from_static_str("PLAIN");
        let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = self.ask(&handshake).await?;
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            return Err(format!("SASL PLAIN: {error:?}"));
        }
        let bytes = Bytes::from(format!("\0{username}\0{secret}"));
        let request = SaslAuthenticateRequest::default().with_auth_bytes(bytes);
        let answer = self.ask(&request).await?;
        match ResponseError::try_from_code(answer.error_code) {
            None => Ok(()),
            Some(error) => {
                let text = answer.error_message.as_ref().map(ToString::to_string);
                Err(format!("SASL PLAIN: {error:?}: {}", text.unwrap_or_default()))
            }
        }
    }
}
