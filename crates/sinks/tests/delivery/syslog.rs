//! Syslog over TCP and UDP: a server that takes messages apart as RFC 6587 and RFC 5424 say.

use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{TcpListener, UdpSocket},
    sync::mpsc,
};

use super::{
    agent::{Agent, alert, numbers, sink},
    http_server::closed_port,
};

/// The next message of a stream with octet counting; `None` at its end.
pub(crate) async fn next_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut length = String::new();
    loop {
        match stream.read_u8().await.ok()? {
            b' ' => break,
            digit => length.push(char::from(digit)),
        }
    }
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).await.ok()?;
    Some(String::from_utf8(message).unwrap())
}

#[tokio::test]
async fn messages_are_counted_and_a_closed_connection_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, mut messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // Closes behind every fifth message.
        while let Ok((mut stream, _)) = listener.accept().await {
            for _ in 0..5 {
                let Some(message) = next_message(&mut stream).await else { break };
                sender.send(message).unwrap();
            }
            drop(stream);
            sender.send("closed".to_owned()).unwrap();
        }
    });
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let agent = Agent::start(json!([sink("log", "syslog", &endpoint, json!({}))])).await;
    let mut seen = Vec::new();
    for start in [0, 5, 10] {
        agent.alerts(start..start + 5);
        loop {
            let message = messages.recv().await.unwrap();
            if message == "closed" {
                break;
            }
            assert!(message.starts_with("<132>1 20"), "{message}");
            seen.extend(numbers(message.as_bytes()));
        }
    }
    assert_eq!(seen, (0..15).collect::<Vec<_>>());
    agent.delivered("log", 15).await;
}

#[tokio::test]
async fn one_datagram_each_and_what_is_cut_is_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    let more = json!({"maxDatagramBytes": 480, "facility": "daemon", "appName": "armor"});
    let agent = Agent::start(json!([sink("log", "syslog", &endpoint, more)])).await;
    agent.alerts(0..2);
    let long = alert(2).replace("number 000002", &"é".repeat(600));
    assert!(agent.sinks.offer(sinks::Stream::Alerts, long));
    let mut buffer = [0; 9000];
    for number in 0..2 {
        let length = socket.recv(&mut buffer).await.unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.starts_with("<28>1 20") && text.contains(" node armor - alert ["), "{text}");
        assert_eq!(numbers(text.as_bytes()), [number]);
        assert!(text.ends_with(&alert(number)));
    }
    let length = socket.recv(&mut buffer).await.unwrap();
    assert!((479..=480).contains(&length), "{length}");
    assert!(std::str::from_utf8(&buffer[..length]).is_ok());
    let account = agent.delivered("log", 3).await;
    assert_eq!(account.truncated, 1);
    assert!(agent.told()[0].contains("cut to `maxDatagramBytes`"), "{:?}", agent.told());
}

#[tokio::test]
async fn a_server_that_is_not_there_gets_all_when_it_comes() {
    let port = closed_port();
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let agent = Agent::start(json!([sink("log", "syslog", &endpoint, json!({}))])).await;
    agent.alerts(0..25);
    agent.until("log", |account| account.failures > 0 && account.spooled > 0).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 25 {
        seen.extend(numbers(next_message(&mut stream).await.unwrap().as_bytes()));
    }
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
    agent.delivered("log", 25).await;
}
