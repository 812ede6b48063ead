//! The task of one sink: takes batches from spool and queue, hands them to the peer until they are settled, and brings
//! to disk what the queue should not hold.

use std::{iter::repeat_with, sync::Arc};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    account::{DropReason, Place},
    config::SinkConfig,
    event::Event,
    outlet::Outlet,
    peer::{Fate, Peer, Verdict},
    retry::Backoff,
    spool::{self, Spool},
};

pub(crate) struct Worker {
    config: SinkConfig,
    outlet: Arc<Outlet>,
    /// `None`: there is to be none, or it could not be opened.
    spool: Option<Spool>,
    /// Being sent. It counts as waiting.
    batch: Option<Taken>,
}

struct Taken {
    events: Vec<Event>,
    /// Where the spool has them as well.
    spooled_at: Option<spool::Place>,
    /// How many are sent at once, after the peer found more too large.
    at_once: usize,
}

/// What one attempt has come to.
enum Attempt {
    Stopped,
    Told(Verdict),
}

impl Worker {
    pub(crate) fn new(config: SinkConfig, outlet: Arc<Outlet>, spool: Option<Spool>) -> Self {
        Self { config, outlet, spool, batch: None }
    }

    /// One that is there may be there for its rest only.
    fn may_spool(&self) -> bool {
        self.spool.is_some() && self.config.spool.max_bytes > 0
    }

    /// For the next [`Self::run`].
    pub(crate) fn reconfigure(&mut self, config: SinkConfig) {
        if let Some(spool) = &mut self.spool
            && config.spool.max_bytes > 0
        {
            spool.set_max_bytes(config.spool.max_bytes);
        }
        self.config = config;
    }

    pub(crate) fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    pub(crate) fn set_spool(&mut self, spool: Option<Spool>) {
        self.spool = spool;
    }

