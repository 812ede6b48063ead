//! A broker that speaks Kafka's protocol through the decoders of `kafka-protocol`: one node, topics of two partitions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, BrokerId, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
        ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
        SaslHandshakeResponse, TopicName,
        metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        },
        produce_response::{PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::{Decodable as _, Encodable, StrBytes, decode_request_header_from_buffer},
    records::{Record, RecordBatchDecoder},
};
use ring::{digest, hmac, pbkdf2};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// An error code for a batch: its number and records.
type Fault = dyn Fn(usize, &[Record]) -> i16 + Send + Sync;

#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) port: u16,
    user: Option<User>,
    fault: Arc<Fault>,
    log: Arc<Mutex<Log>>,
}

/// Who is let in, and how that has to be shown.
#[derive(Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) mechanism: &'static str,
}

#[derive(Default)]
pub(crate) struct Log {
    batches: usize,
    pub(crate) lookups: usize,
    /// By topic and partition.
    pub(crate) records: BTreeMap<(String, i32), Vec<Record>>,
}

impl Broker {
    pub(crate) async fn start(
        user: Option<User>,
        fault: impl Fn(usize, &[Record]) -> i16 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = Self { port, user, fault: Arc::new(fault), log: Arc::default() };
        let this = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                // Ends with the connection.
                tokio::spawn(async move { this.serve(stream).await });
            }
        });
        broker
    }

    pub(crate) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut authenticated = self.user.is_none();
        let mut scram = None;
        loop {
            let length = usize::try_from(stream.read_i32().await.ok()?).unwrap();
            let mut request = vec![0; length];
            stream.read_exact(&mut request).await.ok()?;
            let mut request = Bytes::from(request);
            let header = decode_request_header_from_buffer(&mut request).unwrap();
            let key = ApiKey::try_from(header.request_api_key).unwrap();
            let version = header.request_api_version;
            let mut answer = BytesMut::new();
            ResponseHeader::default()
                .with_correlation_id(header.correlation_id)
                .encode(&mut answer, key.response_header_version(version))
                .unwrap();
            match key {
                ApiKey::SaslHandshake => {
                    let asked = SaslHandshakeRequest::decode(&mut request, version).unwrap();
                    let offered = self.user.unwrap().mechanism;
                    // UNSUPPORTED_SASL_MECHANISM
                    let code = if asked.mechanism.as_str() == offered { 0 } else { 33 };
                    let said = SaslHandshakeResponse::default()
                        .with_error_code(code)
                        .with_mechanisms(vec![StrBytes::from_static_str(offered)]);
                    put(&mut answer, &said, version);
                }
                ApiKey::SaslAuthenticate => {
                    let asked = SaslAuthenticateRequest::decode(&mut request, version).unwrap();
                    let said = std::str::from_utf8(&asked.auth_bytes).unwrap();
                    let answered = self.user.unwrap().hear(said, &mut scram);
                    authenticated = matches!(answered, Some((true, _)));
                    let code = if answered.is_some() { 0 } else { 58 };
                    let said = SaslAuthenticateResponse::default()
                        .with_error_code(code)
                        .with_auth_bytes(answered.map(|(_, text)| text).unwrap_or_default().into())
                        .with_error_message(Some(StrBytes::from_static_str("who are you")));
                    put(&mut answer, &said, version);
                }
                // As brokers do with those who have not said who they are.
                _ if !authenticated => return None,
                ApiKey::Metadata => {
                    let asked = MetadataRequest::decode(&mut request, version).unwrap();
                    put(&mut answer, &self.metadata(asked), version);
                }
                ApiKey::Produce => {
                    let asked = ProduceRequest::decode(&mut request, version).unwrap();
                    put(&mut answer, &self.produce(asked), version);
                }
                other => panic!("{other:?}"),
            }
            stream.write_i32(i32::try_from(answer.len()).unwrap()).await.ok()?;
            stream.write_all(&answer).await.ok()?;
        }
    }

    fn metadata(&self, asked: MetadataRequest) -> MetadataResponse {
        self.log().lookups += 1;
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(7))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port.into());
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                // The third has lost its leader.
                .with_leader_id(BrokerId(if index == 2 { -1 } else { 7 }))
        };
        let topics = asked.topics.unwrap_or_default().into_iter().map(|topic| {
            MetadataResponseTopic::default()
                .with_name(topic.name)
                .with_partitions((0..3).map(partition).collect())
        });
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics.collect())
    }

    fn produce(&self, asked: ProduceRequest) -> ProduceResponse {
        assert_eq!(asked.acks, -1, "all replicas in sync");
        let mut log = self.log();
        let mut topics = Vec::new();
        for topic in asked.topic_data {
            let mut partitions = Vec::new();
            for partition in topic.partition_data {
                let sets = RecordBatchDecoder::decode_all(&mut partition.records.unwrap()).unwrap();
                assert_eq!(sets.len(), 1, "one batch");
                let records = sets.into_iter().flat_map(|set| set.records).collect::<Vec<_>>();
                let code = (self.fault)(log.batches, &records);
                log.batches += 1;
                if code == 0 {
                    let place = (topic.name.0.to_string(), partition.index);
                    log.records.entry(place).or_default().extend(records);
                }
                let said = PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_error_code(code);
                partitions.push(said);
            }
            let name = TopicName(topic.name.0);
            let said = TopicProduceResponse::default();
            topics.push(said.with_name(name).with_partition_responses(partitions));
        }
        ProduceResponse::default().with_responses(topics)
    }
}

