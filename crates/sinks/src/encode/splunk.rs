//! Splunk's HTTP event collector: events as objects one after the other, and what its refusals mean.
//!
//! Source: Splunk's documentation of `/services/collector/event` and its status codes.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{config::Splunk, event::Event, peer::Fate};

/// Which event of a request is at fault, counted from 0; those before it are not indexed either.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    text: String,
    #[serde(rename = "invalid-event-number")]
    number: Option<usize>,
}

pub(crate) fn body(events: &[Event], splunk: &Splunk) -> Vec<u8> {
    let mut body = Vec::new();
    for event in events {
        let fields = event.fields();
        let mut envelope = Map::new();
        let micros = fields.time().as_microsecond();
        let sourcetype = format!("{}:{}", splunk.sourcetype, event.stream.singular());
        envelope.insert(
            "time".into(),
            format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).into(),
        );
        envelope.insert("host".into(), fields.host_name.into());
        envelope.insert("source".into(), "kubearmor".into());
        envelope.insert("sourcetype".into(), sourcetype.into());
        if !splunk.index.is_empty() {
            envelope.insert("index".into(), splunk.index.clone().into());
        }
        let mut text = Value::Object(envelope).to_string();
        text.pop();
        text.push_str(",\"event\":");
        // What is no JSON would make the whole request invalid.
        match serde_json::from_str::<IgnoredAny>(&event.json) {
            Ok(_) => text.push_str(&event.json),
            Err(_) => text.push_str(&Value::from(&*event.json).to_string()),
        }
        text.push('}');
        body.extend(text.as_bytes());
        body.push(b'\n');
    }
    body
}

/// Of a request that was answered with 400: only the event at fault is refused, the others come again.
pub(crate) fn fates(answer: &[u8], count: usize) -> Vec<Fate> {
    let refusal: Option<Refusal> = serde_json::from_slice(answer).ok();
    let (text, number) = refusal.map(|refusal| (refusal.text, refusal.number)).unwrap_or_default();
    let fate = |index| match number {
        Some(number) if number != index && number < count => Fate::Again(text.clone()),
        _ => Fate::Refused(text.clone()),
    };
    (0..count).map(fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples::{self, ALERT, LOG};

    #[test]
    fn each_event_has_an_envelope() {
        let splunk = Splunk { index: "main".into(), ..Splunk::default() };
        let body = String::from_utf8(body(&samples::events()[..2], &splunk)).unwrap();
        let line = |time: &str, kind: &str, event: &str| {
            format!(
                r#"{{"host":"node","index":"main","source":"kubearmor","sourcetype":"kubearmor:{kind}","time":"{time}","event":{event}}}"#
            )
        };
        let expected =
            [line("1700000000.000001", "alert", ALERT), line("1700000001.000000", "log", LOG)];
        assert_eq!(body, expected.join("\n") + "\n");
        let rubbish = Event::new(crate::config::Stream::Logs, "no\"JSON");
        let text = String::from_utf8(super::body(&[rubbish], &Splunk::default())).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "no\"JSON");
    }

    #[test]
    fn only_the_event_at_fault_is_refused() {
        let answer = br#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#;
        let again = || Fate::Again("Invalid data format".into());
        assert_eq!(
            fates(answer, 3),
            [again(), Fate::Refused("Invalid data format".into()), again()]
        );
        let all = fates(br#"{"text":"No data","code":5}"#, 2);
        assert!(all.iter().all(|fate| matches!(fate, Fate::Refused(text) if text == "No data")));
    }
}
