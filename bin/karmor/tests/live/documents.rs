//! The same commands where nobody looks: one document, or tables.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::agent::{Agent, denied, file, log};

pub(crate) fn karmor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_karmor"));
    command
        .args(arguments)
        .env_remove("KUBEARMOR_SERVICE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Once it listens.
fn listening(agent: &Agent, arguments: &[&str]) -> Child {
    let address = ["--gRPC", &agent.address];
    let mut child = karmor(&[arguments, &address].concat()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("watching {}", agent.address)), "{line}");
    child
}

fn output(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn document(child: Child) -> Value {
    serde_json::from_str(&output(child)).unwrap()
}

/// What a workload does in all ways.
fn busy(agent: &Agent) {
    let mut ran = log("Process", "/usr/bin/id", "/usr/bin/id -u", "syscall=SYS_EXECVE");
    ran.source = "/bin/bash -l".into();
    agent.log(ran);
    agent.log(file("/srv/index.html"));
    agent.log(log(
        "File",
        "/usr/sbin/nginx",
        "/var/log/access.log",
        "syscall=SYS_OPENAT fd=-100 flags=O_WRONLY|O_APPEND",
    ));
    agent.log(log(
        "Network",
        "/usr/sbin/nginx",
        "sa_family=AF_INET sin_port=5432 sin_addr=10.0.0.7",
        "syscall=SYS_CONNECT fd=5",
    ));
    agent.alert(denied("protect-secrets", "/etc/shadow"));
}

#[test]
fn a_profile_is_one_object_of_the_exported_rows() {
    let agent = Agent::start();
    let child = listening(&agent, &["profile", "--json", "--resources", "--limit", "3"]);
    agent.log(file("/a"));
    agent.log(file("/a"));
    agent.log(file("/b"));
    let profile = document(child);
    let files = profile["Profile"]["File"].as_array().unwrap();
    let counts: Vec<_> = files.iter().map(|row| (&row["Resource"], &row["Count"])).collect();
    assert_eq!(counts, [(&json!("/b"), &json!(1)), (&json!("/a"), &json!(2))]);
    assert_eq!((&profile["Events"], &profile["LeftOut"]), (&json!(3), &json!(0)));
    assert_eq!(profile["Profile"]["Syscall"], json!([]));
}

#[test]
fn without_a_terminal_a_profile_is_tables_without_colour() {
    let agent = Agent::start();
    let child = listening(&agent, &["profile", "--limit", "1"]);
    agent.log(file("/a"));
    let shown = output(child);
    assert!(shown.contains("\nFile\n") && shown.contains("/usr/sbin/nginx"), "{shown}");
    assert!(!shown.contains('\x1b') && !shown.contains("\nNetwork\n"), "{shown}");
}

#[test]
fn top_once() {
    let agent = Agent::start();
    let child = listening(&agent, &["top", "--json", "--limit", "3"]);
    agent.alert(denied("protect-secrets", "/etc/shadow"));
    agent.alert(denied("protect-secrets", "/etc/shadow"));
    agent.log(file("/a"));
    let top = document(child);
    let rule = &top["Rules"][0];
    assert_eq!(
        (&rule["PolicyName"], &rule["Action"], &rule["Seen"], &rule["InWindow"]),
        (&json!("protect-secrets"), &json!("Block"), &json!(2), &json!(2))
    );
    let accounts = json!({"Generated": 120, "Delivered": 100, "Throttled": 20, "Lost": 0});
    assert_eq!(rule["Agent"], accounts);
    assert_eq!(top["Workloads"][0]["ContainerName"], "web");
    assert_eq!(top["Workloads"][0]["Logs"], 1);
    let child = listening(&agent, &["top", "--once", "--limit", "1"]);
    agent.alert(denied("protect-secrets", "/etc/shadow"));
    let shown = output(child);
    assert!(shown.contains("protect-secrets") && shown.contains("shop/web"), "{shown}");
}

#[test]
fn a_summary_of_what_happens() {
    let agent = Agent::start();
    let child = listening(&agent, &["summary", "--json", "--limit", "5", "-n", "SHOP"]);
    let mut elsewhere = file("/elsewhere");
    elsewhere.namespace_name = "bank".into();
    agent.log(elsewhere);
    busy(&agent);
    let summary = document(child);
    let [web] = summary["Workloads"].as_array().unwrap().as_slice() else { panic!("{summary}") };
    let of = |kind: &str| {
        (web[kind][0]["Process"].as_str().unwrap(), web[kind][0]["Resource"].as_str().unwrap())
    };
    assert_eq!(of("Ran"), ("/bin/bash", "/usr/bin/id"));
    assert_eq!(of("Read"), ("/usr/sbin/nginx", "/srv/index.html"));
    assert_eq!(of("Wrote"), ("/usr/sbin/nginx", "/var/log/access.log"));
    assert_eq!(of("Connected"), ("/usr/sbin/nginx", "10.0.0.7:5432"));
    assert_eq!(of("Denied"), ("/usr/bin/cat", "/etc/shadow"));
    assert_eq!(web["Denied"][0]["PolicyName"], "protect-secrets");
    assert_eq!(summary["Events"], 5);
}

#[test]
fn a_summary_of_a_log_file_needs_no_agent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let line = |container: &str, file: &str| {
        json!({"UpdatedTime": "2026-11-30T21:04:05.000000Z", "NamespaceName": "shop", "ContainerName": container,
            "Type": "ContainerLog", "Operation": "File", "ProcessName": "/bin/cat", "Resource": file,
            "Data": "syscall=SYS_OPENAT flags=O_RDONLY", "Result": "Passed"})
    };
    let lines = [line("web", "/srv/a"), line("web", "/srv/b"), line("db", "/x"), json!("nothing")];
    fs::write(&path, lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let path = path.to_str().unwrap();
    let shown = output(karmor(&["summary", "--file", path, "-c", "web", "--agg"]).spawn().unwrap());
    println!("{shown}");
    let row = shown.lines().find(|line| line.contains("/srv/")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, ["/bin/cat", "/srv/", "2", "0", "21:04:05"]);
    assert!(shown.contains("== shop/web ==") && !shown.contains("shop/db"), "{shown}");
    assert!(shown.contains(&format!("1 lines are no events, the first at {path}:4")), "{shown}");
    let summary = document(karmor(&["summary", "--file", path, "-o", "json"]).spawn().unwrap());
    assert_eq!((&summary["Events"], &summary["Unreadable"]), (&json!(3), &json!(1)));
}

#[test]
fn what_is_not_there_is_told_with_the_way_out() {
    for arguments in [
        &["summary", "--file", "/nowhere/log"][..],
        &["top", "--gRPC", "127.0.0.1:1"],
        &["profile", "--gRPC", "127.0.0.1:1"],
    ] {
        let output = karmor(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("error: ") && said.contains("\nhint: "), "{said}");
    }
}
