//! One alert or log as the commands that count events look at it. It is read from its JSON, which the feed and the
//! agent's own file spell with letters of different case.

use std::collections::BTreeMap;

use serde_json::Value;

/// An event's fields, whatever the letter case of their names.
pub(crate) struct Fields<'v>(BTreeMap<String, &'v Value>);

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileUse {
    Read,
    /// Written, created, deleted, renamed, changed in mode or owner.
    Change,
    Metadata,
    Close,
    /// The record does not tell.
    Untold,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) cluster: String,
    pub(crate) host: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) container_id: String,
    /// `k=v,k=v`
    pub(crate) labels: String,
    /// `MatchedPolicy`, `ContainerLog`, `SystemEvent`, ...
    pub(crate) kind: String,
    pub(crate) operation: String,
    pub(crate) process: String,
    pub(crate) source: String,
    pub(crate) resource: String,
    pub(crate) data: String,
    pub(crate) result: String,
    /// UTC, so that times sort as text.
    pub(crate) time: String,
    /// How often it happened: the agent counts repeats in one event.
    pub(crate) times: u64,
    pub(crate) file_use: Option<FileUse>,
    /// Of an alert.
    pub(crate) alert: Option<Verdict>,
}

/// What of an event only alerts have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) policy: String,
    pub(crate) action: String,
}

/// Whose an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// Empty for a host.
    pub(crate) container: String,
    pub(crate) host: String,
    /// For people: `namespace/container`, or `host NAME`.
    pub(crate) name: String,
}

impl<'v> Fields<'v> {
    pub(crate) fn of(value: &'v Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(Self(object.iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect()))
    }

    /// `key` in small letters.
    pub(crate) fn text(&self, key: &str) -> &'v str {
        self.0.get(key).and_then(|value| value.as_str()).unwrap_or_default()
    }

    /// A value of `EventData`.
    pub(crate) fn detail(&self, key: &str) -> &'v str {
        let data = self.0.get("eventdata").and_then(|value| value.as_object());
        let found = data.and_then(|data| {
            data.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
        });
        found.and_then(Value::as_str).unwrap_or_default()
    }

    /// The agent speaks of itself.
    pub(crate) fn is_own(&self) -> bool {
        self.text("type") == "SystemEvent"
    }

    pub(crate) fn is_alert(&self) -> bool {
        !self.text("policyname").is_empty() || self.text("type").starts_with("Matched")
    }

    pub(crate) fn is_of_host(&self) -> bool {
        let container = ["containername", "containerid"].map(|key| self.text(key));
        self.text("type").contains("Host") || container == ["", ""]
    }

    /// How often it happened.
    pub(crate) fn times(&self) -> u64 {
        self.detail("repeats").parse::<u64>().unwrap_or(0).saturating_add(1)
    }

    pub(crate) fn file_use(&self) -> FileUse {
        let data = self.text("data");
        let what = data.split_whitespace().next().unwrap_or_default();
        let flags = match self.detail("flags") {
            "" => data.split_whitespace().find_map(|word| word.strip_prefix("flags=")),
            flags => Some(flags),
        };
        let changing = ["O_WRONLY", "O_RDWR", "O_TRUNC", "O_TMPFILE"];
        let changes =
            flags.is_some_and(|flags| flags.split('|').any(|flag| changing.contains(&flag)));
        match what.trim_start_matches("lsm=").trim_start_matches("syscall=SYS_") {
            "FILE_OPEN" | "FILE_INHERIT" | "FILE_RECEIVE" | "FILE_PERMISSION" | "OPEN"
            | "OPENAT" | "OPENAT2" | "EXECVE" | "EXECVEAT" => {
                if changes {
                    FileUse::Change
                } else {
                    FileUse::Read
                }
            }
            "FILE_GETATTR" => FileUse::Metadata,
            "" => FileUse::Untold,
            "CLOSE" => FileUse::Close,
            _ => FileUse::Change,
        }
    }
}

