//! Those who watch one stream: a bounded queue each, and the exact number of what each one missed.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use telemetry::Delivery;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::Stream;
use tonic::Status;

use crate::kept::{Keep, Kept, Numbered};

/// A slow listener is told of at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What streams carry.
pub(crate) trait Item: Clone + prost::Message {
    /// Writes its number into it, for clients that ask for numbers.
    fn number(&mut self, sequence: u64);

    /// The container that it is about, or the node if it is about none.
    fn whose(&self) -> &str;

    /// The name of the node that it comes from.
    fn node(&self) -> &str;
}

/// While more than half of a queue is taken, no workload has more of it than this part: a flood in one container costs no
/// other an item.
const SHARE_OF_QUEUE: usize = 128;
/// While more than three quarters are taken, no node has more of it than this part, where items of several nodes come together.
const SHARE_OF_NODE: usize = 32;

/// How many items of each workload, and of each node, wait in one queue.
struct Shares(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    workloads: HashMap<String, usize>,
    /// `None`: all items are of one node.
    nodes: Option<HashMap<String, usize>>,
}

impl Shares {
    fn new(many_nodes: bool) -> Self {
        let nodes = many_nodes.then(HashMap::new);
        Self(Mutex::new(Counts { nodes, ..Counts::default() }))
    }

    /// Whether the item's workload or node has all that it may have of a queue of `size`, of which so much is free.
    fn are_used_up<T: Item>(&self, item: &T, free: usize, size: usize) -> bool {
        if free >= size / 2 {
            return false;
        }
        let counts = self.counts();
        let of =
            |counts: &HashMap<String, usize>, key| counts.get(key).copied().unwrap_or_default();
        let node = counts.nodes.as_ref().filter(|_| free < size / 4);
        of(&counts.workloads, item.whose()) >= (size / SHARE_OF_QUEUE).max(1)
            || node.is_some_and(|nodes| of(nodes, item.node()) >= (size / SHARE_OF_NODE).max(1))
    }

    fn enter<T: Item>(&self, item: &T) {
        let mut counts = self.counts();
        enter(&mut counts.workloads, item.whose());
        if let Some(nodes) = &mut counts.nodes {
            enter(nodes, item.node());
        }
    }

    fn leave<T: Item>(&self, item: &T) {
        let mut counts = self.counts();
        leave(&mut counts.workloads, item.whose());
        if let Some(nodes) = &mut counts.nodes {
            leave(nodes, item.node());
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enter(counts: &mut HashMap<String, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    } else {
        counts.insert(key.to_owned(), 1);
    }
}

fn leave(counts: &mut HashMap<String, usize>, key: &str) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => drop(counts.remove(key)),
        None => {}
    }
}

/// What a watching client reads from.
pub struct Watch<T> {
    /// What a client that came back has not seen; before the queue.
    backlog: VecDeque<Numbered<T>>,
    queue: mpsc::Receiver<Numbered<T>>,
    shares: Arc<Shares>,
    /// The client knows what to do with numbers.
    numbers: bool,
    /// Of all listeners to the same: items that nobody has read.
    waiting: Arc<AtomicU64>,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// It carries what comes behind this item.
    pub behind: u64,
    /// Items that the client has not seen and that are not kept any more.
    pub missed: u64,
}

impl<T> Watch<T> {
    /// A stream that ends at once, which is the answer to a filter that wants nothing of this kind.
    pub(crate) fn nothing() -> Self {
        let queue = mpsc::channel(1).1;
        let shares = Arc::new(Shares::new(false));
        Self { backlog: VecDeque::new(), queue, shares, numbers: false, waiting: Arc::default() }
    }
}

impl<T: Item> Stream for Watch<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = if let Some(next) = self.backlog.pop_front() {
            Some(next)
        } else {
            let next = ready!(self.queue.poll_recv(context));
            if let Some((_, item)) = &next {
                self.shares.leave(&**item);
            }
            next
        };
        let Some((sequence, item)) = next else { return Poll::Ready(None) };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut item = Arc::unwrap_or_clone(item);
        if self.numbers {
            item.number(sequence);
        }
        Poll::Ready(Some(Ok(item)))
    }
}

