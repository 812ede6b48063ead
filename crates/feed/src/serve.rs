//! The gRPC services: feed, policies, probe data, reflection; and health on a port of its own.

use std::{future::Future, sync::Arc, time::Duration};

use policy::Kind;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    service::{InterceptorLayer, interceptor::InterceptedService},
    transport::Server,
};

use crate::{
    Feed, Listener, PolicyHandler, ProbeData,
    connection::Protocol,
    peer,
    proto::{
        DESCRIPTORS,
        feeder::{
            self, Message, NonceMessage, ReplyMessage, RequestMessage,
            log_service_server::{LogService, LogServiceServer},
        },
        history::history_server::HistoryServer,
        policy::{
            Policy, ProbeResponse, Response as PolicyResponse,
            policy_service_server::{PolicyService, PolicyServiceServer},
            probe_service_server::{ProbeService, ProbeServiceServer},
        },
    },
    queue::Watch,
    resume,
};

/// A client that is gone without a word is noticed after about this time.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// Bytes of the largest message: a policy of a few hundred thousand rules, the probe data of a full node.
pub(crate) const LARGEST: usize = 64 << 20;

/// What is served besides the feed.
#[derive(Clone, Default)]
pub struct Services {
    /// Not in Kubernetes, where policies come from the cluster.
    pub policies: Option<Arc<dyn PolicyHandler>>,
    pub probe: Option<Arc<dyn ProbeData>>,
    /// Takes policies from peers that have not shown who they are: anyone who can reach the port.
    pub policies_from_anyone: bool,
}

/// Serves until `shutdown`, then ends all streams and waits for the calls that are under way.
///
/// Who may change policies is decided here, by what `listener` knows of the peer.
pub async fn serve(
    listener: impl Into<Listener>,
    feed: Feed,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
    };
    #[expect(clippy::expect_used, reason = "the descriptors are this build's own")]
    let (v1, v1alpha) = (
        reflection().build_v1().expect("own descriptors decode"),
        reflection().build_v1alpha().expect("own descriptors decode"),
    );
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .layer(InterceptorLayer::new(peer::admit))
        .add_service(v1)
        .add_service(v1alpha)
        .add_service(LogServiceServer::new(feed.clone()))
        .add_service(HistoryServer::new(feed.clone()))
        .add_optional_service(services.policies.map(|handler| {
            let service =
                PolicyServiceServer::new(Policies(handler)).max_decoding_message_size(LARGEST);
            InterceptedService::new(service, peer::may_apply(services.policies_from_anyone))
        }))
        .add_optional_service(services.probe.map(|data| ProbeServiceServer::new(Probe(data))))
        .serve_with_incoming_shutdown(listener.into().incoming(Protocol::Http2), async move {
            shutdown.await;
            feed.close();
        })
        .await
}

/// Serves `grpc.health.v1.Health`, for liveness probes: every service that exists is said to be serving.
pub async fn serve_health(
    listener: TcpListener,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (reporter, server) = tonic_health::server::health_reporter();
    reporter.set_serving::<LogServiceServer<Feed>>().await;
    if services.policies.is_some() {
        reporter.set_serving::<PolicyServiceServer<Policies>>().await;
    }
    if services.probe.is_some() {
        reporter.set_serving::<ProbeServiceServer<Probe>>().await;
    }
    Server::builder()
        .add_service(server)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown)
        .await
}

#[tonic::async_trait]
impl LogService for Feed {
    type WatchMessagesStream = Watch<Message>;
    type WatchAlertsStream = Watch<feeder::Alert>;
    type WatchLogsStream = Watch<feeder::Log>;

    async fn health_check(
        &self,
        request: Request<NonceMessage>,
    ) -> Result<Response<ReplyMessage>, Status> {
        Ok(Response::new(ReplyMessage { retval: request.into_inner().nonce }))
    }

    async fn watch_messages(
        &self,
        request: Request<RequestMessage>,
    ) -> Result<Response<Self::WatchMessagesStream>, Status> {
        Ok(Response::new(self.channels().messages.watch(peer::name(&request))))
    }

    async fn watch_alerts(
        &self,
        request: Request<RequestMessage>,
    ) -> Result<Response<Self::WatchAlertsStream>, Status> {
        let channels = self.channels();
        match request.get_ref().filter.as_str() {
            "all" | "policy" => resume::watch(&channels.alerts, &channels.epoch, &request),
            _ => Ok(Response::new(Watch::nothing())),
        }
    }

    async fn watch_logs(
        &self,
        request: Request<RequestMessage>,
    ) -> Result<Response<Self::WatchLogsStream>, Status> {
        let channels = self.channels();
        match request.get_ref().filter.as_str() {
            "all" | "system" => resume::watch(&channels.logs, &channels.epoch, &request),
            _ => Ok(Response::new(Watch::nothing())),
        }
    }
}

struct Policies(Arc<dyn PolicyHandler>);

impl Policies {
    async fn apply(
        &self,
        request: Request<Policy>,
        kind: Kind,
    ) -> Result<Response<PolicyResponse>, Status> {
        let answer = self.0.apply(request.into_inner().policy, kind).await;
        Ok(Response::new(PolicyResponse { status: answer.status.into(), message: answer.message }))
    }
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn container_policy(
        &self,
        request: Request<Policy>,
    ) -> Result<Response<PolicyResponse>, Status> {
        self.apply(request, Kind::Container).await
    }

    async fn host_policy(
        &self,
        request: Request<Policy>,
    ) -> Result<Response<PolicyResponse>, Status> {
        self.apply(request, Kind::Host).await
    }

    async fn network_policy(
        &self,
        request: Request<Policy>,
    ) -> Result<Response<PolicyResponse>, Status> {
        self.apply(request, Kind::Network).await
    }
}

struct Probe(Arc<dyn ProbeData>);

#[tonic::async_trait]
impl ProbeService for Probe {
    async fn get_probe_data(
        &self,
        _request: Request<()>,
    ) -> Result<Response<ProbeResponse>, Status> {
        Ok(Response::new(self.0.probe().await))
    }
}
