//! The numbers of `bpf/include/image.h` and of `layout` are the same.

use std::collections::BTreeMap;

use compile::layout::{self, at, has, step};
use policy::Preset;

/// `#define NAME NUMBER` lines.
fn defined() -> BTreeMap<String, u64> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bpf/include/image.h");
    let header = std::fs::read_to_string(path).unwrap_or_default();
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let (name, value) = (words.next()?, words.next()?);
        let value = match value.strip_prefix("0x") {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok()?,
            None => value.parse().ok()?,
        };
        Some((name.to_owned(), value))
    };
    header.lines().filter_map(define).collect()
}

#[test]
fn the_header_and_the_layout_agree() {
    let indices = [
        ("IMAGE_AT_MAGIC", at::MAGIC),
        ("IMAGE_AT_VERSION", at::VERSION),
        ("IMAGE_AT_WORDS", at::WORDS),
        ("IMAGE_AT_FLAGS", at::FLAGS),
        ("IMAGE_AT_BYTECLASS", at::BYTECLASS),
        ("IMAGE_AT_START", at::START),
        ("IMAGE_AT_ARG_START", at::ARG_START),
        ("IMAGE_AT_SOURCES", at::SOURCES),
        ("IMAGE_AT_SOURCE_COUNT", at::SOURCE_COUNT),
        ("IMAGE_AT_PATH_COUNT", at::PATH_COUNT),
        ("IMAGE_AT_EXEC", at::EXEC),
        ("IMAGE_AT_READ", at::READ),
        ("IMAGE_AT_CHANGE", at::CHANGE),
        ("IMAGE_AT_SOCKET", at::SOCKET),
        ("IMAGE_AT_CAPABILITY", at::CAPABILITY),
        ("IMAGE_AT_ARG_SETS", at::ARG_SETS),
        ("IMAGE_AT_SIGNATURES", at::SIGNATURES),
        ("IMAGE_AT_FUTURES", at::FUTURES),
        ("IMAGE_AT_PRESET", at::PRESET),
        ("IMAGE_AT_DNS", at::DNS),
        ("IMAGE_AT_DNS_START", at::DNS_START),
        ("IMAGE_AT_DNS_UNREADABLE", at::DNS_UNREADABLE),
        ("IMAGE_AT_SYSCALL", at::SYSCALL),
        ("IMAGE_AT_SYSCALL_PATH", at::SYSCALL_PATH),
        ("SYSCALLS", layout::SYSCALLS),
        ("IMAGE_HEADER_WORDS", layout::HEADER_WORDS),
        ("PLAN_MAX_STEPS", layout::PLAN_MAX_STEPS),
        ("ARG_SET_WORDS", layout::ARG_SET_WORDS),
        ("SOCKET_CLASSES", layout::SOCKET_CLASSES),
        ("CAPABILITIES", layout::CAPABILITIES),
        ("PRESETS", layout::PRESETS),
        ("NAME_PIECE", layout::NAME_PIECE),
    ];
    let words = [
        ("IMAGE_MAGIC", layout::MAGIC),
        ("IMAGE_VERSION", layout::VERSION),
        ("IMAGE_HAS_PROCESS", has::PROCESS),
        ("IMAGE_HAS_FILE", has::FILE),
        ("IMAGE_HAS_NETWORK", has::NETWORK),
        ("IMAGE_HAS_CAPABILITY", has::CAPABILITY),
        ("IMAGE_HAS_ARGUMENTS", has::ARGUMENTS),
        ("IMAGE_HAS_MULTICALL", has::MULTICALL),
        ("IMAGE_HAS_PRESET", has::PRESET),
        ("PRESET_ANONYMOUS_MAP_EXEC", layout::preset(Preset::AnonymousMapExec)),
        ("PRESET_FILELESS_EXEC", layout::preset(Preset::FilelessExec)),
        ("PRESET_PROTECT_ENV", layout::preset(Preset::ProtectEnv)),
        ("PRESET_EXEC", layout::preset(Preset::Exec)),
        ("PRESET_PROTECT_PROC", layout::preset(Preset::ProtectProc)),
        ("IMAGE_HAS_DNS", has::DNS),
        ("IMAGE_HAS_SYSCALL", has::SYSCALL),
        ("SYSCALL_OPENS", layout::SYSCALL_OPENS),
        ("ROW_CLASS_MASK", layout::ROW_CLASS_MASK),
        ("ROW_MULTICALL", layout::ROW_MULTICALL),
        ("ROW_LENGTH", layout::ROW_LENGTH),
        ("ROW_FUTURE", layout::ROW_FUTURE),
        ("ROW_SLASH", layout::ROW_SLASH),
        ("ROW_DEFAULT", layout::ROW_DEFAULT),
        ("ROW_SHAPE", layout::ROW_SHAPE),
        ("ROW_SEEDS", layout::ROW_SEEDS),
        ("ROW_TABLE", layout::ROW_TABLE),
        ("ROW_SINK", layout::ROW_SINK),
        ("ROW_INSIDE", layout::ROW_INSIDE),
        ("ROW_PLACE", layout::ROW_PLACE),
        ("STEP_IF_OWNER", step::IF_OWNER),
        ("STEP_IF_NOT_OWNER", step::IF_NOT_OWNER),
        ("STEP_IF_TERMINAL", step::IF_TERMINAL),
        ("STEP_IF_ARGS_IN", step::IF_ARGS_IN),
        ("STEP_IF_ARGS_NOT_IN", step::IF_ARGS_NOT_IN),
        ("STEP_DENY", step::DENY),
        ("STEP_ALERT", step::ALERT),
        ("STEP_POSTURE", step::POSTURE),
        ("STEP_NAMED", step::NAMED),
        ("STEP_ARG_SET_SHIFT", step::ARG_SET_SHIFT),
        ("RULE_POSTURE", layout::RULE_POSTURE),
        ("RULE_UNRESOLVED", layout::RULE_UNRESOLVED),
        ("RULE_SELF", layout::RULE_SELF),
        ("RULE_NONE", layout::RULE_NONE),
    ];
    let defined = defined();
    for (name, index) in indices {
        assert_eq!(defined.get(name), Some(&(index as u64)), "{name}");
    }
    for (name, word) in words {
        assert_eq!(defined.get(name), Some(&u64::from(word)), "{name}");
    }
    assert_eq!(defined.get("NAME_MULTIPLIER"), Some(&layout::NAME_MULTIPLIER));
}
