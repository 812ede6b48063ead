//! The `syscalls` section.

use super::{
    Field, Object, Value,
    spec::{ACTION, MESSAGE, SEVERITY, TAGS},
};

pub(super) static SYSCALLS: Field = Field::new(
    "syscalls",
    Value::Object(&Object {
        fields: &[&MATCH_SYSCALLS, &MATCH_PATHS, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    }),
    "System calls to be told of. They are always permitted: every action counts as `Audit`.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [ptrace]",
    "syscall-section-attributes",
);

static MATCH_SYSCALLS: Field = Field::new(
    "matchSyscalls",
    Value::List(&Value::Object(&Object {
        fields: &[&SYSCALL, &SOURCES, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Calls by name.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [mount, umount2]",
    "syscall-any-name",
);

static MATCH_PATHS: Field = Field::new(
    "matchPaths",
    Value::List(&Value::Object(&Object {
        fields: &[&SYSCALL, &OBJECT, &RECURSIVE, &SOURCES, &SEVERITY, &TAGS, &MESSAGE, &ACTION],
    })),
    "Calls by name, where they concern a path.",
    "syscalls:\n  matchPaths:\n  - path: /etc/\n    recursive: true\n    syscall: [unlinkat]",
    "syscall-path-recursive",
);

static SYSCALL: Field = Field::new(
    "syscall",
    Value::List(&Value::Of("A-Za-z0-9_")),
    "The calls, as the kernel names them on any supported architecture; any letter case is taken.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [openat2, io_uring_setup]",
    "syscall-any-name",
)
.needed();

static OBJECT: Field = Field::new(
    "path",
    Value::Path,
    "What the call concerns: a path, or with `/` at its end a directory with its direct entries.",
    "syscalls:\n  matchPaths:\n  - path: /etc/passwd\n    syscall: [unlink, unlinkat]",
    "syscall-path-recursive",
)
.needed();

static RECURSIVE: Field = Field::new(
    "recursive",
    Value::Truth,
    "The rule also concerns everything below the directory, at any depth.",
    "syscalls:\n  matchPaths:\n  - path: /etc/\n    recursive: true\n    syscall: [unlinkat]",
    "syscall-path-recursive",
)
.or_else("`false`");

static SOURCES: Field = Field::new(
    "fromSource",
    Value::List(&Value::Object(&Object {
        fields: &[&SOURCE_PATH, &SOURCE_DIR, &SOURCE_RECURSIVE],
    })),
    "Who must make the call: one of these programs, or a program in one of these directories. Each entry needs `path` \
     or `dir`.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [ptrace]\n    fromSource:\n    - path: /usr/bin/gdb",
    "syscall-from-source",
)
.or_else("everybody");

static SOURCE_PATH: Field = Field::new(
    "path",
    Value::Path,
    "The path of the calling program.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [ptrace]\n    fromSource:\n    - path: /usr/bin/gdb",
    "syscall-from-source",
);

static SOURCE_DIR: Field = Field::new(
    "dir",
    Value::Path,
    "A directory with the calling program, with `/` at its end.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [ptrace]\n    fromSource:\n    - dir: /tmp/",
    "syscall-from-source",
);

static SOURCE_RECURSIVE: Field = Field::new(
    "recursive",
    Value::Truth,
    "The program may also lie below the directory, at any depth.",
    "syscalls:\n  matchSyscalls:\n  - syscall: [ptrace]\n    fromSource:\n    - dir: /opt/\n      recursive: true",
    "syscall-from-source",
)
.or_else("`false`");
