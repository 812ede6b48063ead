//! Rules of the `process` and `file` sections, and `fromSource`, which others have too.

use super::{
    Field, Object, Value,
    spec::{ACTION, MESSAGE, SEVERITY, TAGS},
};

pub(super) static PROCESS_PATHS: Field = Field::new(
    "matchPaths",
    Value::List(&Value::Object(&Object {
        fields: &[
            &PROCESS_PATH,
            &EXECNAME,
            &ALLOWED_ARGS,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Programs, each by its path or by its name. Each entry needs one of the two.",
    "process:\n  matchPaths:\n  - path: /usr/bin/apt\n  - execname: nmap",
    "process-path-block",
);

pub(super) static PROCESS_DIRECTORIES: Field = Field::new(
    "matchDirectories",
    Value::List(&Value::Object(&Object {
        fields: &[
            &DIR,
            &RECURSIVE,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &ALLOWED_ARGS,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Directories: the rule concerns every program in them.",
    "process:\n  matchDirectories:\n  - dir: /tmp/\n    recursive: true",
    "process-dir-block",
);

pub(super) static PROCESS_PATTERNS: Field = Field::new(
    "matchPatterns",
    Value::List(&Value::Object(&Object {
        fields: &[
            &PATTERN,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &ALLOWED_ARGS,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Patterns over the paths of programs.",
    "process:\n  matchPatterns:\n  - pattern: /usr/bin/python*",
    "process-pattern-block",
);

pub(super) static FILE_PATHS: Field = Field::new(
    "matchPaths",
    Value::List(&Value::Object(&Object {
        fields: &[
            &FILE_PATH,
            &READ_ONLY,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Files and directories by their paths.",
    "file:\n  matchPaths:\n  - path: /etc/shadow",
    "file-path-block",
);

pub(super) static FILE_DIRECTORIES: Field = Field::new(
    "matchDirectories",
    Value::List(&Value::Object(&Object {
        fields: &[
            &DIR,
            &RECURSIVE,
            &READ_ONLY,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Directories with what is in them.",
    "file:\n  matchDirectories:\n  - dir: /etc/ssl/private/",
    "file-dir-block",
);

pub(super) static FILE_PATTERNS: Field = Field::new(
    "matchPatterns",
    Value::List(&Value::Object(&Object {
        fields: &[
            &PATTERN,
            &READ_ONLY,
            &OWNER_ONLY,
            &PTS,
            &FROM_SOURCE,
            &SEVERITY,
            &TAGS,
            &MESSAGE,
            &ACTION,
        ],
    })),
    "Patterns over paths.",
    "file:\n  matchPatterns:\n  - pattern: /srv/**/*.key",
    "file-pattern-block",
);

static PROCESS_PATH: Field = Field::new(
    "path",
    Value::Path,
    "The program's path as seen from the root of the container's file system, without arguments. A link covers what \
     it leads to. A path with glob characters is a pattern; `\\` takes their meaning away.",
    "process:\n  matchPaths:\n  - path: /usr/bin/apt",
    "process-path-block",
);

static EXECNAME: Field = Field::new(
    "execname",
    Value::Of("^/"),
    "The last part of the program's path, wherever the program lies. Counts only without `path`.",
    "process:\n  matchPaths:\n  - execname: nmap",
    "process-execname-block",
);

static ALLOWED_ARGS: Field = Field::new(
    "allowedArgs",
    Value::List(&Value::Text),
    "The arguments that the program may have; its own name is none. `Block` then permits a start whose every argument \
     is listed and denies others. An `Allow` rule concerns only starts whose every argument is listed. A workload's \
     rules have room for 1,023 different ones.",
    "process:\n  matchPaths:\n  - path: /usr/bin/python3\n    allowedArgs: [-m, http.server]",
    "process-allowed-args-block",
);

static FILE_PATH: Field = Field::new(
    "path",
    Value::Path,
    "The path as seen from the root of the container's file system, up to 4,096 bytes. A link covers what it leads to. \
     A path with glob characters is a pattern; `\\` takes their meaning away.",
    "file:\n  matchPaths:\n  - path: /etc/shadow",
    "file-path-block",
)
.demanded();

static DIR: Field = Field::new(
    "dir",
    Value::Path,
    "The directory, with `/` at its end. The rule concerns the directory itself and its direct entries.",
    "file:\n  matchDirectories:\n  - dir: /etc/ssl/private/",
    "file-dir-block",
)
.demanded();

static PATTERN: Field = Field::new(
    "pattern",
    Value::Text,
    "What the whole path must match. `?` is one character and `*` any run, both without `/`; `**` any run with it; \
     `[abc]`, `[a-z]` and `[^a]` one character; `{a,b}` one of several texts, and they nest; `\\` takes a character's \
     meaning away.",
    "file:\n  matchPatterns:\n  - pattern: /var/log/{nginx,apache2}/*.log",
    "file-pattern-classes-and-escapes",
)
.demanded();

pub(super) static RECURSIVE: Field = Field::new(
    "recursive",
    Value::Truth,
    "The rule also concerns everything below the directory, at any depth.",
    "file:\n  matchDirectories:\n  - dir: /etc/ssl/\n    recursive: true",
    "file-dir-recursive-block",
)
.or_else("`false`");

static READ_ONLY: Field = Field::new(
    "readOnly",
    Value::Truth,
    "Reading stays permitted, under `Allow` and `Block` alike. Every change is denied: writing, creating, truncating, \
     removing, renaming, linking, and changing mode, owner, times or attributes. `Audit` permits the change and alerts.",
    "file:\n  matchDirectories:\n  - dir: /etc/\n    recursive: true\n    readOnly: true",
    "file-readonly-block",
)
.or_else("`false`");

static OWNER_ONLY: Field = Field::new(
    "ownerOnly",
    Value::Truth,
    "Only the owner of the file may, whatever the action; `Audit` permits others and alerts. Who creates a file must \
     own the directory.",
    "file:\n  matchPaths:\n  - path: /root/.ssh/id_rsa\n    ownerOnly: true",
    "file-owner-only-block",
)
.or_else("`false`");

pub(super) static PTS: Field = Field::new(
    "pts",
    Value::NullableTruth,
    "`false`: the rule concerns processes with a controlling terminal only; with `Allow`, what it names is permitted \
     without a terminal and denied with one. `true` is the same as no field.",
    "process:\n  matchPaths:\n  - path: /usr/bin/bash\n    pts: false",
    "process-pts-block",
)
.or_else("no condition");

pub(super) static FROM_SOURCE: Field = Field::new(
    "fromSource",
    Value::List(&Value::Object(&Object { fields: &[&SOURCE_PATH] })),
    "Who must act for the rule to count: one of these programs. For `process` it is the program that starts the other. \
     An `Allow` rule with a source puts the class of the whole workload into allow-list mode all the same.",
    "file:\n  matchPaths:\n  - path: /etc/shadow\n    fromSource:\n    - path: /usr/bin/cat",
    "file-from-source-block",
)
.or_else("everybody");

static SOURCE_PATH: Field = Field::new(
    "path",
    Value::Path,
    "The path of the acting program. A link covers what it leads to; glob characters mean themselves.",
    "file:\n  matchPaths:\n  - path: /etc/shadow\n    fromSource:\n    - path: /usr/bin/cat",
    "file-from-source-block",
)
.needed();
