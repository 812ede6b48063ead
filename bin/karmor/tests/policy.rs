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
    let services = Services::default();
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

#[test]
fn what_nobody_decides_yet_is_compared_as_it_is_written() {
    let files = Files::new();
    let native = |text: &str| policy("native", &format!("{{apparmor: '{text}'}}"));
    let host = |kind: &str, spec: &str| {
        format!(
            "kind: {kind}\nmetadata: {{name: h}}\nspec: {{nodeSelector: {{matchLabels: {{role: edge}}}}, {spec}}}\n---\n"
        )
    };
    let device = |class: &str| {
        host("KubeArmorHostPolicy", &format!("device: {{matchDevice: [{{class: {class}}}]}}"))
    };
    let firewall = |port: u16| {
        let ports = format!("{{ports: [{{port: {port}, protocol: TCP}}]}}");
        host("KubeArmorNetworkPolicy", &format!("ingress: [{ports}]"))
    };
    for (class, old, new) in [
        ("apparmor", native("deny /a rw,"), native("deny /b rw,")),
        ("device", device("HID"), device("ALL")),
        ("firewall", firewall(22), firewall(23)),
    ] {
        let [old, new] = [files.write("old.yaml", &old), files.write("new.yaml", &new)];
        let (status, told) = asked(&["diff", &old, &new]);
        assert_eq!((status, &told["equivalent"]), (1, &json!(false)), "{told:#}");
        let difference = &told["differences"][0];
        assert_eq!(
            (&difference["class"], &difference["change"]),
            (&json!(class), &json!("written otherwise"))
        );
        assert_ne!(difference["old"]["rule"], difference["new"]["rule"]);
        let shown = run(&["diff", &old, &new]);
        let shown = text(&shown.stdout);
        assert!(
            !shown.contains("equivalent") && shown.contains("1 difference: 1 written otherwise"),
            "{shown}"
        );
        let same = run(&["diff", &old, &old]);
        assert_eq!(same.status.code(), Some(0));
        assert!(text(&same.stdout).starts_with("equivalent\n"));
        assert!(!text(&same.stdout).contains("not compared"), "{}", text(&same.stdout));
    }
}

#[test]
fn whom_a_device_rule_concerns_counts_and_where_it_stands_does_not() {
    let files = Files::new();
    let policy = |name: &str, host: &str, classes: &[&str]| {
        let rules: Vec<_> = classes.iter().map(|class| format!("{{class: {class}}}")).collect();
        format!(
            "kind: KubeArmorHostPolicy\nmetadata: {{name: {name}}}\nspec: {{nodeSelector: {{matchLabels: {{role: {host}}}}}, \
             device: {{matchDevice: [{}]}}}}\n---\n",
            rules.join(", ")
        )
    };
    let old = files.write("old.yaml", &policy("a", "edge", &["HID", "ALL"]));
    let moved = [policy("b", "edge", &["ALL"]), policy("a", "edge", &["hid"])].concat();
    let moved = files.write("moved.yaml", &moved);
    assert_eq!(asked(&["diff", &old, &moved]).0, 0);
    assert_eq!(asked(&["diff", "--alerts", &old, &moved]).0, 1, "alerts name the policy");
    let elsewhere = files.write("elsewhere.yaml", &policy("a", "core", &["HID", "ALL"]));
    let (status, told) = asked(&["diff", &old, &elsewhere]);
    assert_eq!((status, told["differences"].as_array().unwrap().len()), (1, 2));
    let fewer = files.write("fewer.yaml", &policy("a", "edge", &["HID"]));
    assert_eq!(asked(&["diff", &old, &fewer]).1["differences"][0]["change"], "taken out");
}

#[test]
fn what_the_reader_warns_of_stands_beside_the_answer() {
    let files = Files::new();
    let rules = "{file: {matchPaths: [{path: /srv/key, readonly: true}]}}";
    let file = files.write("p.yaml", &policy("keys", rules));
    let log = files.write("log", "");
    for args in [
        &["explain", &file, "--read", "/srv/key"][..],
        &["diff", &file, &file],
        &["simulate", &file, "--log", &log],
    ] {
        let (_, told) = asked(args);
        let notes = told["notes"].to_string();
        assert!(notes.contains("p.yaml:3:") && notes.contains("readOnly"), "{told:#}");
        let shown = run(args);
        assert!(text(&shown.stdout).contains("note: ") && text(&shown.stdout).contains("readOnly"));
    }
}

