//! Reads an image as the kernel does.

use ruleset::{Access, AccessObject, Class, DecidedBy, Decision, FileOperation};

use crate::{
    layout::{
        self, ARG_SET_WORDS, CAPABILITIES, ROW_CLASS_MASK, ROW_FUTURE, ROW_MULTICALL, RULE_NONE,
        RULE_POSTURE, SYSCALL_OPENS, at, step,
    },
    socket_class,
};

const UNTOUCHED: Decision = Decision { permitted: true, by: None, alert: None };

/// Decides one access from the words of an image alone.
pub fn interpret(words: &[u32], access: &Access<'_>) -> Decision {
    let image = Words(words);
    let source = access.subject.map_or(0, |path| image.source_class(path));
    let Some(class) = access.object.class() else { return UNTOUCHED };
    let (table, index) = match &access.object {
        AccessObject::Execute { path, .. } => {
            (at::EXEC, path.map_or(0, |path| image.path_class(path)))
        }
        AccessObject::File { path, operation: FileOperation::Change } => {
            (at::CHANGE, image.path_class(path))
        }
        AccessObject::File { path, .. } => (at::READ, image.path_class(path)),
        AccessObject::Socket(socket) => match socket_class(*socket) {
            Some(class) => (at::SOCKET, class),
            None => return UNTOUCHED,
        },
        AccessObject::Capability(number) => (at::CAPABILITY, u32::from(*number)),
        AccessObject::Preset(preset) => (at::PRESET, layout::preset(*preset)),
        AccessObject::Dns(Some(name)) => (at::DNS, image.name_class(name)),
        AccessObject::Dns(None) => return image.unreadable(source, access),
        AccessObject::Syscall { name, path } => return image.syscall(name, *path, source, access),
    };
    let beyond = table == at::CAPABILITY && index as usize >= CAPABILITIES;
    if image.header(table) == 0 || beyond {
        return UNTOUCHED;
    }
    let line = image.word(image.header(table) + index);
    image.judge(line, source, class, access)
}

/// The rule that forbids to give an object another name, or to exchange it with what bears that name: `RULE_NONE` if
/// none does. Says nothing about the plain changes that a rename or a link is, too.
pub fn interpret_move(words: &[u32], from: &[u8], to: &[u8], directory: bool) -> u32 {
    let image = Words(words);
    let start = image.header(at::START);
    let rows = [from, to].map(|path| image.row_from(start, path));
    let table = image.header(at::SIGNATURES);
    if table == 0 {
        return RULE_NONE;
    }
    let classes = rows.map(|row| image.word(row) & ROW_CLASS_MASK);
    let [old, new] = classes.map(|class| image.word(table + 2 * class));
    let rule = image.word(table + 2 * classes[0] + 1);
    if old != new && rule != RULE_NONE {
        return rule;
    }
    if !directory && image.word(rows[0]) & ROW_MULTICALL == 0 {
        return RULE_NONE;
    }
    let [old, new] = rows.map(|row| image.word(image.row_from(row, b"/") + ROW_FUTURE));
    let rules =
        |future: u32| [0, 1].map(|kind| image.word(image.header(at::FUTURES) + 2 * future + kind));
    match rules(old)[0] {
        _ if old == new => RULE_NONE,
        RULE_NONE if directory => rules(new)[1],
        rule => rule,
    }
}

/// The row behind a path.
pub(crate) fn row(words: &[u32], path: &[u8]) -> u32 {
    let image = Words(words);
    image.row_from(image.header(at::START), path)
}

struct Words<'w>(&'w [u32]);

