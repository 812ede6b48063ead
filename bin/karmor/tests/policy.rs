//! `karmor policy` as users call it: what it prints, its exit statuses, and that it needs nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use feed::{Feed, FeedOptions, Services, listen, serve};
use serde_json::{Value, json};
use telemetry::Log;

fn karmor(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_karmor"));
    command.arg("policy").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> Output {
    karmor(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn examples() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    root.to_str().unwrap().to_owned()
}

/// The status and the JSON that it prints.
fn asked(args: &[&str]) -> (i32, Value) {
    let output = run(&[args, &["--json"]].concat());
    let status = output.status.code().unwrap();
    let printed = serde_json::from_slice(&output.stdout);
    (status, printed.unwrap_or_else(|_| panic!("{}", text(&output.stderr))))
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "kind: KubeArmorPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
    )
}

#[test]
fn explain_names_the_rule_its_line_and_a_change_that_turns_it() {
    let (status, told) = asked(&["explain", &examples(), "--exec", "/bin/bash", "--tty"]);
    assert_eq!(status, 0);
    assert_eq!((&told["verdict"], &told["class"]), (&json!("denied"), &json!("process")));
    assert_eq!(told["decidedBy"]["policy"], "block-shells");
    assert_eq!(told["decidedBy"]["place"], "spec.process.matchPaths[1]");
    assert!(told["decidedBy"]["line"].as_str().unwrap().ends_with("block-shells.yaml:17"));
    assert_eq!(told["workload"]["labels"]["app"], "my-app");
    assert_eq!(told["change"]["verdict"], "permitted");
    assert_eq!(told["change"]["edits"].as_array().unwrap().len(), 2, "two policies block it");
    let shown = run(&["explain", &examples(), "--exec", "/bin/bash"]);
    let shown = text(&shown.stdout).to_owned();
    assert!(
        shown.starts_with("denied: running /bin/bash\n") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    assert!(shown.contains("tried: the access is then permitted with an alert"), "{shown}");
}

#[test]
fn explain_tells_what_an_answer_depends_on() {
    let files = Files::new();
    let rules = "{file: {matchPaths: [{path: /srv/key, ownerOnly: true}]}, action: Allow}";
    let file = files.write("p.yaml", &policy("keys", rules));
    let (_, told) = asked(&["explain", &file, "--read", "/srv/key"]);
    assert_eq!(told["verdict"], "denied");
    assert!(told["notes"].to_string().contains("for the owner it is permitted"), "{told}");
    let (_, told) = asked(&["explain", &file, "--read", "/srv/key", "--owner"]);
    assert_eq!(told["verdict"], "permitted");
    let (_, told) = asked(&["explain", &file, "--read", "/srv/other", "--postures", "file=block"]);
    assert_eq!(told["decidedBy"]["posture"], "block");
    let (_, told) = asked(&["explain", &file, "--read", "/srv/key", "--namespace", "lab"]);
    assert_eq!(told["verdict"], "permitted");
    let (_, told) = asked(&["explain", &file, "--socket", "unix"]);
    assert_eq!(told["class"], Value::Null);
}

#[test]
fn links_are_followed_in_a_root_file_system() {
    let files = Files::new();
    files.write("root/bin/busybox", "");
    for applet in ["sh", "cat"] {
        std::os::unix::fs::symlink("busybox", files.0.path().join("root/bin").join(applet))
            .unwrap();
    }
    let root = files.0.path().join("root");
    let file =
        files.write("p.yaml", &policy("shell", "{process: {matchPaths: [{path: /bin/sh}]}}"));
    let verdict = |more: &[&str]| {
        let args = [&["explain", &file, "--root", root.to_str().unwrap()], more].concat();
        asked(&args).1["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(&["--exec", "/bin/sh"]), "denied");
    assert_eq!(verdict(&["--exec", "/bin/cat"]), "permitted");
    let output = run(&[
        "explain",
        &file,
        "--root",
        root.to_str().unwrap(),
        "--exec",
        "/bin/busybox",
        "--",
        "sh",
    ]);
    assert!(text(&output.stdout).starts_with("denied: running /bin/busybox//sh sh"));
}

#[test]
fn wrong_questions_have_a_hint_and_status_2() {
    let files = Files::new();
    let broken = files
        .write("broken.yaml", "kind: KubeArmorPolicy\nmetadata: {name: x}\nspec: {action: Blok}\n");
    for args in [
        &["explain", &examples(), "--exec", "sh"][..],
        &["explain", &broken, "--exec", "/bin/sh"],
        &["explain", files.0.path().to_str().unwrap(), "--read", "/a"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("hint:"), "{}", text(&output.stderr));
    }
    assert_eq!(run(&["explain", &examples()]).status.code(), Some(2));
    assert_eq!(run(&["diff", &examples(), "/nowhere"]).status.code(), Some(2));
}

#[test]
fn the_order_and_the_number_of_files_is_no_difference() {
    let files = Files::new();
    let one = policy("a", "{file: {matchPaths: [{path: /a}, {path: /b}]}}");
    let two = policy("b", "{file: {matchDirectories: [{dir: /c/, recursive: true}]}}");
    files.write("old/all.yaml", &format!("{one}{two}"));
    files.write("new/b.yaml", &two);
    files.write("new/a.yaml", &policy("a", "{file: {matchPaths: [{path: /b}, {path: /a}]}}"));
    let [old, new] =
        ["old", "new"].map(|name| files.0.path().join(name).to_str().unwrap().to_owned());
    let output = run(&["diff", &old, &new]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("equivalent\n"));
}

#[test]
fn every_difference_has_a_witness() {
    let files = Files::new();
    let old = policy(
        "a",
        "{selector: {matchLabels: {app: web}}, file: {matchPatterns: [{pattern: '/srv/*.key'}]}}",
    );
    let new = policy(
        "a",
        "{selector: {matchLabels: {app: web}}, file: {matchPatterns: [{pattern: '/srv/**.key'}]}}",
    );
    let [old, new] = [files.write("old.yaml", &old), files.write("new.yaml", &new)];
    let (status, told) = asked(&["diff", &old, &new]);
    assert_eq!(status, 1);
    let differences = told["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{told}");
    assert_eq!(differences[0]["change"], "newly denied");
    assert_eq!(differences[0]["workload"]["labels"]["app"], "web");
    let path = differences[0]["access"]["path"].as_str().unwrap();
    assert!(path.starts_with("/srv/") && path.contains(".key") && path.matches('/').count() == 3);
    // The witness is one for the other command as well.
    for (file, verdict) in [(&old, "permitted"), (&new, "denied")] {
        assert_eq!(asked(&["explain", file, "--read", path]).1["verdict"], verdict);
    }
    assert_eq!(run(&["diff", &old, &old]).status.code(), Some(0));
}

#[test]
fn only_workloads_that_can_be_told_apart_differ() {
    let files = Files::new();
    let spec = |selector: &str| {
        format!(
            "{{selector: {selector}, capabilities: {{matchCapabilities: [{{capability: net_raw}}]}}}}"
        )
    };
    let old = files.write(
        "old.yaml",
        &policy(
            "a",
            &spec("{matchExpressions: [{key: label, operator: NotIn, values: [app=web]}]}"),
        ),
    );
    let new = files.write("new.yaml", &policy("a", &spec("{}")));
    let (status, told) = asked(&["diff", &old, &new]);
    assert_eq!(status, 1);
    let differences = told["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0]["workload"]["labels"]["app"], "web");
}

#[test]
fn what_alerts_say_is_compared_on_demand() {
    let files = Files::new();
    let spec =
        |severity: u8| format!("{{severity: {severity}, file: {{matchPaths: [{{path: /a}}]}}}}");
    let old = files.write("old.yaml", &policy("a", &spec(3)));
    let new = files.write("new.yaml", &policy("a", &spec(9)));
    assert_eq!(run(&["diff", &old, &new]).status.code(), Some(0));
    assert_eq!(run(&["diff", "--alerts", &old, &new]).status.code(), Some(1));
}

fn event(more: &Value) -> Value {
    let mut event = json!({"updatedTime": "2026-01-02T03:04:05.000000Z", "hostName": "n", "containerName": "web",
        "namespaceName": "shop", "type": "ContainerLog", "operation": "Process", "parentProcessName": "/usr/sbin/nginx",
        "source": "/usr/sbin/nginx", "processName": "/bin/sh", "resource": "/bin/sh -c id", "result": "Passed"});
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

#[test]
fn simulate_tells_what_would_change_and_accounts_for_every_line() {
    let files = Files::new();
    let denied = event(
        &json!({"type": "MatchedPolicy", "policyName": "x", "operation": "File", "processName": "/bin/cat",
        "resource": "/etc/passwd", "data": "lsm=FILE_OPEN", "eventData": {"Flags": "O_RDONLY"}, "result": "Permission denied"}),
    );
    let owned =
        event(&json!({"operation": "File", "resource": "/srv/key", "data": "lsm=FILE_OPEN"}));
    let lines = [
        event(&json!({})).to_string(),
        event(&json!({"updatedTime": "2026-01-02T03:04:09.000000Z", "parentProcessName": "/bin/other"})).to_string(),
        event(&json!({"processName": "/bin/true", "resource": "/bin/true"})).to_string(),
        event(&json!({"namespaceName": "lab"})).to_string(),
        denied.to_string(),
        owned.to_string(),
        json!({"type": "SystemEvent"}).to_string(),
        "no json".to_owned(),
    ];
    let log = files.write("log", &lines.join("\n"));
    let rules = "{process: {matchPaths: [{path: /bin/sh}]}, file: {matchPaths: [{path: /srv/key, ownerOnly: true}]}}";
    let file = files.write("p.yaml", &policy("new", rules));
    let (status, told) = asked(&["simulate", &file, "--log", &log]);
    assert_eq!(status, 1);
    assert_eq!((&told["newlyDenied"], &told["newlyPermitted"]), (&json!(2), &json!(1)), "{told:#}");
    assert_eq!(
        (&told["events"], &told["asBefore"], &told["agentsOwn"]),
        (&json!(8), &json!(2), &json!(1))
    );
    let unjudged = told["notJudged"].as_array().unwrap();
    assert_eq!(unjudged.len(), 2);
    assert!(
        unjudged.iter().any(|entry| entry["reason"].as_str().unwrap().contains("owns the object"))
    );
    assert!(unjudged.iter().any(|entry| entry["first"].as_str().unwrap().ends_with("log:8")));
    let shells = &told["changes"][0];
    assert_eq!((&shells["events"], shells["programs"].as_array().unwrap().len()), (&json!(2), 2));
    assert!(
        shells["first"].as_str().unwrap().contains(":05.")
            && shells["last"].as_str().unwrap().contains(":09.")
    );
    let nothing = files.write("empty", "");
    assert_eq!(run(&["simulate", &file, "--log", &nothing]).status.code(), Some(0));
}

#[test]
fn simulate_listens_to_an_agent() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(listen(([127, 0, 0, 1], 0).into(), "gRPC")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let feed = Feed::new(FeedOptions::default());
    let services = Services { policies: None, probe: None };
    runtime.spawn(serve(listener, feed.clone(), services, std::future::pending()));
    let files = Files::new();
    let file = files.write("p.yaml", &policy("new", "{process: {matchPaths: [{path: /bin/sh}]}}"));
    let mut child =
        karmor(&["simulate", &file, "--live", "--gRPC", &address, "--json"]).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("watching "), "{line}");
    let log = Log {
        kind: "ContainerLog".into(),
        container_name: "web".into(),
        namespace_name: "shop".into(),
        operation: "Process".into(),
        process_name: "/bin/sh".into(),
        resource: "/bin/sh".into(),
        result: "Passed".into(),
        ..Log::default()
    };
    let _ = feed.publish_log(log);
    feed.close();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{printed}");
    let told: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(told["newlyDenied"], 1);
}

#[test]
fn standard_input_holds_policies_too() {
    let mut child =
        karmor(&["explain", "-", "--read", "/a"]).stdin(Stdio::piped()).spawn().unwrap();
    let text = policy("a", "{file: {matchPaths: [{path: /a}]}}");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = std::str::from_utf8(&output.stdout).unwrap();
    assert!(shown.starts_with("denied: reading /a\n") && shown.contains("(stdin:3)"), "{shown}");
}
