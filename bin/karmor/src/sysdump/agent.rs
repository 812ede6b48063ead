//! What the agent is: what it answers, its configuration in force, its policies, its certificates, its last words.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};
use x509_parser::pem::Pem;

use super::{
    pieces::{Piece, Root},
    program, redact,
};
use crate::{command::Agent, probe};

/// Policies that are taken.
const MOST: usize = 2000;

/// What the agent answers, if there is one.
pub(super) async fn answers(agent: &Agent) -> Vec<Piece> {
    let text = |bytes: Vec<u8>| redact::text(&String::from_utf8_lossy(&bytes));
    match probe::gather(agent).await {
        Ok(told) => {
            let mut bytes = Vec::new();
            let written = told.text(&mut anstream::StripStream::new(&mut bytes));
            let written = written.map(|()| text(bytes)).map_err(|error| error.to_string());
            let json = format!("{:#}\n", redact::json(told.json()));
            vec![Piece::new("karmor-probe.txt", written), Piece::new("karmor-probe.json", Ok(json))]
        }
        Err(error) => vec![Piece::new("karmor-probe.txt", Err(format!("{error:#}")))],
    }
}

/// What lies on this machine.
pub(super) fn pieces(root: &Root, run_directory: &str) -> Vec<Piece> {
    let in_force = root.read(&format!("{run_directory}/config-in-force.json"));
    let config: Value = in_force
        .as_deref()
        .ok()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let key = |name: &str, usual: &str| config[name].as_str().unwrap_or(usual).to_owned();
    let state = key("stateDir", "/opt/kubearmor");
    let mut pieces = vec![
        Piece::new("agent/config-in-force.json", in_force.map(|text| redacted(&text))),
        file(root, "agent/kubearmor.yaml", &format!("{state}/kubearmor.yaml")),
        Piece::new("agent/run-directory.txt", listing(root, run_directory)),
        Piece::new("agent/tls.json", tls(root, &key("tlsCertPath", "/var/lib/kubearmor/tls"))),
        Piece::new("agent/journal.txt", journal(root)),
        Piece::new("agent/events.jsonl", events(root, &key("logPath", ""))),
    ];
    pieces.extend(policies(root, &format!("{state}/policies")));
    pieces
}

fn file(root: &Root, name: &str, path: &str) -> Piece {
    Piece::new(name, root.read(path).map(|text| redacted(&text)))
}

/// As JSON if it is that.
fn redacted(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => format!("{:#}\n", redact::json(value)),
        Err(_) => redact::text(text),
    }
}

fn policies(root: &Root, directory: &str) -> Vec<Piece> {
    let names = match root.list(directory) {
        Ok(names) => names,
        Err(reason) => return vec![Piece::new("agent/policies", Err(reason))],
    };
    let left_out = names.len().saturating_sub(MOST);
    let mut pieces: Vec<Piece> = names
        .into_iter()
        .take(MOST)
        .map(|name| file(root, &format!("agent/policies/{name}"), &format!("{directory}/{name}")))
        .collect();
    if left_out > 0 {
        let reason = format!("{left_out} more policies than {MOST}");
        pieces.push(Piece::new("agent/policies", Err(reason)));
    }
    pieces
}

/// Names, modes and sizes.
fn listing(root: &Root, directory: &str) -> Result<String, String> {
    let line = |name: String| {
        let path = format!("{directory}/{name}");
        match fs::symlink_metadata(root.at(&path)) {
            Ok(file) => format!("{:06o} {:>8} {name}\n", file.permissions().mode(), file.len()),
            Err(error) => format!("{name}: {error}\n"),
        }
    };
    Ok(root.list(directory)?.into_iter().map(line).collect())
}