impl Words<'_> {
    fn word(&self, index: u32) -> u32 {
        self.0[index as usize]
    }

    fn header(&self, index: usize) -> u32 {
        self.0[index]
    }

    fn source_class(&self, path: &[u8]) -> u32 {
        self.word(self.header(at::SOURCES) + self.path_class(path))
    }

    fn path_class(&self, path: &[u8]) -> u32 {
        self.class_from(self.header(at::START), path)
    }

    fn class_from(&self, start: u32, text: &[u8]) -> u32 {
        self.word(self.row_from(start, text)) & ROW_CLASS_MASK
    }

    fn row_from(&self, start: u32, text: &[u8]) -> u32 {
        text.iter().fold(start, |row, &byte| {
            let map = self.word(self.header(at::BYTECLASS) + u32::from(byte / 4));
            self.word(row + (map >> (8 * (byte % 4)) & 0xff))
        })
    }

    /// Of a DNS name; 0 where the image has no rules on such.
    fn name_class(&self, name: &[u8]) -> u32 {
        if name.is_empty() || self.header(at::DNS) == 0 {
            return 0;
        }
        let folded = std::iter::once(b'.').chain(name.iter().map(|byte| match byte {
            0 | b'/' => u8::MAX,
            byte => byte.to_ascii_lowercase(),
        }));
        self.class_from(self.header(at::DNS_START), &folded.collect::<Vec<_>>())
    }

    fn unreadable(&self, source: u32, access: &Access<'_>) -> Decision {
        match self.header(at::DNS_UNREADABLE) {
            0 => UNTOUCHED,
            line => self.judge(line, source, Class::Dns, access),
        }
    }

    fn syscall(
        &self,
        name: &str,
        path: Option<&[u8]>,
        source: u32,
        access: &Access<'_>,
    ) -> Decision {
        let table = self.header(if path.is_some() { at::SYSCALL_PATH } else { at::SYSCALL });
        let Some(number) = policy::syscall::index(name).filter(|_| table != 0) else {
            return UNTOUCHED;
        };
        let entry = self.word(table + u32::from(number));
        let line = match path {
            None => entry,
            Some(_) if entry == 0 => return UNTOUCHED,
            Some(path) => self.word((entry & !SYSCALL_OPENS) + self.path_class(path)),
        };
        self.judge(line, source, Class::Syscalls, access)
    }

    fn judge(&self, line: u32, source: u32, class: Class, access: &Access<'_>) -> Decision {
        match self.word(line + source) {
            0 => UNTOUCHED,
            plan => self.walk(plan, class, access),
        }
    }

    fn walk(&self, plan: u32, class: Class, access: &Access<'_>) -> Decision {
        let counts = self.word(plan);
        let (verdicts, audits) = (counts & 0xffff, counts >> 16);
        let step_at = |index: u32| {
            let words = [0, 1].map(|word| self.word(plan + 1 + 2 * index + word));
            self.holds(words[0], access).then_some(words)
        };
        let decision = match (0..verdicts).find_map(step_at) {
            Some(words) => outcome(words, class),
            None => UNTOUCHED,
        };
        if matches!(access.object, AccessObject::File { operation: FileOperation::Metadata, .. }) {
            let by_rule = matches!(decision.by, Some(DecidedBy::Rule(_)));
            return if by_rule { decision } else { UNTOUCHED };
        }
        match (verdicts..verdicts + audits).find_map(step_at) {
            Some([_, rule]) if decision.permitted => {
                Decision { alert: Some(DecidedBy::Rule(rule)), ..decision }
            }
            _ => decision,
        }
    }

    fn holds(&self, conditions: u32, access: &Access<'_>) -> bool {
        let wanted = |bit: u32| conditions & bit != 0;
        let set = conditions >> step::ARG_SET_SHIFT;
        (!wanted(step::IF_OWNER) || access.owner)
            && (!wanted(step::IF_NOT_OWNER) || !access.owner)
            && (!wanted(step::IF_TERMINAL) || access.terminal)
            && (!wanted(step::IF_ARGS_IN) || self.arguments_in(set, access))
            && (!wanted(step::IF_ARGS_NOT_IN) || !self.arguments_in(set, access))
    }

    fn arguments_in(&self, set: u32, access: &Access<'_>) -> bool {
        let AccessObject::Execute { args, .. } = &access.object else { return true };
        args.iter().all(|arg| {
            let class = self.class_from(self.header(at::ARG_START), arg) as usize;
            let bitmap = self.header(at::ARG_SETS) as usize + set as usize * ARG_SET_WORDS;
            class != 0 && self.0[bitmap + class / 32] >> (class % 32) & 1 == 1
        })
    }
}

fn outcome([bits, rule]: [u32; 2], class: Class) -> Decision {
    let by = match rule {
        RULE_NONE => None,
        RULE_POSTURE => Some(DecidedBy::Posture(class)),
        rule => Some(DecidedBy::Rule(rule)),
    };
    let permitted = bits & step::DENY == 0;
    let alert = if bits & (step::DENY | step::ALERT) == 0 { None } else { by };
    Decision { permitted, by, alert }
}