    /// Delivers until `stop` says true, or until the queue is closed and the peer has all of it or is away.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        let mut peer = Peer::new(&self.config);
        let mut backoff = Backoff::new(self.config.retry);
        // Of a stretch in which the peer took nothing.
        let mut away_since = None;
        loop {
            if self.batch.is_none() && !self.next(&mut stop).await {
                return self;
            }
            match self.attempt(&mut peer, away_since.is_some(), &mut stop).await {
                Attempt::Stopped => return self,
                Attempt::Told(verdict) => {
                    let Some(failure) = self.settle(verdict).await else {
                        backoff.reset();
                        self.back(&mut away_since);
                        continue;
                    };
                    self.away(&mut away_since, &failure.problem);
                    if self.outlet.queue.is_closed() {
                        return self;
                    }
                    self.keep_safe().await;
                    let until = Instant::now() + backoff.next(failure.wait);
                    if !self.pause(until, &mut stop).await {
                        return self;
                    }
                }
            }
        }
    }

    /// Waits for a batch; false if there will be none.
    async fn next(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        loop {
            let limits = self.config.batch;
            if let Some(taken) = self.take_spooled().await {
                self.batch = Some(taken);
                return true;
            }
            tokio::select! {
                biased;
                () = told(stop) => return false,
                () = self.outlet.queue.ready(limits) => {}
            }
            let events = self.outlet.queue.take(limits.max_events, limits.max_bytes);
            if !events.is_empty() {
                self.batch = Some(Taken { events, spooled_at: None, at_once: usize::MAX });
                return true;
            }
            if self.outlet.queue.is_closed() {
                return false;
            }
        }
    }

    async fn take_spooled(&mut self) -> Option<Taken> {
        let limits = self.config.batch;
        if self.spool.as_ref()?.is_empty() {
            return None;
        }
        let taken = self
            .with_spool(move |spool| {
                let place = spool.place();
                let (events, unreadable) = spool.take(limits.max_events, limits.max_bytes)?;
                if events.is_empty() {
                    spool.done()?;
                }
                Ok((events, unreadable, place))
            })
            .await;
        let (events, unreadable, place) = taken?;
        self.outlet.drop_from(Place::Spooled, DropReason::Unreadable, unreadable, "");
        if events.is_empty() {
            return None;
        }
        self.outlet.ledger.moved(Place::Spooled, Place::Waiting, events.len() as u64);
        Some(Taken { events, spooled_at: Some(place), at_once: usize::MAX })
    }

    async fn attempt(
        &mut self,
        peer: &mut Peer,
        away: bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Attempt {
        let events: Vec<Event> = match &self.batch {
            Some(taken) => taken.events.iter().take(taken.at_once).cloned().collect(),
            None => Vec::new(),
        };
        let outlet = Arc::clone(&self.outlet);
        let mut relief = self.may_spool();
        let sending = peer.send(&events);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                biased;
                () = told(stop) => return Attempt::Stopped,
                verdict = &mut sending => return Attempt::Told(verdict),
                () = outlet.queue.crowded(away), if relief => relief = self.relieve().await,
            }
        }
    }

    /// Waits out a pause while the queue goes to disk; false if told to stop.
    async fn pause(&mut self, until: Instant, stop: &mut watch::Receiver<bool>) -> bool {
        let outlet = Arc::clone(&self.outlet);
        let mut relief = self.may_spool();
        loop {
            tokio::select! {
                biased;
                () = told(stop) => return false,
                () = sleep_until(until) => return true,
                () = outlet.queue.crowded(true), if relief => relief = self.relieve().await,
            }
        }
    }

    /// Enters what the peer said. Returns what is to be waited for, if anything has to be sent again.
    async fn settle(&mut self, verdict: Verdict) -> Option<Failure> {
        let mut taken = self.batch.take()?;
        let (fates, wait, truncated) = match verdict {
            Verdict::Judged { fates, wait, truncated } => (fates, wait, truncated),
            Verdict::Away { problem, wait } => {
                self.batch = Some(taken);
                return Some(Failure { problem, wait });
            }
        };
        let rest = taken.events.split_off(taken.at_once.min(taken.events.len()));
        let sent = taken.events.len();
        let mut sorted = Sorted::of(taken.events, fates);
        let outlet = &self.outlet;
        outlet.ledger.moved(Place::Waiting, Place::Delivered, sorted.delivered);
        outlet.drop_from(Place::Waiting, DropReason::Refused, sorted.refused, &sorted.why);
        if truncated > 0 {
            outlet.ledger.change(|account| account.truncated += truncated);
            outlet.tell_seldom("truncated", "events are cut to `maxDatagramBytes`");
        }
        sorted.again.extend(rest);
        if sorted.again.is_empty() {
            if taken.spooled_at.is_some() {
                self.with_spool(Spool::done).await;
            }
            return None;
        }
        if sorted.too_large {
            taken.at_once = (sent / 2).max(1);
        }
        taken.events = sorted.again;
        self.batch = Some(taken);
        sorted.problem.map(|problem| Failure { problem, wait })
    }

    /// A batch that failed and is in memory alone goes to disk as well, unless newer events are there before it.
    async fn keep_safe(&mut self) {
        let (Some(taken), Some(spool)) = (&self.batch, &self.spool) else { return };
        if !self.may_spool() || taken.spooled_at.is_some() || !spool.is_empty() {
            return;
        }
        let events = taken.events.clone();
        let kept = self
            .with_spool(move |spool| {
                let whole = spool.append(&events)? == (0, 0);
                let place = spool.place();
                // They are being sent, and count as waiting.
                spool.take(usize::MAX, usize::MAX)?;
                if !whole {
                    // More than the spool may hold: half of them would be sent twice.
                    spool.done()?;
                }
                Ok(whole.then_some(place))
            })
            .await;
        if let Some(taken) = &mut self.batch {
            taken.spooled_at = kept.flatten();
        }
    }

    /// Brings the queue to disk; false if that failed.
    async fn relieve(&mut self) -> bool {
        let events = self.outlet.queue.take(usize::MAX, usize::MAX);
        match self.spool_all(events).await {
            Ok(()) => true,
            Err(events) => {
                self.outlet.queue.put_back(events);
                false
            }
        }
    }

    /// Enters `events`, which are waiting, into the spool; gives them back if the disk does not take them.
    async fn spool_all(&mut self, events: Vec<Event>) -> Result<(), Vec<Event>> {
        if !self.may_spool() {
            return Err(events);
        }
        let count = events.len() as u64;
        let events = Arc::new(events);
        let written = Arc::clone(&events);
        let Some((dropped, left_out)) = self.with_spool(move |spool| spool.append(&written)).await
        else {
            return Err(Arc::unwrap_or_clone(events));
        };
        let outlet = &self.outlet;
        outlet.ledger.moved(Place::Waiting, Place::Spooled, count - left_out);
        outlet.drop_from(Place::Waiting, DropReason::SpoolFull, left_out, "larger than the spool");
        outlet.drop_from(Place::Spooled, DropReason::SpoolFull, dropped, "");
        Ok(())
    }

    /// Leaves what is not delivered on disk for the next run; without a spool it is dropped. The queue must be closed.
    pub(crate) async fn park(mut self) {
        let mut left = Vec::new();
        if let Some(taken) = self.batch.take() {
            let count = taken.events.len() as u64;
            match (taken.spooled_at, &self.spool) {
                (Some(place), Some(spool)) if spool.holds(place) => {
                    self.outlet.ledger.moved(Place::Waiting, Place::Spooled, count);
                }
                // The spool has given them up for newer ones while they were being sent.
                (Some(_), Some(_)) => {
                    self.outlet.drop_from(Place::Waiting, DropReason::SpoolFull, count, "");
                }
                _ => left = taken.events,
            }
        }
        left.extend(self.outlet.queue.take(usize::MAX, usize::MAX));
        if !left.is_empty()
            && let Err(lost) = self.spool_all(left).await
        {
            self.outlet.drop_from(Place::Waiting, DropReason::Ended, lost.len() as u64, "");
        }
        self.with_spool(Spool::sync).await;
    }

    /// Runs `work` where it may wait for the disk. `None` if there is no spool or the disk has refused, which is told.
    async fn with_spool<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spool) -> std::io::Result<T> + Send + 'static,
    ) -> Option<T> {
        let mut spool = self.spool.take()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut spool);
            (spool, result)
        });
        // Fails only if the spool's own code panics, or while the runtime ends.
        let (spool, result) = done.await.ok()?;
        self.outlet.ledger.change(|account| account.spool_bytes = spool.bytes());
        self.spool = Some(spool);
        result
            .inspect_err(|error| {
                self.outlet.tell_seldom("disk", &format!("its spool cannot be used: {error}"));
            })
            .ok()
    }

    fn away(&self, since: &mut Option<Instant>, problem: &str) {
        let known = self.outlet.ledger.change(|account| {
            account.failures += 1;
            std::mem::replace(&mut account.problem, problem.to_owned())
        });
        if since.is_none() || known != problem {
            let to = &self.config.endpoint;
            self.outlet.tell_seldom("away", &format!("{to} takes no events now: {problem}"));
        }
        since.get_or_insert_with(Instant::now);
    }

    fn back(&self, since: &mut Option<Instant>) {
        if let Some(since) = since.take() {
            self.outlet.ledger.change(|account| account.problem.clear());
            let seconds = since.elapsed().as_secs();
            let to = &self.config.endpoint;
            self.outlet.tell_seldom("back", &format!("{to} takes events again, after {seconds} s"));
        }
    }
}

