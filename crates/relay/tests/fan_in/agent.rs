//! An agent's services in this process, which can go away and come back as another run.

use std::{path::Path, sync::Arc};

use feed::{
    Certificates, Feed, FeedOptions, Listener, Provider, Services, TlsOptions, listen, serve,
};
use telemetry::{Alert, Log};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) struct Agent {
    pub(crate) feed: Feed,
    pub(crate) address: String,
    name: String,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

/// What TLS servers of these tests show: certificates for a name that no address is.
pub(crate) fn certificates(directory: &Path) -> Arc<Certificates> {
    let options = TlsOptions {
        directory: directory.to_owned(),
        provider: Provider::SelfMade,
        names: vec!["kubearmor".to_owned()],
    };
    Arc::new(Certificates::open(options).unwrap())
}

impl Agent {
    pub(crate) async fn start(name: &str) -> Self {
        Self::with(name, FeedOptions::default(), None).await
    }

    pub(crate) async fn with(
        name: &str,
        options: FeedOptions,
        tls: Option<Arc<Certificates>>,
    ) -> Self {
        let mut agent = Self {
            feed: Feed::new(FeedOptions::default()),
            address: "127.0.0.1:0".to_owned(),
            name: name.to_owned(),
            stop: None,
            served: None,
        };
        agent.feed = Feed::new(options);
        agent.serve(tls).await;
        agent
    }

    /// What the feed has, at the address of before.
    pub(crate) async fn serve(&mut self, tls: Option<Arc<Certificates>>) {
        let listener = listen(self.address.parse().unwrap(), "gRPC").await.unwrap();
        self.address = listener.local_addr().unwrap().to_string();
        let listener = match tls {
            Some(certificates) => Listener::Tls(listener, certificates),
            None => Listener::Tcp(listener),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(listener, self.feed.clone(), Services::default(), async {
            let _ = stopped.await;
        });
        self.served = Some(tokio::spawn(async move { serving.await.unwrap() }));
        self.stop = Some(stop);
    }

    pub(crate) async fn go_away(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            served.await.unwrap();
        }
    }

    pub(crate) fn alert(&self, number: u64) {
        let _ = self.feed.publish_alert(self.alert_of("c", number));
    }

    pub(crate) fn alert_of(&self, container: &str, number: u64) -> Alert {
        Alert { policy_name: number.to_string(), event: self.log_of(container), ..Alert::default() }
    }

    pub(crate) fn log_of(&self, container: &str) -> Log {
        Log {
            host_name: self.name.clone(),
            cluster_name: "west".into(),
            container_id: container.into(),
            ..Log::default()
        }
    }

    pub(crate) fn listed(&self) -> relay::Agent {
        relay::Agent { node: self.name.clone(), address: self.address.clone() }
    }
}
