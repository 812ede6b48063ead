//! Which agent to talk to: the flag, else `KUBEARMOR_SERVICE`, else the one of this machine.

use feed::client::Client;

use crate::command::Agent;

const VARIABLE: &str = "KUBEARMOR_SERVICE";
const LOCAL: &str = "localhost:32767";

impl Agent {
    pub(crate) fn address(&self) -> String {
        choose(self.grpc.clone(), std::env::var(VARIABLE).ok())
    }

    /// Connects, and makes sure that an agent answers.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let client = Client::connect(&self.address()).await?;
        client.check().await?;
        Ok(client)
    }
}

fn choose(flag: Option<String>, variable: Option<String>) -> String {
    flag.into_iter()
        .chain(variable)
        .find(|address| !address.is_empty())
        .unwrap_or_else(|| LOCAL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_environment_before_this_machine() {
        assert_eq!(choose(Some("a:1".into()), Some("b:2".into())), "a:1");
        assert_eq!(choose(None, Some("b:2".into())), "b:2");
        assert_eq!(choose(Some(String::new()), None), LOCAL);
    }
}
