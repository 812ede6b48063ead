//! `karmor sysdump`: what is in the archive, and what is not.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::{Value, json};

use crate::{agent::Agent, documents::karmor};

const CANARY: &str = "hunter2-canary";

fn files(path: &Path) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let read = |index| {
        let mut file = archive.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (file.name().unwrap().to_string(), text)
    };
    (0..count).map(read).collect()
}

/// An agent's directories with secrets wherever they may be.
fn laid_out(directory: &Path) {
    let at = |name: &str| directory.join(name).display().to_string();
    let config = json!({"stateDir": at("state"), "tlsCertPath": at("tls"), "logPath": at("log"),
        "elasticPassword": CANARY});
    let policy = format!("kind: KubeArmorPolicy\nmessage: token={CANARY}\n");
    let event =
        format!("{{\"Operation\":\"Process\",\"Resource\":\"mysql --password={CANARY}\"}}\n");
    let key = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n");
    for (name, text) in [
        ("run/config-in-force.json", config.to_string()),
        ("state/policies/web.yaml", policy),
        ("log", event),
        ("tls/ca.key", key.clone()),
        ("tls/client.crt", key),
    ] {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn an_archive_has_what_there_is_without_its_secrets() {
    let agent = Agent::start();
    let directory = tempfile::tempdir().unwrap();
    laid_out(directory.path());
    let (run, path) = (directory.path().join("run"), directory.path().join("dump.zip"));
    let arguments = ["sysdump", "--json", "--gRPC", &agent.address, "--runDir"];
    let paths = [run.to_str().unwrap(), "-f", path.to_str().unwrap()];
    let command = || karmor(&[&arguments[..], &paths].concat());
    let output = command().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let files = files(&path);
    for (name, text) in &files {
        assert!(!text.contains(CANARY), "{name}: {text}");
    }
    let probe: Value = serde_json::from_str(&files["karmor-probe.json"]).unwrap();
    assert_eq!(probe["Probe Data"]["Accounts"][0]["generated"], 120);
    assert!(files["agent/policies/web.yaml"].contains("KubeArmorPolicy"));
    assert!(files["agent/events.jsonl"].contains("mysql --password=[redacted]"));
    assert!(files["agent/tls.json"].contains("ca.key"));
    assert!(files["host/meminfo.txt"].contains("MemTotal"));
    // What is in it and what is not is told in it and on standard output, once each.
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    assert_eq!((&told["Files"], &told["Missing"]), (&manifest["Files"], &manifest["Missing"]));
    let mut listed: Vec<&str> = manifest["Files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["Name"].as_str().unwrap())
        .collect();
    listed.push("manifest.json");
    listed.sort_unstable();
    assert_eq!(listed, files.keys().map(String::as_str).collect::<Vec<_>>());
    let missing = manifest["Missing"].as_array().unwrap();
    let yaml = missing.iter().find(|piece| piece["Name"] == "agent/kubearmor.yaml").unwrap();
    assert!(yaml["Reason"].as_str().unwrap().contains("No such file"), "{yaml}");
    // It takes no file's place.
    let again = command().output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("hint: choose another name with -f"));
}

#[test]
fn it_works_without_an_agent_and_names_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("none");
    let output = karmor(&["sysdump", "--gRPC", "127.0.0.1:1", "--runDir", run.to_str().unwrap()])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let name = String::from_utf8(output.stdout).unwrap();
    assert!(name.starts_with("karmor-sysdump-2") && name.ends_with("Z.zip\n"), "{name}");
    let files = files(&directory.path().join(name.trim()));
    assert!(files["karmor-probe.txt"].contains("Kernel"), "{}", files["karmor-probe.txt"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("missing: agent/config-in-force.json: "), "{said}");
}
