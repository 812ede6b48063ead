//! OTLP: an `ExportLogsServiceRequest` as protobuf, and its answer.
//!
//! Source: opentelemetry-proto, `logs/v1/logs.proto`, and the OTLP specification for HTTP. The body of a record is the
//! event as a map under the names that clients know, as the existing receiver for the OpenTelemetry collector has it.

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message as _;
use serde_json::Value;

use crate::event::{Event, Fields, Gravity};

/// One resource for each cluster and host, in the order in which they first appear.
pub(crate) fn request(events: &[Event], service: &str) -> Vec<u8> {
    let mut origins: Vec<((String, String), ResourceLogs)> = Vec::new();
    for event in events {
        let fields = event.fields();
        let origin = (fields.cluster_name.to_string(), fields.host_name.to_string());
        let place = origins.iter().position(|(known, _)| *known == origin).unwrap_or_else(|| {
            origins.push((origin.clone(), resource(&origin, service)));
            origins.len() - 1
        });
        let (_, resource) = &mut origins[place];
        resource.scope_logs[0].log_records.push(record(event, &fields));
    }
    let resource_logs = origins.into_iter().map(|(_, resource)| resource).collect();
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// Of an answer with success: how many records the peer has rejected all the same, and why.
pub(crate) fn rejected(answer: &[u8]) -> (u64, String) {
    let partial = ExportLogsServiceResponse::decode(answer).unwrap_or_default().partial_success;
    let partial = partial.unwrap_or_default();
    (partial.rejected_log_records.try_into().unwrap_or(0), partial.error_message)
}

fn resource((cluster, host): &(String, String), service: &str) -> ResourceLogs {
    let attributes = [
        ("service.name", service),
        ("host.name", host),
        ("k8s.node.name", host),
        ("k8s.cluster.name", cluster),
    ];
    let scope =
        InstrumentationScope { name: "kubearmor".into(), ..InstrumentationScope::default() };
    ResourceLogs {
        resource: Some(Resource { attributes: texts(&attributes), ..Resource::default() }),
        scope_logs: vec![ScopeLogs { scope: Some(scope), ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    }
}

fn record(event: &Event, fields: &Fields<'_>) -> LogRecord {
    let time = u64::try_from(fields.time().as_nanosecond()).unwrap_or_default();
    let number = match fields.gravity(event.stream) {
        Gravity::Debug => SeverityNumber::Debug,
        Gravity::Info => SeverityNumber::Info,
        Gravity::Warning => SeverityNumber::Warn,
        Gravity::Error => SeverityNumber::Error,
    };
    let severity_text = if fields.level.is_empty() { &fields.action } else { &fields.level };
    let attributes = [
        ("k8s.namespace.name", &*fields.namespace_name),
        ("k8s.pod.name", &fields.pod_name),
        ("k8s.container.name", &fields.container_name),
        ("container.id", &fields.container_id),
        ("process.executable.path", &fields.process_name),
        ("kubearmor.type", &fields.r#type),
        ("kubearmor.policy", &fields.policy_name),
        ("kubearmor.operation", &fields.operation),
        ("kubearmor.action", &fields.action),
        ("kubearmor.result", &fields.result),
        ("kubearmor.version", &fields.version),
    ];
    let body = serde_json::from_str(&event.json).unwrap_or_else(|_| Value::from(&*event.json));
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: number.into(),
        severity_text: severity_text.to_string(),
        event_name: format!("kubearmor.{}", event.stream.singular()),
        attributes: texts(&attributes),
        body: Some(any(body)),
        ..LogRecord::default()
    }
}

/// Without the empty ones.
fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let there = pairs.iter().filter(|(_, text)| !text.is_empty());
    there.map(|&(key, text)| pair(key.to_owned(), any(Value::from(text)))).collect()
}

fn pair(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(truth) => Some(any_value::Value::BoolValue(truth)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(whole) => any_value::Value::IntValue(whole),
            None => any_value::Value::DoubleValue(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Some(any_value::Value::StringValue(text)),
        Value::Array(list) => {
            let values = list.into_iter().map(any).collect();
            Some(any_value::Value::ArrayValue(ArrayValue { values }))
        }
        Value::Object(map) => {
            let values = map.into_iter().map(|(key, value)| pair(key, any(value))).collect();
            Some(any_value::Value::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;

    use super::*;
    use crate::event::samples;

    fn text(list: &[KeyValue], key: &str) -> String {
        let found = list.iter().find(|pair| pair.key == key).unwrap_or_else(|| panic!("{key}"));
        match found.value.clone().unwrap().value.unwrap() {
            any_value::Value::StringValue(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn records_are_grouped_by_host_and_carry_the_whole_event() {
        let bytes = request(&samples::events(), "kubearmor");
        let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
        // The log and the message name no cluster.
        assert_eq!(request.resource_logs.len(), 2);
        let resource = &request.resource_logs[0].resource.as_ref().unwrap().attributes;
        assert_eq!(text(resource, "service.name"), "kubearmor");
        assert_eq!(text(resource, "k8s.cluster.name"), "default");
        assert_eq!(text(resource, "host.name"), "node");
        let alert = &request.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!(alert.time_unix_nano, 1_700_000_000_000_001_000);
        assert_eq!(alert.severity_number, i32::from(SeverityNumber::Error));
        assert_eq!((&*alert.severity_text, &*alert.event_name), ("Block", "kubearmor.alert"));
        assert_eq!(text(&alert.attributes, "k8s.namespace.name"), "bank");
        assert_eq!(text(&alert.attributes, "kubearmor.policy"), "ledger");
        let Some(any_value::Value::KvlistValue(body)) = alert.body.clone().unwrap().value else {
            panic!("{:?}", alert.body);
        };
        assert_eq!(text(&body.values, "Source"), "/bin/sh -c \"a && b\"");
        assert_eq!(text(&body.values, "HostPID"), "IntValue(42)");
        assert!(text(&body.values, "EventData").contains("FILE_OPEN"));
        assert!(text(&body.values, "ATags").contains("PCI"));
        let others = &request.resource_logs[1].scope_logs[0].log_records;
        let names: Vec<_> = others.iter().map(|record| &*record.event_name).collect();
        assert_eq!(names, ["kubearmor.log", "kubearmor.message"]);
        assert_eq!(others[1].severity_text, "WARN");
    }

    #[test]
    fn what_is_no_json_is_sent_as_text() {
        let bytes = request(&[Event::new(crate::config::Stream::Logs, "rubbish")], "s");
        let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
        let record = &request.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!(
            record.body.clone().unwrap().value,
            Some(any_value::Value::StringValue("rubbish".into()))
        );
    }

    #[test]
    fn an_answer_may_reject_some() {
        let partial =
            ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "old".into() };
        let answer = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(rejected(&answer), (2, "old".into()));
        assert_eq!(rejected(&[]), (0, String::new()));
    }
}
