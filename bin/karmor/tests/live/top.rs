//! `karmor top` on a terminal.

use crate::{
    agent::{Agent, denied, file},
    screen::Screen,
};

#[test]
fn rules_and_workloads_with_the_agents_own_accounts() {
    let mut agent = Agent::start();
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["top", "--gRPC", &agent.address, "--window", "30s"];
    let mut screen = Screen::karmor(&arguments, directory.path(), &[]);
    screen.wait_for(&["POLICY", "WORKLOAD", "0 events", "rates over 30 s"]);
    for _ in 0..3 {
        agent.alert(denied("protect-secrets", "/etc/shadow"));
    }
    agent.alert(denied("protect-web", "/srv/x"));
    agent.log(file("/srv/index.html"));
    let seen = screen.wait_for(&["protect-secrets", "protect-web", "shop/web", "5 events", "120"]);
    println!("{seen}");
    let line = seen.lines().find(|line| line.starts_with("protect-secrets")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    // Action, operation, rate, then what was seen, raised, throttled and lost.
    assert_eq!((words[1], words[2], &words[4..8]), ("Block", "File", &["3", "120", "20", "0"][..]));
    let line = seen.lines().find(|line| line.starts_with("shop/web")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(&words[3..], ["4", "4", "1", "21:04:05"]);
    screen.press("\t");
    screen.wait_until("rules alone", |screen| !screen.contents().contains("WORKLOAD"));
    screen.press("\tss");
    screen.wait_until("workloads alone", |screen| {
        let contents = screen.contents();
        contents.contains("by name")
            && contents.contains("WORKLOAD")
            && !contents.contains("POLICY")
    });
    agent.go_away();
    screen.wait_for(&["CONNECTION LOST, trying again"]);
    agent.come_back();
    screen.wait_for(&["connected again"]);
    screen.press("q");
    assert!(screen.ends().0.success());
}
