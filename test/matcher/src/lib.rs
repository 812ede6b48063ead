//! The C matcher of the BPF programs, built for the host, and generated rule sets to try it with.
#![expect(unsafe_code, reason = "calls the C matcher")]

mod compare;
pub mod dns;
mod draw;
pub mod generate;

pub use compare::{Disagreement, Outcome, compare};
pub use draw::Draw;

use compile::layout::{self, RULE_NONE, RULE_POSTURE, at, step};
use ruleset::{Access, AccessObject, Class, DecidedBy, Decision, FileOperation, Socket};

const UNTOUCHED: Decision = Decision { permitted: true, by: None, alert: None };

const DECIDED: u32 = 1;
const AUDITED: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy)]
struct Text {
    bytes: *const u8,
    size: u64,
}

impl Text {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.as_ptr(), size: bytes.len() as u64 }
    }
}

#[repr(C)]
struct Request {
    table: u32,
    object: u32,
    has_path: u32,
    has_subject: u32,
    owner: u32,
    terminal: u32,
    path: Text,
    subject: Text,
    arguments: *const Text,
    argument_count: u64,
}

#[repr(C)]
#[derive(Clone, Default)]
struct Answer {
    found: u32,
    outcome: u32,
    rule: u32,
    audit_rule: u32,
}

unsafe extern "C" {
    fn matcher_decide(image: *const u32, request: *const Request, answer: *mut Answer);
    fn matcher_move(image: *const u32, from: *const Text, to: *const Text, directory: u32) -> u32;
    fn matcher_messages(
        image: *const u32,
        request: *const Request,
        stream: u32,
        answers: *mut Answer,
        room: u32,
    ) -> u32;
    fn matcher_socket(family: u32, kind: u32, protocol: u32) -> i32;
}

/// The C matcher's class of a socket, `None` if it is never judged.
pub fn socket_class(socket: Socket) -> Option<u32> {
    let Socket { family, kind, protocol } = socket;
    // SAFETY: a pure function of three numbers.
    let class = unsafe { matcher_socket(family.into(), kind.into(), protocol.into()) };
    u32::try_from(class).ok()
}

/// Decides one access by the C matcher. The words must be those of a compiled image.
pub fn decide(image: &compile::Image, access: &Access<'_>) -> Decision {
    let Some(class) = access.object.class() else { return UNTOUCHED };
    let (table, path, object, args): (_, _, _, &[&[u8]]) = match &access.object {
        AccessObject::Execute { path, args } => (at::EXEC, *path, 0, args),
        AccessObject::File { path, operation: FileOperation::Change } => {
            (at::CHANGE, Some(*path), 0, &[])
        }
        AccessObject::File { path, .. } => (at::READ, Some(*path), 0, &[]),
        AccessObject::Socket(socket) => {
            let Some(class) = socket_class(*socket) else { return UNTOUCHED };
            (at::SOCKET, None, class, &[])
        }
        AccessObject::Capability(number) => (at::CAPABILITY, None, u32::from(*number), &[]),
        AccessObject::Preset(preset) => (at::PRESET, None, layout::preset(*preset), &[]),
        AccessObject::Dns(name) => {
            let message = dns::message(&[*name]);
            return messages(image, access, &message, false).pop().unwrap_or(UNTOUCHED);
        }
        AccessObject::Syscall { name, path } => {
            let table = if path.is_some() { at::SYSCALL_PATH } else { at::SYSCALL };
            let Some(number) = policy::syscall::index(name) else { return UNTOUCHED };
            (table, *path, number.into(), &[])
        }
    };
    let arguments: Vec<Text> = args.iter().map(|arg| Text::of(arg)).collect();
    let request = Request {
        table: u32::try_from(table).unwrap_or(0),
        object,
        has_path: path.is_some().into(),
        has_subject: access.subject.is_some().into(),
        owner: access.owner.into(),
        terminal: access.terminal.into(),
        path: Text::of(path.unwrap_or_default()),
        subject: Text::of(access.subject.unwrap_or_default()),
        arguments: arguments.as_ptr(),
        argument_count: arguments.len() as u64,
    };
    let mut answer = Answer::default();
    // SAFETY: the image is compiled, so every word it refers to is inside it; all texts outlive the call.
    unsafe { matcher_decide(image.words.as_ptr(), &raw const request, &raw mut answer) };
    let metadata =
        matches!(access.object, AccessObject::File { operation: FileOperation::Metadata, .. });
    decision(&answer, class, metadata)
}

/// The rule that forbids a rename or a link by the C matcher, as [`compile::interpret_move`] tells it.
pub fn judge_move(image: &compile::Image, from: &[u8], to: &[u8], directory: bool) -> u32 {
    let (from, to) = (Text::of(from), Text::of(to));
    // SAFETY: as above.
    unsafe { matcher_move(image.words.as_ptr(), &raw const from, &raw const to, directory.into()) }
}

/// What the C matcher makes of the names in these bytes: one datagram, or a stream of messages with their lengths.
pub fn messages(
    image: &compile::Image,
    access: &Access<'_>,
    bytes: &[u8],
    stream: bool,
) -> Vec<Decision> {
    let request = Request {
        table: 0,
        object: 0,
        has_path: 0,
        has_subject: access.subject.is_some().into(),
        owner: access.owner.into(),
        terminal: access.terminal.into(),
        path: Text::of(bytes),
        subject: Text::of(access.subject.unwrap_or_default()),
        arguments: std::ptr::null(),
        argument_count: 0,
    };
    if image.words[at::DNS] == 0 {
        return vec![];
    }
    let mut answers = vec![Answer::default(); bytes.len()];
    let room = u32::try_from(answers.len()).unwrap_or(0);
    // SAFETY: as above; there is room for as many answers as are announced.
    let count = unsafe {
        matcher_messages(
            image.words.as_ptr(),
            &raw const request,
            stream.into(),
            answers.as_mut_ptr(),
            room,
        )
    };
    answers.truncate(count as usize);
    answers.iter().map(|answer| decision(answer, Class::Dns, false)).collect()
}

fn decision(answer: &Answer, class: Class, metadata: bool) -> Decision {
    let decided = if answer.found & DECIDED == 0 { RULE_NONE } else { answer.rule };
    let by = match decided {
        RULE_NONE => None,
        RULE_POSTURE => Some(DecidedBy::Posture(class)),
        rule => Some(DecidedBy::Rule(rule)),
    };
    let permitted = answer.outcome & step::DENY == 0;
    if metadata && !matches!(by, Some(DecidedBy::Rule(_))) {
        return UNTOUCHED;
    }
    let alert = match answer.found & AUDITED {
        0 if metadata && permitted => None,
        0 if answer.outcome & (step::DENY | step::ALERT) != 0 => by,
        0 => None,
        _ if metadata => None,
        _ => Some(DecidedBy::Rule(answer.audit_rule)),
    };
    Decision { permitted, by, alert }
}
