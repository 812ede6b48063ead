//! rsyslogd itself, over TCP and UDP, started without rights on ports of its own.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    agent::{Agent, alert, sink},
    http_server::closed_port,
};

struct Rsyslogd(Child);

impl Drop for Rsyslogd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes `facility severity application host id structured-data|message` of each message to `messages`.
fn start(directory: &Path, tcp: u16, udp: u16) -> Option<Rsyslogd> {
    let places = ["/usr/sbin/rsyslogd", "/usr/bin/rsyslogd"];
    let program = places.into_iter().find(|place| Path::new(place).exists())?;
    let path = |name: &str| directory.join(name).display().to_string();
    let configuration = format!(
        r#"global(workDirectory="{work}" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
template(name="parts" type="string"
  string="%syslogfacility-text% %syslogseverity-text% %app-name% %hostname% %msgid% %structured-data%|%msg%\n")
ruleset(name="all") {{ action(type="omfile" file="{file}" template="parts") }}
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all")
"#,
        work = directory.display(),
        file = path("messages"),
    );
    fs::write(directory.join("rsyslog.conf"), configuration).unwrap();
    let child = Command::new(program)
        .args(["-n", "-f", &path("rsyslog.conf"), "-i", &path("pid")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Rsyslogd(child))
}

async fn lines(file: &Path, count: usize) -> Vec<String> {
    let reading = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        loop {
            looks.tick().await;
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
        }
    };
    let lines = tokio::time::timeout(Duration::from_mins(1), reading).await;
    lines.unwrap_or_else(|_| panic!("{:?}", fs::read_to_string(file)))
}

#[tokio::test]
async fn rsyslogd_reads_what_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let (tcp, udp) = (closed_port(), closed_port());
    let Some(_server) = start(directory.path(), tcp, udp) else {
        println!("skipped: no rsyslogd");
        return;
    };
    let endpoint = format!("tcp://127.0.0.1:{tcp}");
    let file = directory.path().join("messages");
    let agent = Agent::start(json!([sink("log", "syslog", &endpoint, json!({}))])).await;
    agent.alerts(0..25);
    agent.delivered("log", 25).await;
    let read = lines(&file, 25).await;
    for (number, line) in read.iter().enumerate() {
        let (header, message) = line.split_once('|').unwrap();
        assert_eq!(
            header,
            "local0 warning kubearmor node alert [kubearmor@32473 cluster=\"default\" namespace=\"bank\" \
             policy=\"ledger\" severity=\"5\" action=\"Block\"]"
        );
        let sent: Value = serde_json::from_str(&alert(number)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(message).unwrap(), sent);
    }
    let endpoint = format!("udp://127.0.0.1:{udp}");
    agent.apply(json!([sink("log", "syslog", &endpoint, json!({"facility": "auth"}))])).await;
    agent.alerts(25..26);
    let read = lines(&file, 26).await;
    assert!(
        read[25].starts_with("auth warning ") && read[25].ends_with(&alert(25)),
        "{}",
        read[25]
    );
}