/// Of certificates whose they are and until when; of keys that they are there.
fn tls(root: &Root, directory: &str) -> Result<String, String> {
    let files = root.list(directory)?.into_iter().map(|name| {
        let path = format!("{directory}/{name}");
        let mode = fs::metadata(root.at(&path)).map(|file| file.permissions().mode()).ok();
        let mode = mode.map(|mode| format!("{mode:06o}"));
        let certificates = if Path::new(&name).extension().is_some_and(|e| e == "crt") {
            certificates(root, &path)
        } else {
            json!([])
        };
        json!({"Name": name, "Mode": mode, "Certificates": certificates})
    });
    Ok(format!("{:#}\n", files.collect::<Value>()))
}

fn certificates(root: &Root, path: &str) -> Value {
    let text = match root.read(path) {
        Ok(text) => text,
        Err(reason) => return json!([{"Problem": reason}]),
    };
    let certificates = Pem::iter_from_buffer(text.as_bytes()).map(|pem| {
        let pem = pem.map_err(|error| error.to_string())?;
        let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
        Ok(json!({
            "Subject": certificate.subject().to_string(),
            "Issuer": certificate.issuer().to_string(),
            "NotBefore": certificate.validity().not_before.to_string(),
            "NotAfter": certificate.validity().not_after.to_string(),
        }))
    });
    let told =
        |found: Result<Value, String>| found.unwrap_or_else(|problem| json!({"Problem": problem}));
    certificates.map(told).collect()
}

fn journal(root: &Root) -> Result<String, String> {
    let booted = root.at("/run/systemd/system").exists();
    if !booted {
        return Err("systemd does not run here".to_owned());
    }
    let arguments = ["--unit=kubearmor", "--lines=1000", "--no-pager", "--output=short-iso"];
    program::output("journalctl", &arguments).map(|text| redact::lines(&text))
}

fn events(root: &Root, log_path: &str) -> Result<String, String> {
    match log_path {
        "" => Err("`logPath` is not known without the configuration in force".to_owned()),
        "none" => Err("the agent writes none (`logPath`)".to_owned()),
        "stdout" => Err("they go to the agent's standard output (`logPath: stdout`)".to_owned()),
        path => root.tail(path).map(|text| redact::lines(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (Root, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root(directory.path().to_owned());
        let config = json!({"stateDir": "/state", "tlsCertPath": "/tls", "logPath": "/log", "apiToken": "canary"});
        for (path, text) in [
            ("/run/ka/config-in-force.json", config.to_string().as_str()),
            ("/state/policies/web.yaml", "kind: KubeArmorPolicy\npassword: canary\n"),
            ("/log", "{\"Source\":\"prog --password=canary\"}\n"),
            ("/tls/ca.key", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"),
            ("/tls/bad.crt", "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n"),
        ] {
            fs::create_dir_all(root.at(path).parent().unwrap()).unwrap();
            fs::write(root.at(path), text).unwrap();
        }
        (root, directory)
    }

    #[test]
    fn nothing_secret_is_in_any_piece() {
        let (root, _directory) = root();
        let pieces = pieces(&root, "/run/ka");
        for piece in &pieces {
            let content = piece.content.as_ref().unwrap_or_else(|reason| reason);
            assert!(!content.contains("canary") && !content.contains("PRIVATE"), "{piece:?}");
        }
        let content = |name: &str| &pieces.iter().find(|piece| piece.name == name).unwrap().content;
        assert!(content("agent/policies/web.yaml").as_ref().unwrap().contains("KubeArmorPolicy"));
        assert!(content("agent/events.jsonl").as_ref().unwrap().contains("Source"));
        assert!(content("agent/journal.txt").is_err());
        let tls: Value = serde_json::from_str(content("agent/tls.json").as_ref().unwrap()).unwrap();
        assert_eq!((&tls[1]["Name"], &tls[1]["Certificates"]), (&json!("ca.key"), &json!([])));
        assert!(tls[0]["Certificates"][0]["Problem"].is_string());
    }

    #[test]
    fn where_there_is_no_agent_each_piece_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let pieces = pieces(&Root(directory.path().to_owned()), "/run/ka");
        assert!(pieces.iter().all(|piece| piece.content.is_err()), "{pieces:?}");
    }
}