impl<T> Drop for Watch<T> {
    /// A client that has left reads nothing any more.
    fn drop(&mut self) {
        self.queue.close();
        let mut unread = self.backlog.len() as u64;
        while self.queue.try_recv().is_ok() {
            unread += 1;
        }
        self.waiting.fetch_sub(unread, Ordering::Relaxed);
    }
}

pub(crate) struct Listeners<T> {
    /// As notices call what is queued: `alerts`.
    what: &'static str,
    capacity: usize,
    many_nodes: bool,
    /// `None` once closed.
    open: Mutex<Option<Open<T>>>,
    dropped: AtomicU64,
    waiting: Arc<AtomicU64>,
}

struct Open<T> {
    list: Vec<Listener<T>>,
    kept: Kept<T>,
}

struct Listener<T> {
    peer: String,
    queue: mpsc::Sender<Numbered<T>>,
    shares: Arc<Shares>,
    /// Missed since it was last told.
    missed: u64,
    told: Option<Instant>,
}

/// The listeners of one stream at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCounts {
    /// `alerts`, `logs` or `messages`.
    pub name: &'static str,
    pub listeners: usize,
    /// Items on their way to them.
    pub waiting: u64,
    /// Items that they missed, each counted per listener.
    pub missed: u64,
}

/// What became of one item.
#[must_use]
pub(crate) struct Published {
    pub delivery: Delivery,
    /// Texts about listeners that are too slow.
    pub notices: Vec<String>,
}

impl<T: Item> Listeners<T> {
    pub(crate) fn new(what: &'static str, capacity: usize, keep: Keep, many_nodes: bool) -> Self {
        Self {
            what,
            capacity: capacity.max(1),
            many_nodes,
            open: Mutex::new(Some(Open { list: Vec::new(), kept: Kept::new(keep) })),
            dropped: AtomicU64::new(0),
            waiting: Arc::default(),
        }
    }

    /// A new listener. After [`Listeners::close`] its stream is at its end.
    pub(crate) fn watch(&self, peer: String) -> Watch<T> {
        self.join(peer, false, None).0
    }

    /// A listener that asks for numbers, from behind the item that it has seen last, or from now on.
    pub(crate) fn watch_behind(&self, peer: String, seen: Option<u64>) -> (Watch<T>, Beginning) {
        self.join(peer, true, seen)
    }

    fn join(&self, peer: String, numbers: bool, seen: Option<u64>) -> (Watch<T>, Beginning) {
        let (queue, watch) = mpsc::channel(self.capacity);
        let shares = Arc::new(Shares::new(self.many_nodes));
        let (mut backlog, mut beginning) = (VecDeque::new(), Beginning { behind: 0, missed: 0 });
        // At once: what is published meanwhile is in the one or the other.
        if let Some(open) = &mut *self.lock() {
            beginning.behind = open.kept.last();
            if let Some(seen) = seen {
                (backlog, beginning.missed) = open.kept.after(seen);
                beginning.behind -= backlog.len() as u64;
            }
            let shares = Arc::clone(&shares);
            open.list.push(Listener { peer, queue, shares, missed: 0, told: None });
        }
        self.waiting.fetch_add(backlog.len() as u64, Ordering::Relaxed);
        let waiting = Arc::clone(&self.waiting);
        (Watch { backlog, queue: watch, shares, numbers, waiting }, beginning)
    }

    /// Whether anybody would get what is published now.
    pub(crate) fn any(&self) -> bool {
        let open = self.lock();
        open.as_ref().is_some_and(|open| open.list.iter().any(|one| !one.queue.is_closed()))
    }

