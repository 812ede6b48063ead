//! The client side of the services, for `karmor` and for tests.

use std::time::Duration;

use policy::Kind;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    PolicyAnswer, PolicyStatus,
    proto::{
        feeder::{self, NonceMessage, RequestMessage, log_service_client::LogServiceClient},
        policy::{
            Policy, ProbeResponse, policy_service_client::PolicyServiceClient,
            probe_service_client::ProbeServiceClient,
        },
    },
    serve::LARGEST,
};

const CONNECT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is no address: write HOST:PORT")]
    Address(String),
    #[error("cannot reach {address}")]
    Unreachable {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{address} does not answer as an agent does: it sent another nonce back")]
    Nonce { address: String },
    #[error("the agent answered: {}", .0.message())]
    Refused(#[from] Status),
}

/// A connection to an agent or a relay.
#[derive(Clone)]
pub struct Client {
    address: String,
    channel: Channel,
}

impl Client {
    /// Connects to `HOST:PORT`; `:PORT` is a port of this machine.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let whole = match address.strip_prefix(':') {
            Some(port) => format!("localhost:{port}"),
            None => address.to_owned(),
        };
        let endpoint = Endpoint::from_shared(format!("http://{whole}"))
            .ok()
            .filter(|endpoint| endpoint.uri().port_u16().is_some())
            .ok_or_else(|| ClientError::Address(address.to_owned()))?;
        let channel = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(|source| ClientError::Unreachable { address: whole.clone(), source })?;
        Ok(Self { address: whole, channel })
    }

    /// Sends a nonce and expects it back, which every agent and relay does.
    pub async fn check(&self) -> Result<(), ClientError> {
        let nonce = std::process::id().cast_signed();
        let reply = self.feed().health_check(NonceMessage { nonce }).await?;
        if reply.into_inner().retval == nonce {
            Ok(())
        } else {
            Err(ClientError::Nonce { address: self.address.clone() })
        }
    }

    /// `filter` is `policy`, `system` or `all`.
    pub async fn alerts(&self, filter: &str) -> Result<Streaming<feeder::Alert>, ClientError> {
        Ok(self.feed().watch_alerts(request(filter)).await?.into_inner())
    }

    pub async fn logs(&self, filter: &str) -> Result<Streaming<feeder::Log>, ClientError> {
        Ok(self.feed().watch_logs(request(filter)).await?.into_inner())
    }

    pub async fn messages(&self) -> Result<Streaming<feeder::Message>, ClientError> {
        Ok(self.feed().watch_messages(request("")).await?.into_inner())
    }

    /// Hands over a watch event or a policy's text; cluster policies go the way of container policies.
    pub async fn apply(&self, kind: Kind, bytes: Vec<u8>) -> Result<PolicyAnswer, ClientError> {
        let mut service = PolicyServiceClient::new(self.channel.clone());
        let policy = Policy { policy: bytes };
        let response = match kind {
            Kind::Container | Kind::Cluster => service.container_policy(policy).await?,
            Kind::Host => service.host_policy(policy).await?,
            Kind::Network => service.network_policy(policy).await?,
        }
        .into_inner();
        Ok(PolicyAnswer { status: response.status(), message: response.message })
    }

    pub async fn probe(&self) -> Result<ProbeResponse, ClientError> {
        let mut service =
            ProbeServiceClient::new(self.channel.clone()).max_decoding_message_size(LARGEST);
        Ok(service.get_probe_data(()).await?.into_inner())
    }

    fn feed(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone())
    }
}

impl PolicyStatus {
    /// As clients print it: `Policy Applied`.
    pub fn word(self) -> &'static str {
        self.as_str_name()
    }
}

fn request(filter: &str) -> RequestMessage {
    RequestMessage { filter: filter.to_owned() }
}