fn put(answer: &mut BytesMut, message: &impl Encodable, version: i16) {
    message.encode(answer, version).unwrap();
}

/// A server's side of SCRAM (RFC 5802): what both have said so far.
struct Scram {
    first_bare: String,
    first: String,
}

const SALT: &[u8] = b"0123456789abcdef";
const ITERATIONS: u32 = 4096;

impl User {
    /// One step: whether that was all, and the answer. `None`: refused.
    fn hear(&self, said: &str, scram: &mut Option<Scram>) -> Option<(bool, String)> {
        if self.mechanism == "PLAIN" {
            let right = format!("\0{}\0{}", self.name, self.password);
            return (said == right).then(|| (true, String::new()));
        }
        match scram.take() {
            None => {
                let first_bare = said.strip_prefix("n,,")?;
                let (name, nonce) = first_bare.strip_prefix("n=")?.split_once(",r=")?;
                if name != self.name {
                    return None;
                }
                let salt = STANDARD.encode(SALT);
                let first = format!("r={nonce}server,s={salt},i={ITERATIONS}");
                *scram = Some(Scram { first_bare: first_bare.to_owned(), first: first.clone() });
                Some((false, first))
            }
            Some(begun) => self.judge(said, &begun).map(|text| (true, text)),
        }
    }

    fn judge(&self, said: &str, begun: &Scram) -> Option<String> {
        let (bare, proof) = said.split_once(",p=")?;
        let nonce = begun.first.split(',').next()?;
        if bare != format!("c=biws,{nonce}") {
            return None;
        }
        let (mac, hash, derivation) = match self.mechanism {
            "SCRAM-SHA-256" => (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
            _ => (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
        };
        let mut salted = vec![0; hash.output_len()];
        let iterations = ITERATIONS.try_into().unwrap();
        pbkdf2::derive(derivation, iterations, SALT, self.password.as_bytes(), &mut salted);
        let sign =
            |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(mac, key), text).as_ref().to_vec();
        // What a server stores, and never the password.
        let stored = digest::digest(hash, &sign(&salted, b"Client Key")).as_ref().to_vec();
        let message = format!("{},{},{bare}", begun.first_bare, begun.first);
        let signature = sign(&stored, message.as_bytes());
        let proof = STANDARD.decode(proof).ok()?;
        let key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, sign)| proof ^ sign).collect();
        if digest::digest(hash, &key).as_ref() != stored {
            return None;
        }
        let proved = sign(&sign(&salted, b"Server Key"), message.as_bytes());
        Some(format!("v={}", STANDARD.encode(proved)))
    }
}