impl Event {
    /// `None` if it is no JSON object.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let fields = Fields::of(value)?;
        let text = |key| fields.text(key).to_owned();
        let verdict = || Verdict { policy: text("policyname"), action: text("action") };
        let of_host = fields.is_of_host();
        let of_container = |key| if of_host { String::new() } else { text(key) };
        Some(Self {
            cluster: text("clustername"),
            host: text("hostname"),
            namespace: of_container("namespacename"),
            pod: of_container("podname"),
            container: of_container("containername"),
            container_id: of_container("containerid"),
            labels: text("labels"),
            kind: text("type"),
            operation: text("operation"),
            process: process(&fields),
            source: text("source"),
            resource: text("resource"),
            data: text("data"),
            result: text("result"),
            time: text("updatedtime"),
            times: fields.times(),
            file_use: (fields.text("operation") == "File").then(|| fields.file_use()),
            alert: fields.is_alert().then(verdict),
        })
    }

    pub(crate) fn is_of_host(&self) -> bool {
        self.container.is_empty() && self.container_id.is_empty()
    }

    /// The agent speaks of itself.
    pub(crate) fn is_own(&self) -> bool {
        self.kind == "SystemEvent"
    }

    /// It was let happen, or nothing is said against it.
    pub(crate) fn passed(&self) -> bool {
        matches!(self.result.as_str(), "Passed" | "")
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            container: self.container.clone(),
            host: self.host.clone(),
            name: self.place_name(),
        }
    }

    fn place_name(&self) -> String {
        let name = if self.container.is_empty() {
            self.container_id.get(..12).unwrap_or(&self.container_id)
        } else {
            &self.container
        };
        match (name, self.namespace.as_str()) {
            ("", _) => format!("host {}", self.host),
            (name, "") => name.to_owned(),
            (name, namespace) => format!("{namespace}/{name}"),
        }
    }
}

/// The program that acted, without its arguments.
fn process(fields: &Fields<'_>) -> String {
    match fields.text("processname") {
        "" => fields.text("source").split(' ').next().unwrap_or_default().to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_feed_and_the_agents_file_spell_the_same_event() {
        let fed = json!({"UpdatedTime": "t", "HostName": "n", "NamespaceName": "shop", "ContainerName": "web",
            "Type": "MatchedPolicy", "PolicyName": "p", "Action": "Block", "Operation": "File",
            "Source": "/bin/cat /etc/passwd", "Resource": "/etc/passwd", "Data": "lsm=FILE_OPEN",
            "EventData": {"Flags": "O_WRONLY|O_CREAT", "Repeats": "2"}, "Result": "Permission denied"});
        let written = json!({"updatedTime": "t", "hostName": "n", "namespaceName": "shop", "containerName": "web",
            "type": "MatchedPolicy", "policyName": "p", "action": "Block", "operation": "File",
            "source": "/bin/cat /etc/passwd", "resource": "/etc/passwd", "data": "lsm=FILE_OPEN",
            "eventData": {"Flags": "O_WRONLY|O_CREAT", "Repeats": "2"}, "result": "Permission denied"});
        let event = Event::read(&fed).unwrap();
        assert_eq!(Event::read(&written), Some(event.clone()));
        assert_eq!((event.process.as_str(), event.times), ("/bin/cat", 3));
        assert_eq!(event.file_use, Some(FileUse::Change));
        assert_eq!(event.alert, Some(Verdict { policy: "p".into(), action: "Block".into() }));
        assert!(!event.passed() && !event.is_of_host());
        assert_eq!(event.place().name, "shop/web");
    }

    #[test]
    fn a_host_is_no_container() {
        let event = json!({"Type": "HostLog", "HostName": "node", "NamespaceName": "x",
            "Operation": "Process", "Resource": "/bin/true", "Result": "Passed"});
        let event = Event::read(&event).unwrap();
        assert!(event.is_of_host() && event.passed() && event.alert.is_none());
        assert_eq!(event.place().name, "host node");
        assert_eq!(Event::read(&json!("text")), None);
    }

    #[test]
    fn what_was_done_to_a_file() {
        let of = |data: &str| {
            let value = json!({"Data": data});
            Fields::of(&value).unwrap().file_use()
        };
        assert_eq!(of("syscall=SYS_OPENAT fd=-100 flags=O_RDONLY"), FileUse::Read);
        assert_eq!(of("syscall=SYS_OPENAT fd=-100 flags=O_RDWR|O_CREAT"), FileUse::Change);
        assert_eq!(of("lsm=FILE_GETATTR"), FileUse::Metadata);
        assert_eq!(of("lsm=PATH_UNLINK"), FileUse::Change);
        assert_eq!(of("syscall=SYS_CLOSE fd=3"), FileUse::Close);
        assert_eq!(of(""), FileUse::Untold);
    }
}
