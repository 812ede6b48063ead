//! What is read, what is refused and by which key, and that what is shown can be read again.

use std::collections::BTreeMap;

use serde_json::{from_value, json, to_value};

use super::*;
use crate::event::samples;

fn one(keys: &Value) -> SinkConfig {
    from_value::<SinkList>(json!([keys])).unwrap().0.remove(0)
}

fn refusal(keys: &Value) -> String {
    from_value::<SinkList>(json!([keys])).unwrap_err().to_string()
}

fn every_kind() -> Value {
    json!([
        {"name": "otlp", "kind": "otlp", "endpoint": "https://otel.example:4318",
         "tls": {"caFile": "/a.pem", "certFile": "/c.pem", "keyFile": "/k.pem"}},
        {"name": "es", "kind": "elasticsearch", "endpoint": "http://es:9200", "alertsIndex": "x",
         "auth": {"username": "elastic", "secretEnv": "ES_PASSWORD"}, "events": ["alerts", "logs"]},
        {"name": "os", "kind": "opensearch", "endpoint": "http://os:9200"},
        {"name": "kafka", "kind": "kafka", "endpoint": "tls://a:9093,[::1]",
         "auth": {"username": "u", "secretFile": "/p"}},
        {"name": "syslog", "kind": "syslog", "endpoint": "udp://log.example", "facility": "authpriv"},
        {"name": "hook", "kind": "webhook", "endpoint": "http://hook/x", "headers": {"X-A": "b"},
         "format": "lines", "filter": {"actions": ["Block"], "minSeverity": 5}},
        {"name": "splunk", "kind": "splunk", "endpoint": "https://splunk:8088",
         "auth": {"secretFile": "/token"}, "spool": {"maxBytes": 0}},
    ])
}

#[test]
fn what_is_shown_can_be_written() {
    let read: SinkList = from_value(every_kind()).unwrap();
    let shown = to_value(&read).unwrap();
    assert_eq!(from_value::<SinkList>(shown.clone()).unwrap(), read);
    assert_eq!(shown[3]["endpoint"], "tls://a:9093,[::1]:9092");
    assert_eq!(shown[4]["endpoint"], "udp://log.example:514");
    assert_eq!(shown[2]["alertsIndex"], "kubearmor-alerts");
    assert_eq!(shown[0]["events"], json!(["alerts"]));
}

#[test]
fn errors_name_the_sink_and_the_key() {
    let sink = |more: &Value| {
        let mut keys = json!({"name": "a", "kind": "webhook", "endpoint": "http://h"});
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refusal(&keys)
    };
    for (more, told) in [
        (json!({"colour": 1}), "`a`: unknown field `colour`, expected one of `format`"),
        (json!({"facility": "auth"}), "`a`: unknown field `facility`"),
        (json!({"batch": {"max": 1}}), "`a`: `batch`: unknown field `max`, expected"),
        (json!({"batch": {"maxEvents": 0}}), "`a`: `batch`: maxEvents"),
        (json!({"queue": {"maxBytes": 0}}), "`a`: `queue`: maxEvents"),
        (json!({"retry": {"initialMillis": 9, "maxMillis": 8}}), "`a`: `retry`: "),
        (json!({"timeoutMillis": 0}), "`a`: `timeoutMillis`: "),
        (json!({"events": ["alert"]}), "`a`: `events`: unknown variant `alert`"),
        (json!({"events": []}), "`a`: `events`: name one"),
        (json!({"kind": "smtp"}), "`a`: `kind`: `smtp` is none"),
        (json!({"name": "../a"}), "`../a`: `name`: "),
        (json!({"endpoint": "h:80"}), "`a`: `endpoint`: `h:80` is none: write http://"),
        (json!({"endpoint": "http://u:p@h"}), "`a`: `endpoint`: name and password belong"),
        (json!({"tls": {}, "endpoint": "https://h", "auth": {}}), "`a`: `auth`: name either"),
        (json!({"tls": {"caFile": "/x"}}), "`a`: `tls`: the endpoint http://h/ has none"),
        (json!({"tls": {"caFile": "x"}}), "`a`: `tls`: `caFile`: x is no absolute path"),
        (json!({"tls": {"certFile": "/x"}}), "`a`: `tls`: `certFile` and `keyFile`"),
        (json!({"auth": {"secretFile": "/x", "password": "p"}}), "`a`: `auth`: unknown field"),
        (json!({"headers": {"Authorization": "x"}}), "`a`: `headers`: `Authorization`"),
        (json!({"headers": {"a b": "x"}}), "`a`: `headers`: `a b`"),
        (json!({"kind": "syslog"}), "`a`: `endpoint`: `http://h` is none: write tcp://"),
        (json!({"kind": "kafka"}), "`a`: `endpoint`: `http://h` is none: write tcp://"),
        (json!({"kind": "splunk"}), "`a`: `auth` is missing"),
    ] {
        let said = sink(&more);
        assert!(said.starts_with(told), "{more}: {said}");
    }
    assert!(refusal(&json!({"kind": "otlp"})).starts_with("entry 1: `name` is missing"));
    let two = json!([{"name": "a", "kind": "webhook", "endpoint": "http://h"},
                     {"name": "a", "kind": "webhook", "endpoint": "http://i"}]);
    let said = from_value::<SinkList>(two).unwrap_err().to_string();
    assert_eq!(said, "`a`: `name`: another sink has it");
}

