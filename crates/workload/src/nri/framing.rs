//! Two framings, one in the other: logical connections over one socket, and ttrpc's messages in each of them.
//!
//! Bytes come in any pieces. A length that nobody has reason to send ends the session before anything is kept for it.

/// Of a ttrpc message, without its header.
const LARGEST_MESSAGE: usize = 4 << 20;
const MESSAGE_HEADER: usize = 10;
const FRAME_HEADER: usize = 8;

/// On this logical connection the runtime calls the plugin.
pub(crate) const PLUGIN: u32 = 1;
/// On this one the plugin calls the runtime.
pub(crate) const RUNTIME: u32 = 2;

/// What containerd can read at once.
pub(crate) const LONGEST_SENT: usize = 4096;

pub(crate) const REQUEST: u8 = 1;
pub(crate) const RESPONSE: u8 = 2;

/// A length beyond what anybody has reason to send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    #[error("a frame of {0} bytes, which is more than any message takes")]
    Frame(usize),
    #[error("a message of {0} bytes, more than ttrpc allows")]
    Message(usize),
}

/// Bytes of one logical connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) connection: u32,
    pub(crate) payload: Vec<u8>,
}

/// A message of ttrpc.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) stream: u32,
    pub(crate) kind: u8,
    pub(crate) data: Vec<u8>,
}

/// Frames out of the socket's bytes.
#[derive(Debug, Default)]
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        let Some(connection) = number(&self.0, 0) else { return Ok(None) };
        let Some(length) = number(&self.0, 4) else { return Ok(None) };
        let length = size(length);
        if length > MESSAGE_HEADER + LARGEST_MESSAGE {
            return Err(FramingError::Frame(length));
        }
        let payload = take(&mut self.0, FRAME_HEADER, length);
        Ok(payload.map(|payload| Frame { connection, payload }))
    }
}

/// Messages out of the bytes of one logical connection.
#[derive(Debug, Default)]
pub(crate) struct Messages(Vec<u8>);

impl Messages {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, FramingError> {
        let Some(length) = number(&self.0, 0) else { return Ok(None) };
        let length = size(length);
        if length > LARGEST_MESSAGE {
            return Err(FramingError::Message(length));
        }
        let (Some(stream), Some(&kind)) = (number(&self.0, 4), self.0.get(8)) else {
            return Ok(None);
        };
        let data = take(&mut self.0, MESSAGE_HEADER, length);
        Ok(data.map(|data| Message { stream, kind, data }))
    }
}

/// A message as one frame.
pub(crate) fn frame(connection: u32, stream: u32, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(FRAME_HEADER + MESSAGE_HEADER + data.len());
    bytes.extend(connection.to_be_bytes());
    bytes.extend(length(MESSAGE_HEADER + data.len()));
    bytes.extend(length(data.len()));
    bytes.extend(stream.to_be_bytes());
    bytes.extend([kind, 0]);
    bytes.extend_from_slice(data);
    bytes
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Removes a whole frame from the front, header and all, and returns its payload.
fn take(bytes: &mut Vec<u8>, header: usize, length: usize) -> Option<Vec<u8>> {
    let payload = bytes.get(header..header + length)?.to_vec();
    bytes.drain(..header + length);
    Some(payload)
}

/// Reads whatever bytes a runtime may send, for those who try what harms.
pub fn read_hostile(bytes: &[u8]) {
    let (mut frames, mut messages) = (Frames::default(), Messages::default());
    for piece in bytes.chunks(7) {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.next() {
            messages.push(&frame.payload);
            while let Ok(Some(message)) = messages.next() {
                super::plugin::read_hostile(&message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames) -> Vec<Frame> {
        std::iter::from_fn(|| frames.next().unwrap()).collect()
    }

    #[test]
    fn a_message_survives_any_cut() {
        let sent = frame(PLUGIN, 3, REQUEST, b"hello");
        assert_eq!(sent[..8], [0, 0, 0, 1, 0, 0, 0, 15]);
        assert_eq!(sent[8..18], [0, 0, 0, 5, 0, 0, 0, 3, 1, 0]);
        for cut in 0..=sent.len() {
            let (mut frames, mut messages) = (Frames::default(), Messages::default());
            for piece in [&sent[..cut], &sent[cut..], &sent] {
                frames.push(piece);
                for frame in all(&mut frames) {
                    assert_eq!(frame.connection, PLUGIN);
                    messages.push(&frame.payload);
                }
            }
            for _ in 0..2 {
                let message = messages.next().unwrap().unwrap();
                assert_eq!((message.stream, message.kind), (3, REQUEST));
                assert_eq!(message.data, b"hello");
            }
            assert_eq!(messages.next(), Ok(None));
        }
    }

    #[test]
    fn one_message_may_come_in_several_frames() {
        let sent = frame(PLUGIN, 1, REQUEST, &[7; 100]);
        let mut messages = Messages::default();
        for piece in sent[FRAME_HEADER..].chunks(30) {
            assert_eq!(messages.next(), Ok(None));
            messages.push(piece);
        }
        assert_eq!(messages.next().unwrap().unwrap().data, [7; 100]);
    }

    #[test]
    fn what_is_cut_off_is_not_there_yet() {
        let sent = frame(RUNTIME, 1, RESPONSE, b"hello");
        let mut frames = Frames::default();
        frames.push(&sent[..sent.len() - 1]);
        assert_eq!(frames.next(), Ok(None));
        frames.push(&sent[sent.len() - 1..]);
        assert!(frames.next().unwrap().is_some());
    }

    #[test]
    fn lengths_beyond_all_reason_are_errors_before_anything_is_kept() {
        let mut frames = Frames::default();
        frames.push(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(frames.next(), Err(FramingError::Frame(0xffff_ffff)));
        let mut messages = Messages::default();
        messages.push(&[0, 0x40, 0, 1]);
        assert_eq!(messages.next(), Err(FramingError::Message((4 << 20) + 1)));
        let mut messages = Messages::default();
        messages.push(&[0, 0x40, 0, 0]);
        assert_eq!(messages.next(), Ok(None));
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut frames = Frames::default();
        frames.push(&[0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(all(&mut frames), [Frame { connection: 9, payload: Vec::new() }]);
    }
}
