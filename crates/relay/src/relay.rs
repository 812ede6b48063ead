//! [`Relay`]: keeps a connection to every agent there is.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use feed::{
    Feed,
    metrics::{Families, Source},
};
use tokio::{sync::watch, task::JoinHandle};
use tracing::info;

use crate::{
    account::Accounts,
    agents::{Agent, Agents, by_address, reconcile},
    dial::Security,
    fan_in::{FanIn, Origin},
    leases::{self, Replica},
    outlets::{Lines, Outlets},
    pods::Pods,
    pull::{Pull, Start},
};

/// How agents are found.
pub enum Discovery {
    /// These and no others.
    Listed(Vec<Agent>),
    /// The pods of a cluster.
    Pods(Pods),
}

pub struct Options {
    pub discovery: Discovery,
    pub security: Security,
    /// Of the log file, where the feed has one.
    pub lines: Lines,
    /// `None`: the only one.
    pub replica: Option<Replica>,
}

/// Hands what agents tell to a feed, which is served by somebody else.
pub struct Relay {
    discovery: Discovery,
    security: Security,
    replica: Option<Replica>,
    fan: Arc<FanIn>,
}

/// A connection's task, and the node it is for.
struct Pulled {
    agent: Agent,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// `feed` should be one for many nodes.
    pub fn new(feed: Feed, options: Options) -> Self {
        let Options { discovery, security, lines, replica } = options;
        let name = replica.as_ref().map(|replica| replica.name.clone());
        let outlets = Arc::new(Outlets::new(feed.clone(), lines, name, Instant::now()));
        let fan = Arc::new(FanIn { feed, outlets, accounts: Accounts::default() });
        Self { discovery, security, replica, fan }
    }

    /// What it has to tell Prometheus beside what its feed has.
    pub fn metrics(&self) -> Arc<dyn Source> {
        Arc::new(Metrics(Arc::clone(&self.fan)))
    }

    /// Until `ending`. What agents have told by then is handed on.
    pub async fn run(self, ending: watch::Receiver<bool>) {
        let Self { discovery, security, replica, fan } = self;
        let wanted = Arc::new(watch::Sender::new(None));
        let mut changes = wanted.subscribe();
        let discovering = match discovery {
            Discovery::Listed(agents) => {
                wanted.send_replace(Some(by_address(agents)));
                None
            }
            Discovery::Pods(pods) => Some(tokio::spawn(pods.follow(Arc::clone(&wanted)))),
        };
        let renewing = replica.map(|replica| {
            tokio::spawn(leases::keep(replica, Arc::clone(&fan.outlets), ending.clone()))
        });
        let mut connections = Connections { security, fan, pulled: BTreeMap::new(), begun: false };
        let mut end = ending;
        loop {
            tokio::select! {
                Ok(()) = changes.changed() => {}
                _ = end.wait_for(|end| *end) => break,
            }
            let agents = changes.borrow_and_update().clone();
            if let Some(agents) = agents {
                connections.become_these(&agents).await;
            }
        }
        if let Some(discovering) = discovering {
            discovering.abort();
        }
        connections.become_these(&Agents::new()).await;
        if let Some(renewing) = renewing {
            // It ends by itself; an error would be a panic, which has been told.
            let _ = renewing.await;
        }
    }
}

struct Connections {
    security: Security,
    fan: Arc<FanIn>,
    pulled: BTreeMap<String, Pulled>,
    /// The first list has been gone through.
    begun: bool,
}

impl Connections {
    async fn become_these(&mut self, wanted: &Agents) {
        let connected: Agents =
            self.pulled.iter().map(|(key, pulled)| (key.clone(), pulled.agent.clone())).collect();
        let changes = reconcile(&connected, wanted);
        let mut left = Vec::new();
        for pulled in changes.stop.iter().filter_map(|key| self.pulled.remove(key)) {
            info!("the agent of node {} ({}) is gone", pulled.agent.node, pulled.agent.address);
            let _ = pulled.stop.send(true);
            // An error would be a panic, which has been told.
            let _ = pulled.task.await;
            left.push(pulled.agent.node);
        }
        let start = if self.begun { Start::First } else { Start::Now };
        for (key, agent) in changes.start {
            info!("an agent of node {} at {}", agent.node, agent.address);
            let pulled = self.pull(agent, start);
            self.pulled.insert(key, pulled);
        }
        self.begun = true;
        for node in left {
            if self.pulled.values().all(|pulled| pulled.agent.node != node) {
                self.fan.accounts.close(&node);
            }
        }
    }

    fn pull(&self, agent: Agent, start: Start) -> Pulled {
        let origin = Origin::new(&agent.node, &self.fan);
        let mut pull = Pull::new(agent.clone(), self.security.clone(), origin, start);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = pull.go_on() => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
        Pulled { agent, stop, task }
    }
}

struct Metrics(Arc<FanIn>);

#[feed::async_trait]
impl Source for Metrics {
    async fn collect(&self, families: &mut Families) {
        self.0.accounts.collect(families);
        self.0.outlets.collect(families);
    }
}
