//! Reads an image as the kernel does.

use ruleset::{Access, AccessObject, Class, DecidedBy, Decision, FileOperation};

use crate::{
    layout::{
        self, ARG_SET_WORDS, CAPABILITIES, NAME_PIECE, ROW_CLASS_MASK, ROW_DEFAULT, ROW_FUTURE,
        ROW_INSIDE, ROW_LENGTH, ROW_MULTICALL, ROW_PLACE, ROW_SEEDS, ROW_SHAPE, ROW_SINK,
        ROW_SLASH, ROW_TABLE, RULE_NONE, RULE_POSTURE, SYSCALL_OPENS, at, step,
    },
    name_hash, socket_class,
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
    let rows = [from, to].map(|path| image.row_of_path(path));
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
    let [old, new] = rows.map(|row| image.word(image.word(row + ROW_SLASH) + ROW_FUTURE));
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
    Words(words).row_of_path(path)
}

struct Words<'w>(&'w [u32]);

impl Words<'_> {
    fn word(&self, index: u32) -> u32 {
        self.0[(index & ROW_PLACE) as usize]
    }

    fn header(&self, index: usize) -> u32 {
        self.0[index]
    }

    fn source_class(&self, path: &[u8]) -> u32 {
        self.word(self.header(at::SOURCES) + self.path_class(path))
    }

    fn path_class(&self, path: &[u8]) -> u32 {
        self.word(self.row_of_path(path)) & ROW_CLASS_MASK
    }

    fn row_of_path(&self, path: &[u8]) -> u32 {
        let mut row = self.header(at::START);
        for (at, name) in path.split(|&byte| byte == b'/').enumerate() {
            if at > 0 {
                row = self.word(row + ROW_SLASH);
            }
            for piece in name.chunks(NAME_PIECE) {
                row = if row & ROW_TABLE == 0 {
                    self.row_of_text(row, piece)
                } else {
                    self.row_of_piece(row, piece)
                };
            }
        }
        row
    }

    fn row_of_piece(&self, row: u32, piece: &[u8]) -> u32 {
        if row & ROW_SINK != 0 {
            return row;
        }
        let words = name_hash::words(piece);
        let hash = name_hash::hash(&words);
        let [seeds, slots] = name_hash::counts(self.word(row + ROW_SHAPE));
        let seed = self.word(row + ROW_SEEDS + name_hash::seed_index(hash, seeds));
        let slot = name_hash::slot_index(hash, seed, slots);
        let found = self.word(row + ROW_SEEDS + seeds + slot);
        let is_piece = |(at, &eight): (u32, &u64)| {
            let place = found - 2 * (at + 1);
            u64::from(self.word(place)) | u64::from(self.word(place + 1)) << 32 == eight
        };
        let is_found = found != 0
            && self.word(found + ROW_LENGTH) as usize == piece.len()
            && (0..).zip(&words).all(is_piece);
        match self.word(row + ROW_DEFAULT) {
            _ if is_found => found,
            inside if inside & ROW_INSIDE != 0 => self.row_of_text(inside, piece),
            other => other,
        }
    }

    /// By the bytes alone, through rows that are no tables.
    fn row_of_text(&self, start: u32, text: &[u8]) -> u32 {
        text.iter().fold(start, |row, &byte| {
            let map = self.word(self.header(at::BYTECLASS) + u32::from(byte / 4));
            self.word(row + (map >> (8 * (byte % 4)) & 0xff))
        })
    }

    fn class_of_text(&self, start: u32, text: &[u8]) -> u32 {
        self.word(self.row_of_text(start, text)) & ROW_CLASS_MASK
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
        self.class_of_text(self.header(at::DNS_START), &folded.collect::<Vec<_>>())
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
            let class = self.class_of_text(self.header(at::ARG_START), arg) as usize;
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
