//! Whom to talk to, and over what: the flag, else `KUBEARMOR_SERVICE`, else the unix socket of this machine, else (for
//! events) the relay of the cluster that this user has access to, else this machine's port.

mod forward;

use std::path::Path;

use anyhow::Context as _;
use feed::{
    CertificateError, ClientIdentity, LocalSocket, Provider,
    client::{Client, ClientError},
};

use self::forward::Reach;
use crate::command::{Agent, CertProvider};

const VARIABLE: &str = "KUBEARMOR_SERVICE";
const LOCAL: &str = "localhost:32767";
/// What a relay's certificate is for where a port is forwarded: to others it is one of this machine.
const FORWARDED: &str = "localhost";

impl Agent {
    /// The address that was asked for, or the port of this machine.
    pub(crate) fn address(&self) -> String {
        self.asked_for().unwrap_or_else(|| LOCAL.to_owned())
    }

    /// Connects to an agent, and makes sure that it answers.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let asked_for = self.asked_for();
        // The socket has no use for certificates: who shows some means the port.
        if asked_for.is_none()
            && !self.secure
            && let Some(client) = local(Path::new(LocalSocket::USUAL_PATH)).await
        {
            return Ok(client);
        }
        self.connect_to(&asked_for.unwrap_or_else(|| LOCAL.to_owned())).await
    }

    /// Connects to whoever has events: an agent, or the relay of a cluster. What it does to find one goes to `say`.
    pub(crate) async fn connect_for_events(&self, say: fn(&str)) -> anyhow::Result<Client> {
        let here = Path::new(LocalSocket::USUAL_PATH).exists() && !self.cluster.is_named();
        if self.asked_for().is_some() || here {
            return self.connect().await;
        }
        let reach = match Reach::find(&self.cluster).await {
            Ok(Some(reach)) => reach,
            Ok(None) => return self.connect().await,
            Err(problem) => return self.instead_of_a_cluster(problem, say).await,
        };
        match self.connect_through(&reach, say).await {
            Ok(client) => Ok(client),
            Err(problem) => self.instead_of_a_cluster(problem, say).await,
        }
    }

    async fn connect_through(&self, reach: &Reach, say: fn(&str)) -> anyhow::Result<Client> {
        say(&format!("no agent was named; looking for the relay of the cluster {}", reach.url));
        let pod = reach.relay().await?;
        say(&format!("forwarding a port of pod {pod} through the API server"));
        let shown = format!("the relay {pod}");
        if !self.secure {
            let plain = async {
                let client = Client::connect_through(&shown, reach.opener(), None).await?;
                client.check().await?;
                Ok::<_, ClientError>(client)
            };
            match plain.await {
                Err(broken_off @ ClientError::BrokenOff { .. }) => {
                    return match self.identity_for(reach).await {
                        Err(_) => Err(broken_off.into()),
                        Ok(identity) => secure_through(&shown, reach, &identity).await,
                    };
                }
                other => return Ok(other?),
            }
        }
        secure_through(&shown, reach, &self.identity_for(reach).await?).await
    }

    /// From the cluster, unless that was forbidden or there is none; else from files.
    async fn identity_for(&self, reach: &Reach) -> anyhow::Result<ClientIdentity> {
        if self.read_ca_from_secret == Some(false) {
            return Ok(self.identity().map_err(ClientError::from)?);
        }
        match reach.identity().await {
            Ok(identity) => Ok(identity),
            Err(problem) => self.identity().map_err(ClientError::from).with_context(|| {
                format!("the cluster has no certificate for this user ({problem:#})")
            }),
        }
    }

    /// Without a cluster's relay, an agent of this machine may be what is meant, unless a cluster was named.
    async fn instead_of_a_cluster(
        &self,
        problem: anyhow::Error,
        say: fn(&str),
    ) -> anyhow::Result<Client> {
        if self.cluster.is_named() {
            return Err(problem);
        }
        match self.connect_to(LOCAL).await {
            Ok(client) => {
                say(&format!("{problem:#}; {LOCAL} answers"));
                Ok(client)
            }
            Err(_) => Err(problem),
        }
    }

    async fn connect_to(&self, address: &str) -> anyhow::Result<Client> {
        if self.secure {
            return Ok(self.connect_secure(address).await?);
        }
        match connect_plain(address).await {
            // An agent with TLS cannot say what it wants; if there are certificates, they are meant for it.
            Err(broken_off @ ClientError::BrokenOff { .. }) => {
                match self.connect_secure(address).await {
                    Err(ClientError::Certificate(_)) => Err(broken_off.into()),
                    other => Ok(other?),
                }
            }
            other => Ok(other?),
        }
    }

    async fn connect_secure(&self, address: &str) -> Result<Client, ClientError> {
        let client = Client::connect_secure(address, &self.identity()?).await?;
        client.check().await?;
        Ok(client)
    }

    fn identity(&self) -> Result<ClientIdentity, CertificateError> {
        let provider = match self.tls_cert_provider {
            CertProvider::SelfMade => Provider::SelfMade,
            CertProvider::External => Provider::External,
        };
        ClientIdentity::load(&self.tls_cert_path, provider)
    }

    fn asked_for(&self) -> Option<String> {
        choose(self.grpc.clone(), std::env::var(VARIABLE).ok())
    }
}

/// For those who may write to standard error.
pub(crate) fn aloud(line: &str) {
    eprintln!("{line}");
}

/// For those who have the terminal, or have said it before.
pub(crate) fn in_silence(_: &str) {}

/// By the socket, if it is there and this user may use it. Else the port serves who only reads.
async fn local(path: &Path) -> Option<Client> {
    if !path.exists() {
        return None;
    }
    connect_plain(&format!("unix:{}", path.display())).await.ok()
}

async fn secure_through(
    shown: &str,
    reach: &Reach,
    identity: &ClientIdentity,
) -> anyhow::Result<Client> {
    let identity = Some((identity, FORWARDED));
    let client = Client::connect_through(shown, reach.opener(), identity).await?;
    client.check().await?;
    Ok(client)
}

async fn connect_plain(address: &str) -> Result<Client, ClientError> {
    let client = Client::connect(address).await?;
    client.check().await?;
    Ok(client)
}

fn choose(flag: Option<String>, variable: Option<String>) -> Option<String> {
    flag.into_iter().chain(variable).find(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_environment_before_this_machine() {
        assert_eq!(choose(Some("a:1".into()), Some("b:2".into())).as_deref(), Some("a:1"));
        assert_eq!(choose(None, Some("b:2".into())).as_deref(), Some("b:2"));
        assert_eq!(choose(Some(String::new()), None), None);
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        assert!(local(&path).await.is_none());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(local(&path).await.is_none());
    }
}