    /// Never waits: who has no room misses the item, and so does everybody once the streams are closed.
    pub(crate) fn publish(&self, item: T) -> Published {
        let mut published = Published { delivery: Delivery::Complete, notices: Vec::new() };
        let mut dropped = 0;
        let mut open = self.lock();
        let Some(open) = &mut *open else {
            return Published { delivery: Delivery::Incomplete, notices: Vec::new() };
        };
        let item = Arc::new(item);
        let sequence = open.kept.push(&item, prost::Message::encoded_len);
        open.list.retain_mut(|listener| {
            // Before it is sent: who reads it counts it down.
            self.waiting.fetch_add(1, Ordering::Relaxed);
            match listener.offer(sequence, &item) {
                Ok(()) => {}
                Err(Refused::Left) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    return false;
                }
                Err(Refused::NoRoom) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    published.delivery = Delivery::Incomplete;
                    listener.missed += 1;
                    dropped += 1;
                }
            }
            published.notices.extend(listener.notice(self.what));
            true
        });
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        published
    }

    /// Items missed by all listeners together.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Items that are on their way to listeners.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> StreamCounts {
        // Those that have left are noticed at the next item.
        let here = |open: &Open<T>| open.list.iter().filter(|l| !l.queue.is_closed()).count();
        let listeners = self.lock().as_ref().map_or(0, here);
        StreamCounts { name: self.what, listeners, waiting: self.waiting(), missed: self.dropped() }
    }

    /// Ends every stream behind what is queued already.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a listener does not get an item.
enum Refused {
    Left,
    /// In the queue, or in its workload's share of it.
    NoRoom,
}

impl<T: Item> Listener<T> {
    fn offer(&self, sequence: u64, item: &Arc<T>) -> Result<(), Refused> {
        let (free, size) = (self.queue.capacity(), self.queue.max_capacity());
        if self.shares.are_used_up(&**item, free, size) {
            return if self.queue.is_closed() { Err(Refused::Left) } else { Err(Refused::NoRoom) };
        }
        // Before it is sent: who reads it gives its place back.
        self.shares.enter(&**item);
        self.queue.try_send((sequence, Arc::clone(item))).map_err(|refused| {
            self.shares.leave(&**item);
            match refused {
                TrySendError::Closed(_) => Refused::Left,
                TrySendError::Full(_) => Refused::NoRoom,
            }
        })
    }

