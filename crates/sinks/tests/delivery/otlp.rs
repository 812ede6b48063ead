//! An OpenTelemetry collector's logs over HTTP, built on the protocol's own types.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
    },
    logs::v1::LogRecord,
};
use prost::Message as _;
use serde_json::json;
use sinks::DropReason;

use super::{
    agent::{Agent, dropped, sink},
    http_server::{Answer, Server},
};

#[tokio::test]
async fn records_arrive_and_rejected_ones_are_counted() {
    let records = Arc::new(Mutex::new(Vec::<LogRecord>::new()));
    let server = {
        let records = Arc::clone(&records);
        Server::start(move |number, request| {
            assert_eq!(request.path, "/v1/logs");
            assert_eq!(request.headers["content-type"], "application/x-protobuf");
            assert_eq!(request.headers["content-encoding"], "gzip");
            let sent = ExportLogsServiceRequest::decode(&*request.body).unwrap();
            if number == 0 {
                return Answer::status(503);
            }
            let new = sent.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
            records.lock().unwrap().extend(new.flat_map(|logs| logs.log_records));
            let partial = ExportLogsPartialSuccess {
                rejected_log_records: 2,
                error_message: "too old".into(),
            };
            let answer = ExportLogsServiceResponse { partial_success: Some(partial) };
            Answer::Status(200, answer.encode_to_vec())
        })
        .await
    };
    let more = json!({"batch": {"maxEvents": 10, "maxAgeMillis": 60_000}});
    let agent = Agent::start(json!([sink("otel", "otlp", &server.url(), more)])).await;
    agent.alerts(0..10);
    let account = agent.until("otel", |account| account.waiting == 0).await;
    assert_eq!((account.delivered, dropped(&account, DropReason::Refused)), (8, 2));
    assert!(agent.told().iter().any(|text| text.ends_with("its peer refuses them: too old")));
    let records = records.lock().unwrap();
    assert_eq!(records.len(), 10);
    assert!(records.iter().all(|record| record.event_name == "kubearmor.alert"));
    assert_eq!(records[9].time_unix_nano, 1_700_000_009_000_000_000);
}
