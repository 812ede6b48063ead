//! Where the commands that count events get them from: an agent that is listened to, or a file that it wrote.

mod lines;
mod live;
mod select;
mod until;

pub(crate) use self::{
    lines::Lines,
    live::{Live, Streams},
    select::Workloads,
    until::{Ended, Until, duration, stopped, watch},
};

use crate::event::Event;

/// What a source has to tell.
#[derive(Debug)]
pub(crate) enum News {
    Event(Box<Event>),
    /// Something that is no event, and where it stands.
    Unreadable(String),
    /// The connection is gone, for this reason; the source tries to get it back.
    Lost(String),
    /// The connection is there again. What happened meanwhile is not known.
    Back,
}

/// One after the other, whatever they are kept in.
pub(crate) trait Source {
    /// `None` at the end. Nothing is lost if the future is dropped before it is done.
    async fn next(&mut self) -> Option<News>;
}
