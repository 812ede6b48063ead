//! Kafka: the requests of its protocol that a producer needs, as bytes, and their answers.
//!
//! The messages are those of the crate `kafka-protocol`, which is made from Kafka's own schemas. The versions are those of
//! Kafka 2.1, which brokers up to 4 at least take (KIP-896), so there is nothing to negotiate.

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::{
    indexmap::IndexMap,
    messages::{
        ApiKey, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
        ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
        SaslHandshakeResponse, TopicName,
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Encodable, StrBytes, encode_request_header_into_buffer},
    records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record,
        RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    },
};

use crate::event::Event;

/// A request as it is spoken here.
pub(crate) trait Spoken: Encodable {
    const KEY: ApiKey;
    const VERSION: i16;
    type Answer: Decodable;
}

impl Spoken for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    const VERSION: i16 = 7;
    type Answer = MetadataResponse;
}

impl Spoken for ProduceRequest {
    const KEY: ApiKey = ApiKey::Produce;
    const VERSION: i16 = 7;
    type Answer = ProduceResponse;
}

impl Spoken for SaslHandshakeRequest {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const VERSION: i16 = 1;
    type Answer = SaslHandshakeResponse;
}

impl Spoken for SaslAuthenticateRequest {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const VERSION: i16 = 0;
    type Answer = SaslAuthenticateResponse;
}

/// With the length before it.
pub(crate) fn frame<R: Spoken>(request: &R, correlation: i32) -> Result<Bytes, String> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY as i16)
        .with_request_api_version(R::VERSION)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("kubearmor")));
    encode_request_header_into_buffer(&mut frame, &header)
        .and_then(|()| request.encode(&mut frame, R::VERSION))
        .map_err(|error| error.to_string())?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| "a request of 2 GiB".to_owned())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// From what follows the length of an answer.
pub(crate) fn answer<R: Spoken>(mut frame: Bytes, correlation: i32) -> Result<R::Answer, String> {
    let version = R::KEY.response_header_version(R::VERSION);
    let header = ResponseHeader::decode(&mut frame, version).map_err(|error| error.to_string())?;
    if header.correlation_id != correlation {
        return Err("an answer to another request".into());
    }
    R::Answer::decode(&mut frame, R::VERSION).map_err(|error| error.to_string())
}

pub(crate) fn metadata<'a>(topics: impl Iterator<Item = &'a str>) -> MetadataRequest {
    let topics = topics.map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(true)
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Host and port of each broker by its number.
pub(crate) fn brokers(metadata: &MetadataResponse) -> Vec<(i32, String, u16)> {
    let brokers = metadata.brokers.iter().filter_map(|broker| {
        Some((broker.node_id.0, broker.host.to_string(), u16::try_from(broker.port).ok()?))
    });
    brokers.collect()
}

/// The partitions of a topic that have a leader, with it; or the code of what is wrong with the topic.
pub(crate) fn partitions(metadata: &MetadataResponse, topic: &str) -> Result<Vec<(i32, i32)>, i16> {
    let found = metadata
        .topics
        .iter()
        .find(|found| found.name.as_ref().is_some_and(|name| name.0.as_str() == topic));
    let Some(found) = found else { return Ok(Vec::new()) };
    if found.error_code != 0 {
        return Err(found.error_code);
    }
    let led = found.partitions.iter().filter(|partition| partition.leader_id.0 >= 0);
    Ok(led.map(|partition| (partition.partition_index, partition.leader_id.0)).collect())
}

/// One batch for one partition, to be answered when all replicas in sync have it.
pub(crate) fn produce(
    topic: &str,
    partition: i32,
    events: &[&Event],
    timeout_millis: i32,
) -> Result<ProduceRequest, String> {
    let records: Vec<Record> =
        (0..).zip(events).map(|(offset, event)| record(event, offset)).collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, &records, &options)
        .map_err(|error| error.to_string())?;
    let data =
        PartitionProduceData::default().with_index(partition).with_records(Some(batch.freeze()));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    Ok(ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(timeout_millis)
        .with_topic_data(vec![topic]))
}

/// The code and text of the only partition that was produced to; 0 is success.
pub(crate) fn produced(answer: &ProduceResponse) -> Result<(i16, String), String> {
    let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    let Some(partition) = partition else { return Err("an empty answer".into()) };
    let text = partition.error_message.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok((partition.error_code, text))
}

fn record(event: &Event, offset: i32) -> Record {
    let fields = event.fields();
    let header = |name: &'static str, value: &str| {
        (StrBytes::from_static_str(name), Some(Bytes::copy_from_slice(value.as_bytes())))
    };
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: offset.into(),
        // The first of a batch has -1 then, as producers without a number of their own have it.
        sequence: offset - 1,
        timestamp: fields.time().as_millisecond(),
        key: None,
        value: Some(Bytes::copy_from_slice(event.json.as_bytes())),
        headers: IndexMap::from([
            header("type", event.stream.singular()),
            header("id", &format!("{:032x}", event.id)),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };

    use super::*;
    use crate::event::samples;

    #[test]
    fn frames_are_those_of_the_protocols_guide() {
        let request =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
        let frame = frame(&request, 5).unwrap();
        let expected = [
            &[0, 0, 0, 26][..],
            // Key 17 in version 1, the correlation, the client.
            &[0, 17, 0, 1, 0, 0, 0, 5, 0, 9],
            b"kubearmor",
            &[0, 5],
            b"PLAIN",
        ];
        assert_eq!(frame, expected.concat());
        let answered = Bytes::from_static(&[0, 0, 0, 5, 0, 33, 0, 0, 0, 0]);
        let said = answer::<SaslHandshakeRequest>(answered.clone(), 5).unwrap();
        assert_eq!(said.error_code, 33);
        assert!(answer::<SaslHandshakeRequest>(answered, 6).is_err(), "another's");
        let cut = Bytes::from_static(&[0, 0, 0, 5, 0]);
        assert!(answer::<SaslHandshakeRequest>(cut, 5).is_err());
    }

    #[test]
    fn a_batch_holds_the_events_as_they_are() {
        let events = samples::events();
        let events: Vec<&Event> = events.iter().collect();
        let request = produce("alerts", 3, &events, 1000).unwrap();
        assert_eq!((request.acks, request.timeout_ms), (-1, 1000));
        let partition = &request.topic_data[0].partition_data[0];
        assert_eq!(partition.index, 3);
        let batch = partition.records.clone().unwrap();
        let number = |at: usize| i32::from_be_bytes(batch[at..at + 4].try_into().unwrap());
        // Offsets of a record batch: length, magic, last offset, base sequence, count.
        assert_eq!(usize::try_from(number(8)).unwrap(), batch.len() - 12);
        assert_eq!((batch[16], number(23), number(53), number(57)), (2, 2, -1, 3));
        for event in events {
            let json = event.json.as_bytes();
            assert!(batch.windows(json.len()).any(|part| part == json));
        }
    }

    #[test]
    fn partitions_without_a_leader_are_left_out() {
        let partition = |index, leader: i32| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(leader.into())
        };
        let topic = |text, code| {
            MetadataResponseTopic::default()
                .with_name(Some(name(text)))
                .with_error_code(code)
                .with_partitions(vec![partition(0, -1), partition(1, 4)])
        };
        let said = MetadataResponse::default().with_topics(vec![topic("a", 0), topic("b", 3)]);
        assert_eq!(partitions(&said, "a"), Ok(vec![(1, 4)]));
        assert_eq!(partitions(&said, "b"), Err(3));
        assert_eq!(partitions(&said, "c"), Ok(Vec::new()));
    }
}
