//! As much of an API server as finding a pod and forwarding a port of it takes: the list of pods, and the WebSocket
//! protocol `v4.channel.k8s.io` (RFC 6455; two channels for a port, data and errors, each opened with the port's number).

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    runtime::Runtime,
    task::AbortHandle,
};

/// RFC 6455, 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PORT: u16 = 32767;

#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) url: String,
    /// The answer to a question for pods.
    pods: Arc<str>,
    /// That to one for a Secret.
    secret: Arc<str>,
    /// Where the pod's port is.
    target: String,
    asked: Arc<Mutex<Vec<String>>>,
    forwarding: Arc<Mutex<Vec<AbortHandle>>>,
}

impl ApiServer {
    pub(crate) fn start(runtime: &Runtime, pods: &str, secret: &str, target: &str) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            pods: pods.into(),
            secret: secret.into(),
            target: target.to_owned(),
            asked: Arc::default(),
            forwarding: Arc::default(),
        };
        let this = server.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let of_one = this.clone();
                let task = tokio::spawn(async move { drop(of_one.serve(stream).await) });
                this.forwarding.lock().unwrap().push(task.abort_handle());
            }
        });
        server
    }

    /// What was asked for: methods and paths.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Breaks all connections off.
    pub(crate) fn break_off(&self) {
        for task in self.forwarding.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap();
        let path = line.split(' ').nth(1).unwrap().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        if path.contains("/portforward?") {
            return self.forward(stream, &head).await;
        }
        let body = if path.contains("/secrets/") { &self.secret } else { &self.pods };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await
    }

    async fn forward(&self, mut stream: TcpStream, head: &str) -> std::io::Result<()> {
        let header = |name: &str| {
            let found = head.lines().find(|line| {
                line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
            });
            found.and_then(|line| line.split_once(": ")).unwrap().1.to_owned()
        };
        assert!(header("sec-websocket-protocol").contains("v4.channel.k8s.io"), "{head}");
        let accept = format!("{}{GUID}", header("sec-websocket-key"));
        let accept = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, accept.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
            STANDARD.encode(accept)
        );
        stream.write_all(answer.as_bytes()).await?;
        let [low, high] = PORT.to_le_bytes();
        for channel in [0, 1] {
            stream.write_all(&frame(&[channel, low, high])).await?;
        }
        let pod = TcpStream::connect(&self.target).await?;
        let (mut from_pod, mut to_pod) = pod.into_split();
        let (mut from_client, mut to_client) = stream.into_split();
        let there = async {
            while let Some(bytes) = read_frame(&mut from_client).await? {
                if let Some((0, data)) = bytes.split_first() {
                    to_pod.write_all(data).await?;
                }
            }
            Ok(())
        };
        let back = async {
            let mut bytes = vec![0; 16 << 10];
            loop {
                let length = from_pod.read(&mut bytes).await?;
                if length == 0 {
                    return Ok(());
                }
                to_client.write_all(&frame(&[&[0], &bytes[..length]].concat())).await?;
            }
        };
        tokio::select! {
            ended = there => ended,
            ended = back => ended,
        }
    }
}

/// A binary message, as servers send it.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match u16::try_from(payload.len()).unwrap() {
        short @ 0..=125 => frame.push(u8::try_from(short).unwrap()),
        length => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// The payload of the client's next frame, unmasked; `None` at the end.
async fn read_frame(stream: &mut OwnedReadHalf) -> std::io::Result<Option<Vec<u8>>> {
    let [first, second] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    assert_eq!(second & 0x80, 0x80, "clients mask what they send");
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    // The end is announced.
    Ok((first & 0x0f != 8).then_some(payload))
}
