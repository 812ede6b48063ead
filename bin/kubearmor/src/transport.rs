//! How clients reach the agent: its unix socket, the port with or without TLS, and the port for health.
//!
//! Nothing here ends the agent: what cannot be opened is told, and tried again.

use std::{
    fmt::Display, fs, net::SocketAddr, os::unix::fs::DirBuilderExt as _, sync::Arc, time::Duration,
};

use feed::{Certificates, Feed, Listener, LocalSocket, Services, metrics::Source};
use tokio::{
    net::TcpListener,
    sync::{Notify, OnceCell, watch},
    time::sleep,
};
use tracing::{error, info, warn};

use crate::{backend, certificates, config::Config, instance::write_whole};

/// Between attempts to open what could not be opened.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 5000 });

/// Makes the directory of self-made certificates, so that it is there to be protected.
pub(crate) fn make_room(config: &Config) {
    if !config.issues_certificates() {
        return;
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.tls_cert_path);
    if let Err(problem) = made {
        warn!("tlsCertPath {}: {problem}", config.tls_cert_path.display());
    }
}

/// What is offered, and how long.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) config: Config,
    pub(crate) feed: Feed,
    pub(crate) services: Services,
    /// Those of the ports that TLS is spoken on, once they could be read.
    pub(crate) certificates: Arc<OnceCell<Arc<Certificates>>>,
    /// Told when every way was tried, and clients can reach the agent in one at least.
    pub(crate) listening: Arc<Notify>,
    pub(crate) ending: watch::Receiver<bool>,
}

impl Offer {
    /// Serves gRPC until the agent ends.
    pub(crate) async fn serve(self) {
        let mut complaints = [String::new(), String::new()];
        let network = self.try_network(&mut complaints[0]).await;
        let local = self.try_local(&mut complaints[1]);
        let [network_complaint, local_complaint] = complaints;
        tokio::join!(self.network(network, network_complaint), self.local(local, local_complaint));
    }

    async fn network(&self, mut listener: Option<Listener>, mut complaint: String) {
        while listener.is_none() {
            if self.ends_within(AGAIN).await {
                return;
            }
            listener = self.try_network(&mut complaint).await;
        }
        if let Some(listener) = listener {
            self.serve_on(listener).await;
        }
    }

    async fn local(&self, mut socket: Option<LocalSocket>, mut complaint: String) {
        if self.config.socket().is_none() {
            return;
        }
        while socket.is_none() {
            if self.ends_within(AGAIN).await {
                return;
            }
            socket = self.try_local(&mut complaint);
        }
        if let Some(socket) = socket {
            self.serve_on(socket).await;
        }
    }

    async fn serve_on(&self, listener: impl Into<Listener>) {
        // All ways have been tried by now.
        self.listening.notify_one();
        let (feed, services) = (self.feed.clone(), self.services.clone());
        if let Err(problem) = feed::serve(listener, feed, services, told(self.ending.clone())).await
        {
            error!("gRPC: {}", backend::chain(&problem));
        }
    }

    async fn try_network(&self, complaint: &mut String) -> Option<Listener> {
        tell_changes(self.open_network().await, complaint)
    }

    /// The port, if it is free and what TLS needs is there.
    async fn open_network(&self) -> anyhow::Result<Listener> {
        let certificates = self.certificates().await?;
        let address = SocketAddr::new(self.config.grpc_address, self.config.grpc);
        let listener = feed::listen(address, "gRPC").await?;
        self.write_port(&listener);
        Ok(over(listener, certificates))
    }

    /// `None` without TLS.
    async fn certificates(&self) -> anyhow::Result<Option<Arc<Certificates>>> {
        let config = &self.config;
        if !config.tls_enabled {
            return Ok(None);
        }
        let opened = self.certificates.get_or_try_init(|| async {
            let certificates = certificates::open(config)?;
            certificates::follow(&certificates, config, self.ending.clone());
            anyhow::Ok(certificates)
        });
        opened.await.cloned().map(Some)
    }

    /// Tells clients which port it is where the configuration does not.
    fn write_port(&self, listener: &TcpListener) {
        if self.config.grpc != 0 {
            return;
        }
        let Ok(address) = listener.local_addr() else { return };
        let path = self.config.state_dir.join("kubearmor.pid");
        if let Err(problem) = write_whole(&path, &address.port().to_string(), 0o644) {
            error!("{}: {problem}; clients do not find port {}", path.display(), address.port());
        }
    }

    fn try_local(&self, complaint: &mut String) -> Option<LocalSocket> {
        let path = self.config.socket()?;
        let mut socket = tell_changes(LocalSocket::listen(&path), complaint)?;
        let group = &self.config.grpc_socket_group;
        if !group.is_empty()
            && let Err(problem) = socket.share(group)
        {
            error!("{problem}\nthe socket is root's alone");
        }
        Some(socket)
    }

    /// Whether the agent ends before so much time has passed.
    async fn ends_within(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => false,
            () = told(self.ending.clone()) => true,
        }
    }
}

fn over(listener: TcpListener, certificates: Option<Arc<Certificates>>) -> Listener {
    match certificates {
        Some(certificates) => Listener::Tls(listener, certificates),
        None => Listener::Tcp(listener),
    }
}

/// Serves metrics until the agent ends, to those who may watch alerts.
pub(crate) async fn serve_metrics(offer: Offer, sources: Vec<Arc<dyn Source>>) {
    if offer.config.metrics_port == 0 {
        return;
    }
    let address = SocketAddr::new(offer.config.grpc_address, offer.config.metrics_port);
    let open = async || {
        let certificates = offer.certificates().await?;
        anyhow::Ok(over(feed::listen(address, "metricsPort").await?, certificates))
    };
    let mut complaint = String::new();
    let listener = loop {
        if let Some(listener) = tell_changes(open().await, &mut complaint) {
            break listener;
        }
        if offer.ends_within(AGAIN).await {
            return;
        }
    };
    feed::metrics::serve(listener, sources, told(offer.ending)).await;
}

/// Serves `grpc.health.v1.Health` until the agent ends.
pub(crate) async fn serve_health(offer: Offer) {
    let address = SocketAddr::new(offer.config.grpc_address, offer.config.grpc_health_port);
    let mut complaint = String::new();
    let listener = loop {
        let opened = feed::listen(address, "gRPCHealthPort").await;
        if let Some(listener) = tell_changes(opened, &mut complaint) {
            break listener;
        }
        if offer.ends_within(AGAIN).await {
            return;
        }
    };
    if let Err(problem) = feed::serve_health(listener, offer.services, told(offer.ending)).await {
        error!("gRPC health: {}", backend::chain(&problem));
    }
}

/// Tells why something could not be opened, unless that was the last thing told of it.
fn tell_changes<T, E: Display>(opened: Result<T, E>, complaint: &mut String) -> Option<T> {
    match opened {
        Ok(opened) => {
            if !complaint.is_empty() {
                info!("that is mended");
            }
            complaint.clear();
            Some(opened)
        }
        Err(problem) => {
            let problem = problem.to_string();
            if problem != *complaint {
                error!("{problem}\ntrying again; all else goes on meanwhile");
            }
            *complaint = problem;
            None
        }
    }
}

async fn told(mut ending: watch::Receiver<bool>) {
    // An error means that the agent's main task is gone: the end as well.
    let _ = ending.wait_for(|end| *end).await;
}

#[cfg(test)]
mod tests;