    fn notice(&mut self, what: &str) -> Option<String> {
        if self.missed == 0 || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        let missed = std::mem::take(&mut self.missed);
        self.told = Some(Instant::now());
        Some(format!("client {} is too slow: it missed {missed} {what}", self.peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::feeder::Log;

    const KEEP: Keep = Keep { items: 3, bytes: 1 << 20 };

    fn log(pid: i32) -> Log {
        Log { pid, ..Log::default() }
    }

    #[test]
    fn whoever_comes_back_gets_what_was_kept_before_what_comes() {
        let listeners = Listeners::new("logs", 8, KEEP, false);
        for number in 1..=5 {
            let _ = listeners.publish(log(number));
        }
        let (mut watch, beginning) = listeners.watch_behind("peer".into(), Some(1));
        assert_eq!(beginning, Beginning { behind: 2, missed: 1 });
        assert_eq!(listeners.waiting(), 3);
        let _ = listeners.publish(log(6));
        for number in 3..=6 {
            let item = next_item(&mut watch).unwrap();
            assert_eq!((item.pid, item.sequence), (number, u64::try_from(number).unwrap()));
        }
        assert_eq!(listeners.waiting(), 0);
        drop(listeners.watch_behind("peer".into(), Some(0)));
        assert_eq!(listeners.waiting(), 0, "a backlog that nobody reads waits no more");
        let (_watch, beginning) = listeners.watch_behind("new".into(), None);
        assert_eq!(beginning, Beginning { behind: 6, missed: 0 });
    }

    #[test]
    fn numbers_are_for_those_who_ask() {
        let listeners = Listeners::new("logs", 8, KEEP, false);
        let mut watch = listeners.watch("peer".into());
        let _ = listeners.publish(log(1));
        assert_eq!(next_item(&mut watch), Some(log(1)));
    }

    #[test]
    fn a_full_queue_drops_counts_and_tells() {
        let listeners = Listeners::new("alerts", 2, KEEP, false);
        let mut watch = listeners.watch("peer".into());
        assert_eq!(listeners.publish(log(1)).delivery, Delivery::Complete);
        assert_eq!(listeners.publish(log(2)).delivery, Delivery::Complete);
        let third = listeners.publish(log(3));
        assert_eq!(third.delivery, Delivery::Incomplete);
        assert_eq!(third.notices, ["client peer is too slow: it missed 1 alerts"]);
        assert!(listeners.publish(log(4)).notices.is_empty(), "told a moment ago");
        assert_eq!(listeners.dropped(), 2);
        assert_eq!(listeners.waiting(), 2);
        assert_eq!(next(&mut watch), Some(1));
        assert_eq!(listeners.waiting(), 1);
        drop(watch);
        assert_eq!(listeners.waiting(), 0, "nobody is there to read");
    }

    #[test]
    fn a_flood_of_one_workload_leaves_room_for_others() {
        let of = |container: &str| Log { container_id: container.into(), ..Log::default() };
        let listeners = Listeners::new("logs", 8, KEEP, false);
        let mut watch = listeners.watch("peer".into());
        for _ in 0..20 {
            let _ = listeners.publish(of("noisy"));
        }
        assert_eq!((listeners.waiting(), listeners.dropped()), (5, 15));
        for container in ["quiet", "other"] {
            assert_eq!(listeners.publish(of(container)).delivery, Delivery::Complete);
        }
        assert_eq!(
            listeners.publish(of("quiet")).delivery,
            Delivery::Incomplete,
            "it has its share"
        );
        for _ in 0..7 {
            next_item(&mut watch).unwrap();
        }
        assert!(watch.shares.counts().workloads.is_empty());
        assert_eq!(listeners.publish(of("noisy")).delivery, Delivery::Complete);
    }

    /// With a workload for each item, so that shares of workloads stop nothing.
    #[test]
    fn a_flood_of_one_node_leaves_room_for_others() {
        let of = |node: &str, number: usize| Log {
            host_name: node.into(),
            container_id: format!("{node}-{number}"),
            ..Log::default()
        };
        let listeners = Listeners::new("logs", 64, KEEP, true);
        let mut watch = listeners.watch("peer".into());
        for number in 0..200 {
            let _ = listeners.publish(of("noisy", number));
        }
        assert_eq!((listeners.waiting(), listeners.dropped()), (49, 151));
        for number in 0..2 {
            assert_eq!(listeners.publish(of("quiet", number)).delivery, Delivery::Complete);
        }
        assert_eq!(listeners.publish(of("quiet", 2)).delivery, Delivery::Incomplete);
        for _ in 0..51 {
            next_item(&mut watch).unwrap();
        }
        assert!(watch.shares.counts().nodes.as_ref().unwrap().is_empty());
    }

    /// What a client reads without waiting; `None` at the stream's end.
    fn next(watch: &mut Watch<Log>) -> Option<i32> {
        next_item(watch).map(|item| item.pid)
    }

    fn next_item(watch: &mut Watch<Log>) -> Option<Log> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(watch).poll_next(&mut context) {
            Poll::Ready(item) => item.map(Result::unwrap),
            Poll::Pending => panic!("nothing to read"),
        }
    }

    #[test]
    fn a_listener_that_left_is_no_loss() {
        let listeners = Listeners::new("alerts", 1, KEEP, false);
        drop(listeners.watch("peer".into()));
        assert_eq!(listeners.publish(log(1)).delivery, Delivery::Complete);
        assert_eq!(listeners.dropped(), 0);
    }

    #[test]
    fn after_closing_a_stream_is_at_its_end() {
        let listeners = Listeners::<Log>::new("alerts", 1, KEEP, false);
        listeners.close();
        assert_eq!(next(&mut listeners.watch("peer".into())), None);
        assert_eq!(listeners.publish(log(1)).delivery, Delivery::Incomplete, "nobody will have it");
    }
}
