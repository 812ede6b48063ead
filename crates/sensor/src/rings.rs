//! The rings: what the programs report, in the order in which it is safe to look at it.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Programs that governed tasks have started.
    Programs,
    Alerts,
    Logs,
}

/// What is to be done after a message was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Next,
    /// Of logs: there is no room. It is shown again later, and the kernel keeps or counts what comes meanwhile.
    Later,
    End,
}

/// Logs that are taken before alerts are looked after again.
const LOGS_AT_ONCE: usize = 256;
/// Messages of an earlier run that are taken before they are shown.
const LEFT_AT_ONCE: usize = 256;
/// Nobody is woken for a log. A wake-up for an alert that was missed costs at most this long, too.
const IDLE: Duration = Duration::from_millis(100);
/// Until there may be room for logs again.
const NO_ROOM: Duration = Duration::from_millis(2);

/// Reads all rings. Meant for a thread of its own.
#[derive(Debug)]
pub struct Reader {
    pub(crate) programs: MapHandle,
    pub(crate) alerts: MapHandle,
    pub(crate) logs: MapHandle,
}

type Messages = RefCell<VecDeque<Vec<u8>>>;

/// Who is shown what the rings hold.
pub trait Witness {
    /// One message. The bytes are those of a [`wire::Record`].
    fn see(&mut self, ring: Ring, message: &[u8]) -> Then;

    /// All alerts and programs have been seen that were in the rings when this was last asked. Called again after a
    /// tenth of a second at the latest.
    fn seen_all(&mut self) -> Then;
}

impl Reader {
    /// Shows every message to `witness` until it wants no more. An alert or a log comes after the report of the program
    /// that caused it: they are taken first and shown last, so all programs reported before them have been shown.
    ///
    /// # Errors
    /// The rings could not be set up; nothing has been read.
    pub fn run(self, witness: &mut impl Witness) -> Result<(), libbpf_rs::Error> {
        let (alerts, programs, logs) =
            (Messages::default(), Messages::default(), Messages::default());
        let alert_ring = ring(&self.alerts, &alerts)?;
        let program_ring = ring(&self.programs, &programs)?;
        let log_ring = ring(&self.logs, &logs)?;
        let mut pause = IDLE;
        loop {
            wait(&[&alert_ring, &program_ring], pause);
            if logs.borrow().is_empty() {
                log_ring.consume_raw_n(LOGS_AT_ONCE);
            }
            alert_ring.consume()?;
            program_ring.consume()?;
            let full = logs.borrow().len() >= LOGS_AT_ONCE;
            for (ring, messages) in
                [(Ring::Programs, &programs), (Ring::Alerts, &alerts), (Ring::Logs, &logs)]
            {
                let sink = &mut |ring, message: &[u8]| witness.see(ring, message);
                if show(ring, messages, sink) == Then::End {
                    return Ok(());
                }
            }
            if witness.seen_all() == Then::End {
                return Ok(());
            }
            pause = match (logs.borrow().is_empty(), full) {
                (true, false) => IDLE,
                (true, true) => Duration::ZERO,
                (false, _) => NO_ROOM,
            };
        }
    }
}

/// Shows messages in their order; what is refused for now stays.
fn show(ring: Ring, messages: &Messages, sink: &mut impl FnMut(Ring, &[u8]) -> Then) -> Then {
    let mut messages = messages.borrow_mut();
    while let Some(message) = messages.front() {
        match sink(ring, message) {
            Then::Next => messages.pop_front(),
            stop => return stop,
        };
    }
    Then::Next
}

/// Shows all that is in a ring which nobody fills any more.
pub(crate) fn show_all(
    kind: Ring,
    map: &MapHandle,
    sink: &mut impl FnMut(Ring, &[u8]) -> Then,
) -> Result<Then, libbpf_rs::Error> {
    let messages = Messages::default();
    let ring = ring(map, &messages)?;
    loop {
        ring.consume_raw_n(LEFT_AT_ONCE);
        if messages.borrow().is_empty() {
            return Ok(Then::Next);
        }
        match show(kind, &messages, sink) {
            Then::Next => {}
            stop => return Ok(stop),
        }
    }
}

fn ring<'a>(map: &'a MapHandle, into: &'a Messages) -> Result<RingBuffer<'a>, libbpf_rs::Error> {
    let mut builder = RingBufferBuilder::new();
    builder.add(map, |bytes| {
        into.borrow_mut().push_back(bytes.to_vec());
        0
    })?;
    builder.build()
}

#[expect(unsafe_code, reason = "libbpf hands out its epoll descriptor as a number")]
fn wait(rings: &[&RingBuffer<'_>; 2], limit: Duration) {
    // SAFETY: the descriptors belong to the ring buffers, which outlive this call.
    let fds = rings.map(|ring| unsafe { std::os::fd::BorrowedFd::borrow_raw(ring.epoll_fd()) });
    let mut fds = [PollFd::new(&fds[0], PollFlags::IN), PollFd::new(&fds[1], PollFlags::IN)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
    // An interrupted wait is as good as an ended one.
    let _ = poll(&mut fds, Some(&timeout));
}
