//! `karmor profile` on a terminal.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    agent::{Agent, denied, file, log},
    screen::Screen,
};

fn start(arguments: &[&str], environment: &[(&str, &str)]) -> (Agent, Screen, TempDir) {
    let agent = Agent::start();
    let directory = tempfile::tempdir().unwrap();
    let base = ["profile", "--gRPC", &agent.address];
    let screen = Screen::karmor(&[&base, arguments].concat(), directory.path(), environment);
    screen.wait_for(&["Process 0", "0 events"]);
    (agent, screen, directory)
}

#[test]
fn events_show_in_their_tabs_and_keys_do_what_they_say() {
    let (agent, mut screen, _directory) = start(&[], &[]);
    agent.log(log("Process", "/usr/bin/id", "/usr/bin/id -u", "syscall=SYS_EXECVE"));
    screen.wait_for(&["Process 1", "/usr/bin/id -u", "COMMAND", "1 events"]);
    for resource in ["/srv/index.html", "/var/log/access.log", "/srv/index.html"] {
        agent.log(file(resource));
    }
    // One row for all that a process does.
    screen.press("\t");
    screen.wait_for(&["File 1", "FILE", "/usr/sbin/nginx", "4 events"]);
    screen.press("r");
    let seen =
        screen.wait_for(&["File 2", "/srv/index.html", "/var/log/access.log", "each resource"]);
    println!("{seen}");
    screen.press("/access\r");
    screen.wait_until("the other row gone", |screen| !screen.contents().contains("index.html"));
    screen.press("\x1b");
    screen.wait_for(&["index.html", "access.log"]);
    screen.press("ssss");
    let sorted = screen.wait_for(&["by count"]);
    assert!(sorted.find("index.html") < sorted.find("access.log"), "{sorted}");
    screen.press("S");
    let reversed = screen.wait_for(&["by count, reversed"]);
    assert!(reversed.find("access.log") < reversed.find("index.html"), "{reversed}");
    screen.press("p");
    screen.wait_for(&["PAUSED"]);
    agent.log(file("/srv/later"));
    agent.log(log(
        "Network",
        "/usr/sbin/nginx",
        "domain=AF_INET type=SOCK_STREAM protocol=TCP",
        "syscall=SYS_SOCKET",
    ));
    screen.press("p");
    screen.wait_for(&["/srv/later", "Network 1"]);
    screen.press("q");
    let (status, _) = screen.ends();
    assert!(status.success());
}

#[test]
fn an_export_has_the_fields_of_the_ecosystem() {
    let (agent, mut screen, directory) = start(&["--save"], &[]);
    agent.log(file("/srv/index.html"));
    agent.log(file("/srv/other"));
    screen.wait_for(&["2 events"]);
    screen.press("\te");
    screen.wait_for(&["1 rows written to ProfileSummary/File.json"]);
    let read = || -> Value {
        let path = directory.path().join("ProfileSummary/File.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let expected = json!([{
        "LogSource": "Container",
        "Namespace": "shop",
        "ContainerName": "web",
        "ProcName": "/usr/sbin/nginx",
        "Resource": "/srv/index.html",
        "Result": "Passed",
        "Count": 2,
        "Timestamp": "2026-11-30T21:04:05.000000Z",
    }]);
    assert_eq!(read(), expected);
    // What is there at the end is saved, and told on the screen of before. Any key takes the answer away.
    screen.press("g");
    agent.log(file("/srv/third"));
    screen.wait_for(&["3 events"]);
    screen.press("\x03");
    screen.wait_for(&["written: ProfileSummary/File.json"]);
    let (status, _) = screen.ends();
    assert!(status.success());
    assert_eq!(read()[0]["Count"], 3);
    assert!(!directory.path().join("ProfileSummary/Network.json").exists());
}

#[test]
fn it_survives_an_agent_that_goes_away() {
    let (mut agent, screen, _directory) = start(&[], &[]);
    agent.log(file("/srv/index.html"));
    screen.wait_for(&["File 1"]);
    agent.go_away();
    screen.wait_for(&["CONNECTION LOST, trying again"]);
    agent.come_back();
    screen.wait_for(&["connected again, events are missing"]);
    agent.log(file("/srv/index.html"));
    screen.wait_for(&["2 events"]);
}

#[test]
fn it_follows_the_size_of_its_terminal() {
    let (agent, screen, _directory) = start(&[], &[]);
    agent.log(log("Process", "/usr/bin/id", "/usr/bin/id -u", "syscall=SYS_EXECVE"));
    screen.wait_for(&["NAMESPACE", "LAST"]);
    screen.resize(40, 8);
    screen.wait_until("fewer columns", |screen| {
        let contents = screen.contents();
        contents.contains("COMMAND")
            && !contents.contains("NAMESPACE")
            && !contents.contains("LAST")
    });
    screen.resize(100, 24);
    screen.wait_for(&["NAMESPACE", "LAST", "q quit"]);
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let (_agent, screen, _directory) = start(&[], &[]);
        screen.signal(signal);
        let (status, seen) = screen.ends();
        assert!(status.success(), "{signal:?}");
        assert!(!seen.contains("Process"), "{seen}");
    }
}

#[test]
fn the_end_of_the_time_or_of_the_number_ends_it() {
    let (agent, screen, _directory) = start(&["--limit", "2"], &[]);
    agent.log(file("/a"));
    agent.log(file("/b"));
    assert!(screen.ends().0.success());
    let (_agent, screen, _directory) = start(&["--duration", "1s"], &[]);
    assert!(screen.ends().0.success());
}

#[test]
fn colours_are_for_who_wants_them() {
    for (environment, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let (agent, screen, _directory) = start(&["--alerts"], environment);
        agent.alert(denied("protect-secrets", "/etc/shadow"));
        screen.wait_for(&["File 1"]);
        assert_eq!(screen.is_coloured(), coloured);
    }
}

#[test]
fn flags_choose_workloads_by_their_whole_names() {
    let (agent, screen, _directory) = start(&["-c", "web", "-n", "shop"], &[]);
    let mut other = file("/elsewhere");
    other.container_name = "web-2".into();
    agent.log(other);
    agent.log(file("/here"));
    screen.wait_for(&["File 1", "1 events"]);
}

#[test]
fn names_cannot_speak_to_the_terminal() {
    let (agent, screen, _directory) = start(&[], &[]);
    agent.log(log("Process", "/bin/x\x1b[2J\x1b]0;title\x07", "/bin/x", "syscall=SYS_EXECVE"));
    screen.wait_for(&["/bin/x\\u{1b}"]);
}
