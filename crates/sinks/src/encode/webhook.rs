//! Webhooks: the events as they are, in an array or line by line.

use crate::{config::WebhookFormat, event::Event};

pub(crate) fn content_type(format: WebhookFormat) -> &'static str {
    match format {
        WebhookFormat::Array => "application/json",
        WebhookFormat::Lines => "application/x-ndjson",
    }
}

pub(crate) fn body(events: &[Event], format: WebhookFormat) -> Vec<u8> {
    let lines: Vec<&str> = events.iter().map(|event| &*event.json).collect();
    match format {
        WebhookFormat::Array => format!("[{}]", lines.join(",")),
        WebhookFormat::Lines => lines.join("\n") + "\n",
    }
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples::{self, ALERT, LOG, MESSAGE};

    #[test]
    fn events_are_not_changed() {
        let text = |format| String::from_utf8(body(&samples::events(), format)).unwrap();
        assert_eq!(text(WebhookFormat::Array), format!("[{ALERT},{LOG},{MESSAGE}]"));
        assert_eq!(text(WebhookFormat::Lines), format!("{ALERT}\n{LOG}\n{MESSAGE}\n"));
    }
}