#[test]
fn labels_alone_find_the_namespace_of_the_policies() {
    let files = Files::new();
    let spec = "{selector: {matchLabels: {app: web}}, process: {matchPaths: [{path: /bin/sh}]}}";
    let file = files.write("p.yaml", &policy("shells", spec));
    let (_, told) = asked(&["explain", &file, "--exec", "/bin/sh", "--labels", "app=web"]);
    assert_eq!(
        (&told["verdict"], &told["workload"]["namespace"]),
        (&json!("denied"), &json!("shop"))
    );
    assert!(told["notes"].to_string().contains("namespace shop"), "{told:#}");
    let elsewhere = ["explain", &file, "--exec", "/bin/sh", "--labels", "app=web", "-n", "default"];
    assert_eq!(asked(&elsewhere).1["verdict"], "permitted");
    let others = asked(&["explain", &file, "--exec", "/bin/sh", "--labels", "app=db"]).1;
    assert_eq!(others["workload"]["namespace"], "default");
    let both = [policy("shells", spec), policy("here", spec).replace("shop", "default")].concat();
    let both = files.write("both.yaml", &both);
    let (_, told) = asked(&["explain", &both, "--exec", "/bin/sh", "--labels", "app=web"]);
    assert_eq!(told["workload"]["namespace"], "default");
    assert!(told["notes"].to_string().contains("other namespaces as well: shop"), "{told:#}");
}

#[test]
fn presets_and_system_calls_can_be_asked_about() {
    let files = Files::new();
    let spec = "{presets: [{name: filelessExec}], syscalls: {matchSyscalls: [{syscall: [ptrace]}], \
                matchPaths: [{path: /etc/, recursive: true, syscall: [unlinkat]}]}}";
    let file = files.write("p.yaml", &policy("mixed", spec));
    let ask = |args: &[&str]| asked(&[&["explain", &file], args].concat()).1;
    assert_eq!(ask(&["--preset", "filelessExec"])["verdict"], "denied");
    assert_eq!(ask(&["--preset", "exec"])["verdict"], "permitted");
    let traced = ask(&["--syscall", "ptrace"]);
    assert_eq!(
        (&traced["verdict"], &traced["alert"]["policy"]),
        (&json!("permitted"), &json!("mixed"))
    );
    let removed = ask(&["--syscall", "unlinkat", "--on", "/etc/a/b"]);
    assert_eq!(removed["alert"]["place"], "spec.syscalls.matchPaths[0]");
    assert_eq!(ask(&["--syscall", "unlinkat", "--on", "/srv/a"])["alert"], Value::Null);
    for wrong in [
        &["--preset", "fileless"][..],
        &["--syscall", "ptracee"],
        &["--preset", "exec", "--host"],
        &["--preset", "exec", "--host"],
        &["--preset", "exec", "--on", "/a"],
    ] {
        assert_eq!(run(&[&["explain", &file], wrong].concat()).status.code(), Some(2));
    }
}

#[test]
fn policies_may_stand_among_other_documents() {
    let files = Files::new();
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\n";
    let rule = policy("a", "{file: {matchPaths: [{path: /a}]}}");
    let file = files.write("app.yaml", &format!("{deployment}{rule}"));
    let log = files.write("log", "");
    let (_, told) = asked(&["explain", &file, "--read", "/a"]);
    assert_eq!(told["verdict"], "denied");
    assert!(told["notes"].to_string().contains("`Deployment` is no kind of policy"), "{told:#}");
    assert_eq!(asked(&["diff", &file, &file]).0, 0);
    assert_eq!(asked(&["simulate", &file, "--log", &log]).0, 0);
    let none = files.write("none.yaml", deployment);
    let output = run(&["explain", &none, "--read", "/a"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no policy in"));
}
