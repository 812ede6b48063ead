//! The client side of the services, for `karmor` and for tests.

mod address;
mod connector;

use std::{error::Error, io, time::Duration};

use policy::Kind;
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

use self::connector::Connector;
pub use self::{address::Address, connector::Opener};
use crate::{
    Beginning, CertificateError, ClientIdentity, PolicyAnswer, PolicyStatus, Position,
    proto::{
        feeder::{self, NonceMessage, RequestMessage, log_service_client::LogServiceClient},
        history::{HistoryEvent, HistoryRequest, history_client::HistoryClient},
        policy::{
            Policy, ProbeResponse, policy_service_client::PolicyServiceClient,
            probe_service_client::ProbeServiceClient,
        },
    },
    resume,
    serve::LARGEST,
};

const CONNECT: Duration = Duration::from_secs(5);

/// What keeps a client from its agent.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is no address: write HOST:PORT, or unix:PATH")]
    Address(String),
    #[error("cannot reach {address}")]
    Unreachable {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("no TLS between this client and {address}: {problem}")]
    Trust { address: String, problem: String },
    #[error("{address} broke the connection off; it may want TLS")]
    BrokenOff {
        address: String,
        #[source]
        source: Status,
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
    secure: bool,
    channel: Channel,
}

impl Client {
    /// Connects without TLS. `:PORT` is a port of this machine, `unix:PATH` a socket.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let address: Address = address.parse()?;
        Self::over(address.to_string(), Connector::to(address)).await
    }

    /// Connects with TLS, showing a certificate and expecting one of the same authority.
    pub async fn connect_secure(
        address: &str,
        identity: &ClientIdentity,
    ) -> Result<Self, ClientError> {
        let address: Address = address.parse()?;
        let Address::Host { host, .. } = &address else {
            // The socket needs no TLS: the kernel tells who is there.
            return Self::over(address.to_string(), Connector::to(address)).await;
        };
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self::over(address.to_string(), Connector::to(address).secure(identity, &name)?).await
    }

    /// [`Self::connect_secure`], where the server proves to be `name` whatever its address is.
    pub async fn connect_secure_as(
        address: &str,
        identity: &ClientIdentity,
        name: &str,
    ) -> Result<Self, ClientError> {
        let address: Address = address.parse()?;
        Self::over(address.to_string(), Connector::to(address).secure(identity, name)?).await
    }

    /// Connects over what `opener` opens, the first time and after each loss; with an identity by TLS, where the server
    /// proves to be the name beside it. `shown` is what it is called.
    pub async fn connect_through(
        shown: &str,
        opener: Opener,
        identity: Option<(&ClientIdentity, &str)>,
    ) -> Result<Self, ClientError> {
        let connector = Connector::through(opener);
        let connector = match identity {
            Some((identity, name)) => connector.secure(identity, name)?,
            None => connector,
        };
        Self::over(shown.to_owned(), connector).await
    }

    async fn over(shown: String, connector: Connector) -> Result<Self, ClientError> {
        let endpoint = Endpoint::from_shared(format!("http://{}", connector.authority()))
            .map_err(|_| ClientError::Address(shown.clone()))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_while_idle(true);
        let secure = connector.is_secure();
        let connected = endpoint.connect_with_connector(connector.service()).await;
        let channel = connected.map_err(|source| match mistrust(&source) {
            Some(problem) => ClientError::Trust { address: shown.clone(), problem },
            None => ClientError::Unreachable { address: shown.clone(), source },
        })?;
        Ok(Self { address: shown, secure, channel })
    }

    /// The address that it is connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a nonce and expects it back, which every agent and relay does.
    pub async fn check(&self) -> Result<(), ClientError> {
        let nonce = std::process::id().cast_signed();
        let reply = self
            .feed()
            .health_check(NonceMessage { nonce })
            .await
            .map_err(|status| self.first_failure(status))?;
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

    /// [`Self::alerts`] with numbers, from behind `position` as far as the server still has it, or from now on.
    pub async fn alerts_behind(
        &self,
        filter: &str,
        position: Option<&Position>,
    ) -> Result<(Streaming<feeder::Alert>, Beginning), ClientError> {
        let mut request = Request::new(request(filter));
        resume::ask(&mut request, position);
        let response = self.feed().watch_alerts(request).await?;
        let beginning = resume::answered(response.metadata(), position);
        Ok((response.into_inner(), beginning))
    }

    /// The same for [`Self::logs`].
    pub async fn logs_behind(
        &self,
        filter: &str,
        position: Option<&Position>,
    ) -> Result<(Streaming<feeder::Log>, Beginning), ClientError> {
        let mut request = Request::new(request(filter));
        resume::ask(&mut request, position);
        let response = self.feed().watch_logs(request).await?;
        let beginning = resume::answered(response.metadata(), position);
        Ok((response.into_inner(), beginning))
    }

    /// What the agent has kept from `since` up to before `until`, microseconds since 1970.
    pub async fn history(
        &self,
        since: i64,
        until: i64,
        filter: &str,
    ) -> Result<Streaming<HistoryEvent>, ClientError> {
        let request = HistoryRequest { since, until, filter: filter.to_owned() };
        Ok(HistoryClient::new(self.channel.clone()).query(request).await?.into_inner())
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

    /// What the failure of the first call means. A server that does not trust a client says so only then.
    fn first_failure(&self, status: Status) -> ClientError {
        // An answer of the agent has no cause on this side.
        let Some(cause) = status.source() else { return ClientError::Refused(status) };
        let address = self.address.clone();
        if self.secure {
            let last = std::iter::successors(Some(cause), |&cause| cause.source()).last();
            return ClientError::Trust { address, problem: last.unwrap_or(cause).to_string() };
        }
        ClientError::BrokenOff { address, source: status }
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

/// What TLS has to say against it, if it is TLS that failed.
fn mistrust(error: &(dyn Error + 'static)) -> Option<String> {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>()?.get_ref())
        .find_map(|wrapped| wrapped.downcast_ref::<rustls::Error>())
        .map(ToString::to_string)
}
