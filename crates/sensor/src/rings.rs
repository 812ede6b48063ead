//! The rings: what the programs report, in the order in which it is safe to look at it.

use std::{cell::RefCell, time::Duration};

use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Programs that governed tasks have started.
    Programs,
    Alerts,
}

/// Reads both rings. Meant for a thread of its own.
#[derive(Debug)]
pub struct Reader {
    pub(crate) programs: MapHandle,
    pub(crate) alerts: MapHandle,
}

impl Reader {
    /// Calls `sink` with every message until it returns false. An alert comes after the report of the program that
    /// caused it: alerts are taken first and shown last, so all programs reported before them have been shown.
    ///
    /// # Errors
    /// The rings could not be set up; nothing has been read.
    pub fn run(self, mut sink: impl FnMut(Ring, &[u8]) -> bool) -> Result<(), libbpf_rs::Error> {
        let alerts = RefCell::new(Vec::<Vec<u8>>::new());
        let programs = RefCell::new(Vec::<Vec<u8>>::new());
        let alert_ring = ring(&self.alerts, &alerts)?;
        let program_ring = ring(&self.programs, &programs)?;
        loop {
            wait(&[&alert_ring, &program_ring]);
            alert_ring.consume()?;
            program_ring.consume()?;
            for message in programs.borrow_mut().drain(..) {
                if !sink(Ring::Programs, &message) {
                    return Ok(());
                }
            }
            for message in alerts.borrow_mut().drain(..) {
                if !sink(Ring::Alerts, &message) {
                    return Ok(());
                }
            }
        }
    }
}

fn ring<'a>(
    map: &'a MapHandle,
    into: &'a RefCell<Vec<Vec<u8>>>,
) -> Result<RingBuffer<'a>, libbpf_rs::Error> {
    let mut builder = RingBufferBuilder::new();
    builder.add(map, |bytes| {
        into.borrow_mut().push(bytes.to_vec());
        0
    })?;
    builder.build()
}

#[expect(unsafe_code, reason = "libbpf hands out its epoll descriptor as a number")]
fn wait(rings: &[&RingBuffer<'_>; 2]) {
    // SAFETY: the descriptors belong to the ring buffers, which outlive this call.
    let fds = rings.map(|ring| unsafe { std::os::fd::BorrowedFd::borrow_raw(ring.epoll_fd()) });
    let mut fds = [PollFd::new(&fds[0], PollFlags::IN), PollFd::new(&fds[1], PollFlags::IN)];
    // A wake-up that was missed costs at most this long; an interrupted wait is as good as an ended one.
    let limit = Duration::from_millis(200);
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
    let _ = poll(&mut fds, Some(&timeout));
}
