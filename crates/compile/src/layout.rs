//! The numbers of `bpf/include/image.h`.

use policy::Preset;

pub const MAGIC: u32 = 0x4b41_494d;
pub const VERSION: u32 = 3;

/// Word indices of the image's header.
pub mod at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 1;
    pub const WORDS: usize = 2;
    pub const FLAGS: usize = 3;
    pub const BYTECLASS: usize = 4;
    pub const START: usize = 5;
    pub const ARG_START: usize = 6;
    pub const SOURCES: usize = 7;
    pub const SOURCE_COUNT: usize = 8;
    pub const PATH_COUNT: usize = 9;
    pub const EXEC: usize = 10;
    pub const READ: usize = 11;
    pub const CHANGE: usize = 12;
    pub const SOCKET: usize = 13;
    pub const CAPABILITY: usize = 14;
    pub const ARG_SETS: usize = 15;
    pub const SIGNATURES: usize = 16;
    pub const FUTURES: usize = 17;
    pub const PRESET: usize = 20;
    pub const DNS: usize = 24;
    pub const DNS_START: usize = 25;
    pub const DNS_UNREADABLE: usize = 26;
    pub const SYSCALL: usize = 27;
    pub const SYSCALL_PATH: usize = 28;
}
pub const HEADER_WORDS: usize = 32;

pub mod has {
    pub const PROCESS: u32 = 1;
    pub const FILE: u32 = 2;
    pub const NETWORK: u32 = 4;
    pub const CAPABILITY: u32 = 8;
    pub const ARGUMENTS: u32 = 16;
    pub const MULTICALL: u32 = 32;
    pub const PRESET: u32 = 256;
    pub const DNS: u32 = 64;
    pub const SYSCALL: u32 = 128;
    pub const FILE_SOURCES: u32 = 512;
    pub const ALIASES: u32 = 1024;
}

pub const ROW_CLASS_MASK: u32 = 0x00ff_ffff;
pub const ROW_MULTICALL: u32 = 0x8000_0000;
pub const ROW_LENGTH: u32 = 1;
pub const ROW_FUTURE: u32 = 2;
pub const ROW_SLASH: u32 = 3;
pub const ROW_DEFAULT: u32 = 4;
pub const ROW_SHAPE: u32 = 5;
pub const ROW_SEEDS: u32 = 6;
/// In the number of a row.
pub const ROW_TABLE: u32 = 0x8000_0000;
pub const ROW_SINK: u32 = 0x4000_0000;
pub const ROW_INSIDE: u32 = 0x2000_0000;
pub const ROW_PLACE: u32 = 0x00ff_ffff;
/// Bytes of a name that are looked up at once.
pub const NAME_PIECE: usize = 32;
pub const NAME_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

pub mod step {
    pub const IF_OWNER: u32 = 0x01;
    pub const IF_NOT_OWNER: u32 = 0x02;
    pub const IF_TERMINAL: u32 = 0x04;
    pub const IF_ARGS_IN: u32 = 0x08;
    pub const IF_ARGS_NOT_IN: u32 = 0x10;
    pub const DENY: u32 = 0x100;
    pub const ALERT: u32 = 0x200;
    pub const POSTURE: u32 = 0x400;
    pub const NAMED: u32 = 0x800;
    pub const ARG_SET_SHIFT: u32 = 16;
}

pub const RULE_POSTURE: u32 = 0xffff_fffe;
pub const RULE_UNRESOLVED: u32 = 0xffff_fffd;
pub const RULE_SELF: u32 = 0xffff_fffc;
/// An explicit "nothing has a say", in a plan whose later steps must not be reached.
pub const RULE_NONE: u32 = 0xffff_ffff;
pub const PLAN_MAX_STEPS: usize = 64;
pub const ARG_SET_WORDS: usize = 32;
pub const SOCKET_CLASSES: usize = 256;
pub const CAPABILITIES: usize = 64;
pub const PRESETS: usize = 8;

/// The number of a preset: `PRESET_*`.
pub fn preset(preset: Preset) -> u32 {
    match preset {
        Preset::AnonymousMapExec => 0,
        Preset::FilelessExec => 1,
        Preset::ProtectEnv => 2,
        Preset::Exec => 3,
        Preset::ProtectProc => 4,
    }
}
pub const SYSCALLS: usize = 512;
pub const SYSCALL_OPENS: u32 = 0x8000_0000;
