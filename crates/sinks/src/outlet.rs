//! [`Outlet`]: the near end of a sink, which outlives changes of its configuration.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use arc_swap::ArcSwap;

use crate::{
    account::{DropReason, Ledger, Place},
    config::{SinkConfig, Stream},
    event::{Event, Fields},
    queue::Queue,
    seldom::Seldom,
};

/// Called with what people should know of a sink: that its peer is away or back, that something was dropped. It
/// must not wait.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

pub(crate) struct Outlet {
    pub(crate) name: String,
    pub(crate) queue: Queue,
    pub(crate) ledger: Ledger,
    config: ArcSwap<SinkConfig>,
    seldom: Seldom,
    tell: Tell,
}

impl Outlet {
    pub(crate) fn new(config: &SinkConfig, tell: Tell) -> Self {
        Self {
            name: config.name.clone(),
            queue: Queue::new(config.queue),
            ledger: Ledger::new(&config.name, config.kind.as_str()),
            config: ArcSwap::from_pointee(config.clone()),
            seldom: Seldom::default(),
            tell,
        }
    }

    pub(crate) fn set(&self, config: &SinkConfig) {
        self.queue.set_limits(config.queue);
        self.ledger.change(|account| account.kind = config.kind.as_str());
        self.config.store(Arc::new(config.clone()));
    }

    pub(crate) fn wants(&self, stream: Stream) -> bool {
        self.config.load().events.contains(&stream)
    }

    /// True unless the event was wanted and had no room.
    pub(crate) fn offer<'e>(&self, event: &'e Event, fields: &OnceLock<Fields<'e>>) -> bool {
        let config = self.config.load();
        let everything = config.filter == crate::config::Filter::default();
        let wanted = config.events.contains(&event.stream)
            && (everything
                || config.filter.passes(event.stream, fields.get_or_init(|| event.fields())));
        if !wanted {
            return true;
        }
        let counted = || self.ledger.received(Place::Waiting, 1);
        if self.queue.push(event.clone(), counted).is_some() {
            return true;
        }
        if self.queue.is_closed() {
            self.ledger.received_and_dropped(DropReason::Ended, 1);
        } else {
            self.ledger.received_and_dropped(DropReason::QueueFull, 1);
            self.tell_of_drops(DropReason::QueueFull, 1, "");
        }
        false
    }

    /// Takes `count` off `place` for good; told at most once a minute for each reason.
    pub(crate) fn drop_from(&self, place: Place, reason: DropReason, count: u64, why: &str) {
        if count > 0 {
            self.ledger.dropped(place, reason, count);
            self.tell_of_drops(reason, count, why);
        }
    }

    fn tell_of_drops(&self, reason: DropReason, count: u64, why: &str) {
        let Some(count) = self.seldom.due(reason.as_str(), count, Instant::now()) else { return };
        let cause = match reason {
            DropReason::QueueFull => "its queue is full",
            DropReason::SpoolFull => "its spool is full, and they were the oldest",
            DropReason::Refused => "its peer refuses them",
            DropReason::Unreadable => "its spool is damaged",
            DropReason::Ended => "it has ended and has no spool",
        };
        let colon = if why.is_empty() { "" } else { ": " };
        self.tell(&format!("dropped {count} events: {cause}{colon}{why}"));
    }

    pub(crate) fn tell(&self, what: &str) {
        (self.tell)(format!("sink `{}`: {what}", self.name));
    }

    /// [`Self::tell`], at most once a minute for each subject.
    pub(crate) fn tell_seldom(&self, subject: &'static str, what: &str) {
        if self.seldom.due(subject, 1, Instant::now()).is_some() {
            self.tell(what);
        }
    }
}
