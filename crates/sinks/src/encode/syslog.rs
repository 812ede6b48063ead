//! Syslog as RFC 5424 has it: a header, structured data, and the event as the message.

use std::fmt::Write as _;

use crate::{
    config::Syslog,
    event::{Event, Fields, Gravity},
};

/// The private enterprise number that is set aside for examples (RFC 5612): the project has none of its own.
const DATA_ID: &str = "kubearmor@32473";
/// RFC 5424, 6: the longest host name.
const HOST_LENGTH: usize = 255;

/// One message, without framing.
pub(crate) fn message(event: &Event, syslog: &Syslog) -> String {
    let fields = event.fields();
    let severity = match fields.gravity(event.stream) {
        Gravity::Error => 3,
        Gravity::Warning => 4,
        Gravity::Info => 6,
        Gravity::Debug => 7,
    };
    let priority = (syslog.facility as u8) * 8 + severity;
    let time = fields.time().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let host = header(&fields.host_name, HOST_LENGTH);
    let process = if fields.host_pid > 0 { fields.host_pid.to_string() } else { "-".to_owned() };
    let id = event.stream.singular();
    let data = structured_data(&fields);
    let application = &syslog.app_name;
    format!("<{priority}>1 {time} {host} {application} {process} {id} {data} {}", event.json)
}

/// RFC 6587, 3.4.1, and RFC 5425, 4.3: the length in bytes goes before the message.
pub(crate) fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// At most `limit` bytes of it, and whether that cut anything off.
pub(crate) fn datagram(message: &str, limit: usize) -> (&str, bool) {
    let end = message.floor_char_boundary(limit);
    (&message[..end], end < message.len())
}

/// Printable ASCII without spaces, as the header's fields are.
fn header(text: &str, length: usize) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let text: String = text.chars().map(plain).take(length).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

fn structured_data(fields: &Fields<'_>) -> String {
    let parameters = [
        ("cluster", &fields.cluster_name),
        ("namespace", &fields.namespace_name),
        ("pod", &fields.pod_name),
        ("container", &fields.container_name),
        ("type", &fields.r#type),
        ("policy", &fields.policy_name),
        ("severity", &fields.severity),
        ("operation", &fields.operation),
        ("action", &fields.action),
        ("result", &fields.result),
        ("level", &fields.level),
    ];
    let mut data = String::new();
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a text does not fail.
        let _ = write!(data, " {name}=\"{}\"", escaped(value));
    }
    if data.is_empty() { "-".to_owned() } else { format!("[{DATA_ID}{data}]") }
}

/// RFC 5424, 6.3.3. Control characters would break the line where a server writes one.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '"' | '\\' | ']' => text.extend(['\\', letter]),
            control if control.is_control() => text.push(' '),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Facility, Stream},
        event::samples::{self, ALERT, LOG},
    };

    #[test]
    fn messages_are_those_of_the_rfc() {
        let events = samples::events();
        let syslog = Syslog { facility: Facility::Authpriv, ..Syslog::default() };
        assert_eq!(
            message(&events[0], &syslog),
            format!(
                "<83>1 2023-11-14T22:13:20.000001Z node kubearmor 42 alert [kubearmor@32473 cluster=\"default\" \
                 namespace=\"bank\" pod=\"teller-1\" container=\"teller\" type=\"MatchedPolicy\" policy=\"ledger\" \
                 severity=\"9\" operation=\"File\" action=\"Block\" result=\"Permission denied\"] {ALERT}"
            )
        );
        assert_eq!(
            message(&events[1], &Syslog::default()),
            format!(
                "<134>1 2023-11-14T22:13:21.000000Z node kubearmor - log [kubearmor@32473 type=\"HostLog\" \
                 operation=\"Process\" result=\"Passed\"] {LOG}"
            )
        );
        assert!(message(&events[2], &Syslog::default()).starts_with("<132>1 "));
    }

    #[test]
    fn names_cannot_break_out_of_their_place() {
        let json = r#"{"HostName":"a b\nc","PolicyName":"x\"]\\ \n<1>1"}"#;
        let text = message(&Event::new(Stream::Alerts, json), &Syslog::default());
        let expected = r#" a_b_c kubearmor - alert [kubearmor@32473 policy="x\"\]\\  <1>1"] {"#;
        assert!(text.contains(expected), "{text}");
        let empty = message(&Event::new(Stream::Logs, "{}"), &Syslog::default());
        assert_eq!(empty, "<134>1 1970-01-01T00:00:00.000000Z - kubearmor - log - {}");
    }

    #[test]
    fn frames_count_bytes_and_datagrams_end_between_letters() {
        assert_eq!(counted("é"), "2 é");
        assert_eq!(datagram("aé", 2), ("a", true));
        assert_eq!(datagram("aé", 3), ("aé", false));
    }
}
