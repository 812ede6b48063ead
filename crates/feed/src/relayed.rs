//! What other agents have told, passed on as it came.

use serde::Serialize;
use sinks::Stream;
use telemetry::Delivery;

use crate::{
    Feed,
    log_path::Line,
    proto::{feeder, history::history_event::Event},
};

/// An item of another agent's stream. As JSON it is what clients print.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Relayed {
    Alert(Box<feeder::Alert>),
    Log(Box<feeder::Log>),
    Message(feeder::Message),
}

impl Relayed {
    pub fn stream(&self) -> Stream {
        match self {
            Self::Alert(_) => Stream::Alerts,
            Self::Log(_) => Stream::Logs,
            Self::Message(_) => Stream::Messages,
        }
    }

    /// Bytes of the item as it is sent.
    pub fn size(&self) -> usize {
        match self {
            Self::Alert(alert) => prost::Message::encoded_len(&**alert),
            Self::Log(log) => prost::Message::encoded_len(&**log),
            Self::Message(message) => prost::Message::encoded_len(message),
        }
    }
}

impl Feed {
    /// To clients and to the history. The number that its agent gave it is taken away: here it gets another.
    pub fn pass_on(&self, item: Relayed) -> Delivery {
        let whole = Delivery::Complete;
        match item {
            Relayed::Alert(mut alert) => {
                alert.sequence = 0;
                let kept = self.keep(|| Event::Alert((*alert).clone()));
                let published = self.channels().alerts.publish(*alert);
                self.settle(published, [kept, whole, whole])
            }
            Relayed::Log(mut log) => {
                log.sequence = 0;
                let kept = self.keep(|| Event::Log((*log).clone()));
                let published = self.channels().logs.publish(*log);
                self.settle(published, [kept, whole, whole])
            }
            Relayed::Message(message) => self.channels().messages.publish(message).delivery,
        }
    }

    /// Whether [`Self::put_out`] has anywhere to put items of a stream.
    pub fn puts_out(&self, stream: Stream, line: bool) -> bool {
        (line && self.writes_lines()) || self.has_sink_for(stream)
    }

    /// To the sinks, and as a line to the log file. Apart from [`Self::pass_on`], since of several that have an item one
    /// alone is to do it.
    pub fn put_out(&self, item: &Relayed, line: bool) -> Delivery {
        let line =
            if line { self.line(|| Line::Relayed(item.clone())) } else { Delivery::Complete };
        match (line, self.sink(item.stream(), item)) {
            (Delivery::Complete, Delivery::Complete) => Delivery::Complete,
            _ => Delivery::Incomplete,
        }
    }
}
