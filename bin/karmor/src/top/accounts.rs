//! Asks the agent for its accounts from time to time. A relay has none.

use std::{collections::BTreeMap, time::Duration};

use feed::client::Client;
use tokio::{
    sync::watch::{Receiver, Sender, channel},
    time::sleep,
};

use super::model::{Account, RuleKey, accounts};
use crate::command::Agent;

const PAUSE: Duration = Duration::from_secs(2);

pub(super) type Accounts = BTreeMap<RuleKey, Account>;

/// What the agent says now; nothing if it does not.
pub(super) async fn ask(agent: &Agent) -> Accounts {
    let Ok(client) = agent.connect().await else { return Accounts::new() };
    client.probe().await.map(|answer| accounts(&answer)).unwrap_or_default()
}

/// Asks until nobody looks any more. While there is no answer, the last one stays.
pub(super) fn follow(agent: &Agent) -> Receiver<Accounts> {
    let (sender, receiver) = channel(Accounts::new());
    tokio::spawn(keep_asking(agent.clone(), sender));
    receiver
}

async fn keep_asking(agent: Agent, sender: Sender<Accounts>) {
    let mut client: Option<Client> = None;
    while !sender.is_closed() {
        if client.is_none() {
            client = agent.connect().await.ok();
        }
        if let Some(connected) = &client {
            match connected.probe().await {
                Ok(answer) => drop(sender.send(accounts(&answer))),
                Err(_) => client = None,
            }
        }
        sleep(PAUSE).await;
    }
}