/// A batch by what its peer said of each event.
#[derive(Default)]
struct Sorted {
    delivered: u64,
    refused: u64,
    /// The last reason of a refusal.
    why: String,
    again: Vec<Event>,
    /// The last reason why some come again, unless it is their size alone.
    problem: Option<String>,
    too_large: bool,
}

impl Sorted {
    fn of(events: Vec<Event>, fates: Vec<Fate>) -> Self {
        let alone = events.len() == 1;
        let mut sorted = Self::default();
        // A peer that judges fewer than it was sent leaves the others as they were.
        let silent = || Fate::Again("the answer does not speak of it".to_owned());
        for (event, fate) in events.into_iter().zip(fates.into_iter().chain(repeat_with(silent))) {
            match fate {
                Fate::Delivered => sorted.delivered += 1,
                Fate::Refused(reason) => {
                    sorted.refused += 1;
                    sorted.why = reason;
                }
                Fate::TooLarge if alone => {
                    sorted.refused += 1;
                    "too large".clone_into(&mut sorted.why);
                }
                Fate::TooLarge => {
                    sorted.too_large = true;
                    sorted.again.push(event);
                }
                Fate::Again(reason) => {
                    sorted.problem = Some(reason);
                    sorted.again.push(event);
                }
            }
        }
        sorted
    }
}

struct Failure {
    problem: String,
    wait: Option<std::time::Duration>,
}

/// Returns once `stop` says true, or nobody is left to say it.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
