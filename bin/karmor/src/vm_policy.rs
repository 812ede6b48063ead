//! `karmor vm policy`: hands policy files to an agent, one document at a time, and shows what it says.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use anyhow::Context;
use feed::{PolicyAnswer, PolicyStatus};
use policy::{Kind, PolicyId};
use serde_json::json;

use crate::{command::PolicyFiles, failure::Told};

/// What the agent calls the text that it was sent.
const AGENTS_NAME: &str = "policy";

pub(crate) async fn add(target: &PolicyFiles) -> anyhow::Result<()> {
    let client = target.agent.connect().await?;
    let mut failed = false;
    for path in &target.files {
        let file = PolicyFile::read(path)?;
        for document in file.documents()? {
            // A text that does not parse is the agent's to refuse, with all that it has to say about it.
            let kind = policy::parse(&document, &file.name)
                .policies
                .first()
                .map_or(Kind::Container, |policy| policy.id.kind);
            let answer = client.apply(kind, document.into_bytes()).await?;
            failed |= !show(&answer, &file.name, target.json)?;
        }
    }
    if failed { Err(Told.into()) } else { Ok(()) }
}

pub(crate) async fn delete(target: &PolicyFiles) -> anyhow::Result<()> {
    let client = target.agent.connect().await?;
    let mut failed = false;
    for path in &target.files {
        let file = PolicyFile::read(path)?;
        for document in file.documents()? {
            let parsed = policy::parse(&document, &file.name);
            for error in parsed.diagnostics.iter().filter(|finding| finding.is_error()) {
                eprintln!("{error}");
            }
            failed |= parsed.has_errors();
            for policy in parsed.policies {
                let answer = client.apply(policy.id.kind, deleted(&policy.id)).await?;
                failed |= !show(&answer, &file.name, target.json)?;
            }
        }
    }
    if failed { Err(Told.into()) } else { Ok(()) }
}

fn deleted(id: &PolicyId) -> Vec<u8> {
    let mut metadata = json!({"name": id.name});
    if let Some(namespace) = &id.namespace {
        metadata["namespace"] = json!(namespace);
    }
    let object = json!({"kind": id.kind.as_str(), "metadata": metadata});
    json!({"type": "DELETED", "object": object}).to_string().into_bytes()
}

/// The status to standard output, what the agent adds to standard error, or all as one JSON object. False if the
/// policy is not in force.
fn show(answer: &PolicyAnswer, file: &str, as_json: bool) -> io::Result<bool> {
    let said = answer.message.lines().map(|line| with_file_name(line, file));
    if as_json {
        let said: Vec<String> = said.collect();
        let object = json!({"File": file, "Status": answer.status.word(), "Messages": said});
        writeln!(io::stdout(), "{object}")?;
    } else {
        said.for_each(|line| eprintln!("{line}"));
        writeln!(io::stdout(), "Policy {}", answer.status.word())?;
    }
    Ok(matches!(
        answer.status,
        PolicyStatus::Applied | PolicyStatus::Modified | PolicyStatus::Deleted
    ))
}

/// `policy:14:5: error...` becomes `FILE:14:5: error...`.
fn with_file_name(line: &str, file: &str) -> String {
    match line.strip_prefix(AGENTS_NAME).filter(|rest| {
        rest.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    }) {
        Some(rest) => format!("{file}{rest}"),
        None => line.to_owned(),
    }
}

struct PolicyFile {
    /// As diagnostics name it.
    name: String,
    text: String,
}

impl PolicyFile {
    fn read(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            return Ok(Self { name: "stdin".into(), text });
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        Ok(Self { name, text })
    }

    fn documents(&self) -> anyhow::Result<Vec<String>> {
        let documents = split(&self.text);
        anyhow::ensure!(!documents.is_empty(), "{} holds no policy", self.name);
        Ok(documents)
    }
}

/// The documents of a YAML text that have content, each with empty lines in front so that line numbers stay true.
fn split(text: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut document = String::new();
    let mut content = false;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            let next = "\n".repeat(number + 1);
            let ended = std::mem::replace(&mut document, next);
            documents.extend(content.then_some(ended));
            content = false;
            continue;
        }
        let bare = line.trim();
        content |= !bare.is_empty() && !bare.starts_with('#') && bare != "...";
        document.push_str(line);
    }
    documents.extend(content.then_some(document));
    documents
}

/// `---` with nothing but white space or a comment behind it.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| {
        let bare = rest.trim();
        bare.is_empty() || (rest.starts_with([' ', '\t']) && bare.starts_with('#'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_line_numbers() {
        let documents =
            split("# head\n---\na: 1\n--- # second\nb: 2\n---\n\n# nothing\n---\nc: |\n  ----\n");
        assert_eq!(documents, ["\n\na: 1\n", "\n\n\n\nb: 2\n", "\n\n\n\n\n\n\n\n\nc: |\n  ----\n"]);
    }

    #[test]
    fn json_is_one_document() {
        assert_eq!(split("{\"kind\": \"x\"}"), ["{\"kind\": \"x\"}"]);
    }

    #[test]
    fn findings_bear_the_files_name() {
        assert_eq!(with_file_name("policy:3:1: error", "a.yaml"), "a.yaml:3:1: error");
        assert_eq!(with_file_name("policy: has no name", "a.yaml"), "policy: has no name");
    }

    #[test]
    fn a_deletion_names_kind_namespace_and_name() {
        let id = PolicyId {
            kind: Kind::Container,
            namespace: Some("bank".into()),
            name: "ledger".into(),
        };
        let event: serde_json::Value = serde_json::from_slice(&deleted(&id)).unwrap();
        assert_eq!(event["type"], "DELETED");
        assert_eq!(event["object"]["kind"], "KubeArmorPolicy");
        assert_eq!(event["object"]["metadata"]["namespace"], "bank");
        assert_eq!(event["object"]["metadata"]["name"], "ledger");
    }
}
