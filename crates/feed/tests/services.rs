//! The services over a real socket, as clients of the ecosystem use them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{future::Future, sync::Arc, time::Duration};

use feed::{
    Feed, FeedOptions, Level, PolicyAnswer, PolicyHandler, PolicyStatus, ProbeData, ProbeResponse,
    Services, client::Client, listen, proto::policy::PolicyAccount, serve, serve_health,
};
use policy::Kind;
use telemetry::{Alert, Delivery, Log};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// Answers with what it was sent.
struct Echo;

#[feed::async_trait]
impl PolicyHandler for Echo {
    async fn apply(&self, bytes: Vec<u8>, kind: Kind) -> PolicyAnswer {
        PolicyAnswer {
            status: PolicyStatus::Invalid,
            message: format!("{kind}: {}", String::from_utf8_lossy(&bytes)),
        }
    }
}

#[feed::async_trait]
impl ProbeData for Echo {
    async fn probe(&self) -> ProbeResponse {
        ProbeResponse {
            container_list: vec!["teller".into()],
            accounts: vec![PolicyAccount { policy: "p".into(), ..PolicyAccount::default() }],
            ..ProbeResponse::default()
        }
    }
}

struct Server {
    feed: Feed,
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

async fn start(queue: usize) -> Server {
    let listener = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let feed = Feed::new(FeedOptions { queue, ..FeedOptions::default() });
    let services = Services {
        policies: Some(Arc::new(Echo)),
        probe: Some(Arc::new(Echo)),
        policies_from_anyone: true,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, feed.clone(), services, async {
        let _ = stopped.await;
    }));
    Server { feed, address, stop, task }
}

async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn alert(policy: &str) -> Alert {
    Alert { policy_name: policy.into(), ..Alert::default() }
}

/// Nothing here takes long; what hangs is a failure.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test]
async fn the_nonce_comes_back() {
    let server = start(8).await;
    let client = Client::connect(&server.address).await.unwrap();
    client.check().await.unwrap();
}

#[tokio::test]
async fn filters_choose_between_alerts_and_logs() {
    let server = start(8).await;
    let client = Client::connect(&server.address).await.unwrap();
    for filter in ["system", "", "POLICY"] {
        let mut alerts = client.alerts(filter).await.unwrap();
        assert!(soon(alerts.message()).await.unwrap().is_none(), "{filter}");
    }
    for filter in ["policy", "", "logs"] {
        let mut logs = client.logs(filter).await.unwrap();
        assert!(soon(logs.message()).await.unwrap().is_none(), "{filter}");
    }
    assert!(!server.feed.is_heard());
    let mut by_policy = client.alerts("policy").await.unwrap();
    assert!(server.feed.is_heard());
    let mut by_all = client.alerts("all").await.unwrap();
    let mut logs = client.logs("system").await.unwrap();
    let mut messages = client.messages().await.unwrap();
    assert_eq!(server.feed.publish_alert(alert("ledger")), Delivery::Complete);
    let log = Log { resource: "/bin/true".into(), ..Log::default() };
    assert_eq!(server.feed.publish_log(log), Delivery::Complete);
    server.feed.publish_message(Level::Info, "hello");
    assert_eq!(soon(by_policy.message()).await.unwrap().unwrap().policy_name, "ledger");
    assert_eq!(soon(by_all.message()).await.unwrap().unwrap().policy_name, "ledger");
    assert_eq!(soon(logs.message()).await.unwrap().unwrap().resource, "/bin/true");
    let message = soon(messages.message()).await.unwrap().unwrap();
    assert_eq!((message.level.as_str(), message.message.as_str()), ("INFO", "hello"));
}

#[tokio::test]
async fn a_slow_client_loses_exactly_what_is_counted_and_a_message_says_so() {
    const PUBLISHED: u64 = 200_000;
    let server = start(4).await;
    let client = Client::connect(&server.address).await.unwrap();
    let mut alerts = client.alerts("policy").await.unwrap();
    let mut messages = client.messages().await.unwrap();
    let feed = server.feed.clone();
    // Nobody reads meanwhile: the windows of the connection fill up, then the queue.
    let incomplete = tokio::task::spawn_blocking(move || {
        (0..PUBLISHED).filter(|_| feed.publish_alert(alert("p")) == Delivery::Incomplete).count()
    })
    .await
    .unwrap();
    let dropped = server.feed.dropped();
    assert_eq!(u64::try_from(incomplete).unwrap(), dropped);
    assert!(dropped > 0);
    let message = soon(messages.message()).await.unwrap().unwrap();
    assert!(message.message.contains("too slow"), "{}", message.message);
    server.feed.close();
    let mut received = 0;
    while soon(alerts.message()).await.unwrap().is_some() {
        received += 1;
    }
    assert_eq!(received + dropped, PUBLISHED);
}

#[tokio::test]
async fn policies_reach_the_handler_with_the_kind_of_the_call() {
    let server = start(8).await;
    let client = Client::connect(&server.address).await.unwrap();
    for (kind, told) in [
        (Kind::Container, "KubeArmorPolicy"),
        (Kind::Cluster, "KubeArmorPolicy"),
        (Kind::Host, "KubeArmorHostPolicy"),
        (Kind::Network, "KubeArmorNetworkPolicy"),
    ] {
        let answer = client.apply(kind, b"text".into()).await.unwrap();
        assert_eq!(answer.status, PolicyStatus::Invalid);
        assert_eq!(answer.message, format!("{told}: text"));
    }
    let probe = client.probe().await.unwrap();
    assert_eq!(probe.container_list, ["teller"]);
    assert_eq!(probe.accounts[0].policy, "p");
}

#[tokio::test]
async fn an_agent_that_ends_ends_its_streams() {
    let server = start(8).await;
    let client = Client::connect(&server.address).await.unwrap();
    let mut alerts = client.alerts("all").await.unwrap();
    let _ = server.feed.publish_alert(alert("last"));
    server.stop.send(()).unwrap();
    assert_eq!(soon(alerts.message()).await.unwrap().unwrap().policy_name, "last");
    assert!(soon(alerts.message()).await.unwrap().is_none());
    drop(alerts);
    drop(client);
    soon(server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn services_can_be_listed() {
    let server = start(8).await;
    let mut reflection = ServerReflectionClient::new(channel(&server.address).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answer = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["feeder.LogService", "policy.PolicyService", "policy.ProbeService"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn health_is_served_on_a_port_of_its_own() {
    let listener = listen(([127, 0, 0, 1], 0).into(), "gRPCHealthPort").await.unwrap();
    let address = listener.local_addr().unwrap();
    let services = Services { policies: Some(Arc::new(Echo)), ..Services::default() };
    tokio::spawn(serve_health(listener, services, std::future::pending()));
    let mut health = HealthClient::new(channel(&address.to_string()).await);
    for service in ["", "feeder.LogService", "policy.PolicyService"] {
        let request = HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status.as_str_name(), "SERVING", "{service}");
    }
    let absent = HealthCheckRequest { service: "policy.ProbeService".into() };
    assert_eq!(health.check(absent).await.unwrap_err().code(), tonic::Code::NotFound);
}
