//! Which agent to talk to, and over what: the flag, else `KUBEARMOR_SERVICE`, else the unix socket of this machine,
//! else its port.

use std::path::Path;

use feed::{
    ClientIdentity, LocalSocket, Provider,
    client::{Client, ClientError},
};

use crate::command::{Agent, CertProvider};

const VARIABLE: &str = "KUBEARMOR_SERVICE";
const LOCAL: &str = "localhost:32767";

impl Agent {
    /// The address that was asked for, or the port of this machine.
    pub(crate) fn address(&self) -> String {
        self.asked_for().unwrap_or_else(|| LOCAL.to_owned())
    }

    /// Connects, and makes sure that an agent answers.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let asked_for = self.asked_for();
        // The socket has no use for certificates: who shows some means the port.
        if asked_for.is_none()
            && !self.secure
            && let Some(client) = local(Path::new(LocalSocket::USUAL_PATH)).await
        {
            return Ok(client);
        }
        let address = asked_for.unwrap_or_else(|| LOCAL.to_owned());
        if self.secure {
            return Ok(self.connect_secure(&address).await?);
        }
        match connect_plain(&address).await {
            // An agent with TLS cannot say what it wants; if there are certificates, they are meant for it.
            Err(broken_off @ ClientError::BrokenOff { .. }) => {
                match self.connect_secure(&address).await {
                    Err(ClientError::Certificate(_)) => Err(broken_off.into()),
                    other => Ok(other?),
                }
            }
            other => Ok(other?),
        }
    }

    async fn connect_secure(&self, address: &str) -> Result<Client, ClientError> {
        let provider = match self.tls_cert_provider {
            CertProvider::SelfMade => Provider::SelfMade,
            CertProvider::External => Provider::External,
        };
        let identity = ClientIdentity::load(&self.tls_cert_path, provider)?;
        let client = Client::connect_secure(address, &identity).await?;
        client.check().await?;
        Ok(client)
    }

    fn asked_for(&self) -> Option<String> {
        choose(self.grpc.clone(), std::env::var(VARIABLE).ok())
    }
}

/// By the socket, if it is there and this user may use it. Else the port serves who only reads.
async fn local(path: &Path) -> Option<Client> {
    if !path.exists() {
        return None;
    }
    connect_plain(&format!("unix:{}", path.display())).await.ok()
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
