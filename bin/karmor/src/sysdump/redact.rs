//! Takes secrets out of what is about to leave the machine. It rather takes too much; what no name and no form gives
//! away it cannot know.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

const HIDDEN: &str = "[redacted]";

/// Of names whose values are secret, in small letters and without `-` and `_`.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "credential",
    "authorization",
    "cookie",
];

/// The same in text, where names are spelled in more ways.
const WORDS: &str = "pass(?:word|wd|phrase)|secret|token|(?:api|access|private|signing)[_-]?key|credential|authorization|cookie";

/// A value in quotes, or up to white space.
const VALUE: &str = r#"(?:"[^"]*"|'[^']*'|\S+)"#;

struct Patterns {
    private_key: Regex,
    /// `Bearer x`, `Basic x`
    scheme: Regex,
    /// Forms that tokens of known issuers have.
    known: Regex,
    /// What stands before the `@` of an address.
    user: Regex,
    /// `--password x`
    flag: Regex,
    /// `password=x`, `"password": "x"`
    pair: Regex,
    /// `NAME=x`
    environment: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(Patterns::new);

impl Patterns {
    #[expect(clippy::expect_used, reason = "the expressions are constants, and a test uses each")]
    fn new() -> Self {
        let new = |pattern: &str| Regex::new(pattern).expect("a constant expression");
        Self {
            private_key: new(
                r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            ),
            scheme: new(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}"),
            known: new(
                r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{10,}",
            ),
            user: new(r#"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@"']+@"#),
            flag: new(&format!(r#"(?im)(^|[\s"'(,\[])(--?[\w-]*(?:{WORDS})[\w-]*)\s+{VALUE}"#)),
            pair: new(&format!(r#"(?i)([\w.-]*(?:{WORDS})[\w.-]*["']?\s*[:=]\s*){VALUE}"#)),
            environment: new(&format!(r"\b([A-Z][A-Z0-9_]{{2,}})=({VALUE})")),
        }
    }
}

/// Text of any kind.
pub(super) fn text(text: &str) -> String {
    let patterns = &*PATTERNS;
    let text = patterns.private_key.replace_all(text, "[redacted private key]");
    let text = patterns.scheme.replace_all(&text, format!("$1 {HIDDEN}"));
    let text = patterns.known.replace_all(&text, HIDDEN);
    let text = patterns.user.replace_all(&text, format!("${{1}}{HIDDEN}@"));
    let text = patterns.pair.replace_all(&text, format!("${{1}}{HIDDEN}"));
    let text = patterns.flag.replace_all(&text, format!("$1$2 {HIDDEN}"));
    patterns.environment.replace_all(&text, variable).into_owned()
}

/// Lines of which some may be JSON, such as an agent's log. What lies between these is looked at as a whole, since a
/// key goes over several lines.
pub(super) fn lines(lines: &str) -> String {
    let (mut out, mut plain) = (String::new(), String::new());
    for line in lines.lines() {
        if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(line) {
            out.push_str(&text(&std::mem::take(&mut plain)));
            out.push_str(&json(value).to_string());
            out.push('\n');
        } else {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    out.push_str(&text(&plain));
    out
}

pub(super) fn json(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| {
                let value = field(&key, value);
                (key, value)
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

fn field(key: &str, value: Value) -> Value {
    let name = key.to_lowercase().replace(['-', '_'], "");
    // A switch is no secret, whatever it is called, and neither is what is not there.
    let tells = !matches!(&value, Value::Bool(_) | Value::Null) && value != "";
    if SECRET.iter().any(|secret| name.contains(secret)) && tells {
        return HIDDEN.into();
    }
    match name.as_str() {
        "env" | "environment" => environment(value),
        _ => json(value),
    }
}

/// The names stay, the values go.
fn environment(value: Value) -> Value {
    match value {
        Value::String(pair) => match pair.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}").into(),
            None => HIDDEN.into(),
        },
        Value::Array(values) => values.into_iter().map(environment).collect(),
        Value::Object(fields) => {
            let named = |key: &str| key == "name";
            let hidden = fields.into_iter().map(|(key, value)| {
                let value = if named(&key) { value } else { HIDDEN.into() };
                (key, value)
            });
            Value::Object(hidden.collect())
        }
        other => other,
    }
}

/// An assignment of a shell, but for those that the kernel is configured with.
fn variable(found: &Captures<'_>) -> String {
    let (whole, name) = (&found[0], &found[1]);
    if name.starts_with("CONFIG_") || name == "BOOT_IMAGE" || name == "PRETTY_NAME" {
        return whole.to_owned();
    }
    format!("{name}={HIDDEN}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// None of these may survive, in whatever they stand.
    const CANARIES: [&str; 4] = ["hunter2!x", "s3cr3t,and;more", "c2VjcmV0Cg==", "p%40ss/word"];

    #[test]
    fn named_secrets_in_text() {
        for canary in CANARIES {
            for form in [
                "mysql --password={} -h db",
                "mysql --password {} -h db",
                "prog -token {}",
                "prog --api-key={}",
                "DB_PASSWORD={} /bin/prog",
                "PATH_TO={} /bin/prog",
                "password: {}",
                "clientSecret: \"{}\"",
                "export AWS_SECRET_ACCESS_KEY='{}'",
                "Cookie: {}",
                "{\"passwd\":\"{}\"}",
            ] {
                let told = text(&form.replace("{}", canary));
                assert!(!told.contains(canary) && told.contains(HIDDEN), "{form}: {told}");
            }
        }
    }

    #[test]
    fn secrets_by_their_form() {
        let told = |given: &str| text(given);
        assert_eq!(told("curl -H 'X: Bearer abc.def-123'"), "curl -H 'X: Bearer [redacted]'");
        assert_eq!(told("got Basic dXNlcjpwYXNz here"), "got Basic [redacted] here");
        assert_eq!(told("x eyJhbGciOi.eyJzdWIiOi.sig-1_2 y"), "x [redacted] y");
        assert_eq!(told("AKIAABCDEFGHIJKLMNOP"), HIDDEN);
        assert_eq!(told("clone https://me:pw@host/x"), "clone https://[redacted]@host/x");
        assert_eq!(told("clone https://ghtoken@host/x"), "clone https://[redacted]@host/x");
    }

    #[test]
    fn private_keys_whole_or_cut_off() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA\n-----END EC PRIVATE KEY-----";
        assert_eq!(text(&format!("a\n{key}\nb")), "a\n[redacted private key]\nb");
        assert_eq!(text("a -----BEGIN PRIVATE KEY-----\\nMHcC"), "a [redacted private key]");
        assert_eq!(lines(&format!("{key}\nrest")), "[redacted private key]\nrest\n");
    }

    #[test]
    fn what_is_needed_stays() {
        for plain in [
            "CONFIG_BPF_LSM=y",
            "BOOT_IMAGE=/boot/vmlinuz-6.12 root=/dev/sda1 lsm=lockdown,bpf",
            "/usr/bin/cat /etc/secrets/file",
            "syscall=SYS_OPENAT fd=-100 flags=O_RDONLY|O_CLOEXEC",
            "KubeArmorPolicy shop/protect-passwords, spec.file.matchPaths[0]",
            "| KubeArmorPolicy | protect-secrets | Enforced |",
            "block-secrets Enforced",
            "MemTotal:        2014440 kB",
            "listening on http://127.0.0.1:32767",
        ] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn configurations() {
        let given = json!({
            "gRPC": 32767,
            "tlsCertPath": "/var/lib/kubearmor/tls",
            "tokenAudit": true,
            "apiToken": "x",
            "api_key": 17,
            "elastic": {"Password": ["a", "b"], "url": "https://u:p@host/", "user-secret": ""},
            "env": ["HOME=/root", "bare", {"name": "A", "value": "b"}],
            "args": ["--password=x", "--verbose"],
        });
        let expected = json!({
            "gRPC": 32767,
            "tlsCertPath": "/var/lib/kubearmor/tls",
            "tokenAudit": true,
            "apiToken": HIDDEN,
            "api_key": HIDDEN,
            "elastic": {"Password": HIDDEN, "url": "https://[redacted]@host/", "user-secret": ""},
            "env": ["HOME=[redacted]", HIDDEN, {"name": "A", "value": HIDDEN}],
            "args": ["--password=[redacted]", "--verbose"],
        });
        assert_eq!(json(given), expected);
    }

    #[test]
    fn a_log_keeps_its_form() {
        let log = "plain line\n{\"Source\":\"prog --password=x\",\"Token\":\"y\",\"PID\":7}";
        let expected = "plain line\n{\"PID\":7,\"Source\":\"prog --password=[redacted]\",\"Token\":\"[redacted]\"}\n";
        assert_eq!(lines(log), expected);
    }
}
