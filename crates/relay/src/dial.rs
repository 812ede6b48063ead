//! How agents are reached: with TLS or without. Certificates are read for each connection, so that replaced ones come
//! into use.

use std::path::PathBuf;

use feed::{
    ClientIdentity, Provider,
    client::{Client, ClientError},
};

/// What is shown to agents and asked of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// No TLS: whoever answers is the agent.
    Plain,
    /// TLS, both sides with a certificate of the authority in `directory`.
    Mutual {
        directory: PathBuf,
        provider: Provider,
        /// What agents prove to be; `None`: their address. Agents that have one certificate together have one name.
        name: Option<String>,
    },
}

impl Security {
    /// Connects, and makes sure that an agent answers.
    pub(crate) async fn connect(&self, address: &str) -> Result<Client, ClientError> {
        let client = match self {
            Self::Plain => Client::connect(address).await?,
            Self::Mutual { directory, provider, name } => {
                let identity = ClientIdentity::load(directory, *provider)?;
                match name {
                    Some(name) => Client::connect_secure_as(address, &identity, name).await?,
                    None => Client::connect_secure(address, &identity).await?,
                }
            }
        };
        client.check().await?;
        Ok(client)
    }
}
