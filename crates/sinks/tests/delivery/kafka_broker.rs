//! A broker that speaks Kafka's protocol through the decoders of `kafka-protocol`: one node, topics of two partitions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

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
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// An error code for a batch: its number and records.
type Fault = dyn Fn(usize, &[Record]) -> i16 + Send + Sync;

#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) port: u16,
    /// `user` and password that are asked for.
    user: Option<(&'static str, &'static str)>,
    fault: Arc<Fault>,
    log: Arc<Mutex<Log>>,
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
        user: Option<(&'static str, &'static str)>,
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
                    assert_eq!(asked.mechanism.as_str(), "PLAIN");
                    put(&mut answer, &SaslHandshakeResponse::default(), version);
                }
                ApiKey::SaslAuthenticate => {
                    let asked = SaslAuthenticateRequest::decode(&mut request, version).unwrap();
                    let (user, password) = self.user.unwrap();
                    authenticated = asked.auth_bytes == format!("\0{user}\0{password}");
                    let code = if authenticated { 0 } else { 58 };
                    let said = SaslAuthenticateResponse::default()
                        .with_error_code(code)
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