#[test]
fn filters_ask_each_stream_for_the_fields_that_it_has() {
    let config = one(&json!({"name": "a", "kind": "webhook", "endpoint": "http://h",
        "filter": {"namespaces": ["bank"], "actions": ["Block"], "minSeverity": 5}}));
    let passes = |filter: &Filter| {
        let events = samples::events();
        events.iter().map(|event| filter.passes(event.stream, &event.fields())).collect::<Vec<_>>()
    };
    assert_eq!(passes(&config.filter), [true, false, true]);
    let other = Filter { min_severity: 10, ..Filter::default() };
    assert_eq!(passes(&other), [false, true, true]);
    let other = Filter { policies: ["other".to_owned()].into(), ..Filter::default() };
    assert_eq!(passes(&other), [false, true, true]);
    let other = Filter { operations: ["Process".to_owned()].into(), ..Filter::default() };
    assert_eq!(passes(&other), [false, true, true]);
}

#[test]
fn the_relays_variables_make_its_sinks() {
    let variables = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    assert_eq!(from_environment(&variables(&[("ES_URL", "http://es")])).unwrap(), []);
    let sinks = from_environment(&variables(&[
        ("ENABLE_DASHBOARDS", "true"),
        ("ES_URL", "https://es:9200"),
        ("ES_USERNAME", "elastic"),
        ("ES_PASSWORD", "s3cret"),
        ("ES_ALLOW_INSECURE_TLS", "true"),
        ("ENABLE_OPENSEARCH_DASHBOARD", "true"),
        ("OS_ALERTS_INDEX", "security"),
    ]))
    .unwrap();
    let list = SinkList(sinks);
    let shown = to_value(&list).unwrap();
    assert_eq!(shown[0]["alertsIndex"], "kubearmor-alerts");
    assert_eq!(shown[0]["auth"], json!({"username": "elastic", "secretEnv": "ES_PASSWORD"}));
    assert_eq!(shown[0]["tls"], json!({"insecureSkipVerify": true}));
    assert_eq!(shown[1]["endpoint"], "http://localhost:9200/");
    assert_eq!(shown[1]["logsIndex"], "security");
    assert!(!shown.to_string().contains("s3cret"));
    let bad = from_environment(&variables(&[("ENABLE_DASHBOARDS", "true"), ("ES_URL", "es:9200")]));
    assert!(bad.unwrap_err().to_string().contains("`elasticsearch-dashboards` of the environment"));
}

#[test]
fn a_secret_is_read_when_it_is_needed_and_its_absence_names_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let auth = Auth { secret_file: Some(file.clone()), ..Auth::default() };
    assert!(auth.secret().unwrap_err().contains("token: No such file"));
    std::fs::write(&file, "\n").unwrap();
    assert!(auth.secret().unwrap_err().contains("holds no secret"));
    std::fs::write(&file, "abc\n").unwrap();
    assert_eq!(auth.secret().unwrap(), "abc");
    let auth = Auth { secret_env: Some("SINKS_TEST_NOT_SET".into()), ..Auth::default() };
    assert!(auth.secret().unwrap_err().contains("SINKS_TEST_NOT_SET: not set"));
}
