//! `kubearmor relay`: what all agents tell, at one place. Wires the crate `relay` to the agent's ways of serving.

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use ::relay::{Discovery, Lines, Options, Pods, Relay, Replica, Security};
use anyhow::{Context as _, bail};
use feed::{
    Feed, FeedOptions, Provider, Services,
    metrics::{Process, Source},
};
use sinks::Sinks;
use telemetry::Node;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    agent::log_to_stderr,
    config::{CertificateProvider, Config, SocketChoice, Sources},
    outlets,
    transport::{self, Offer},
};

/// Keys of the agent that mean here what they mean there.
pub(crate) const TAKES: &[&str] = &[
    "cluster",
    "host",
    "gRPC",
    "gRPCAddress",
    "gRPCHealthPort",
    "metricsPort",
    "tlsEnabled",
    "tlsCertPath",
    "tlsCertProvider",
    "tlsNames",
    "logPath",
    "logRotateMegabytes",
    "logRotateFiles",
    "history",
    "historyMegabytes",
    "historyDays",
    "sinks",
    "stateDir",
];

/// Keys that the relay alone has, from flags and environment.
pub(crate) const KEYS: &[(&str, &str)] = &[
    (
        "agents",
        "Agents to follow, as HOST:PORT,HOST:PORT (default: the pods labelled kubearmor-app=kubearmor)",
    ),
    (
        "agentNamespace",
        "Namespace of these pods, or `all` (default: KUBEARMOR_NAMESPACE, else all)",
    ),
    ("agentPort", "Port of these pods [default: 32767]"),
    (
        "agentTLS",
        "TLS with client certificates towards agents: true, false (default: as tlsEnabled)",
    ),
    (
        "agentTLSName",
        "Name that agents' certificates are for; `address`: their own address [default: kubearmor]",
    ),
    (
        "replicaName",
        "Name of this pod, where several replicas share sinks and log file (default: it is the only one)",
    ),
];

/// The variable that says in which namespace the relay and its agents are.
const OWN_NAMESPACE: &str = "KUBEARMOR_NAMESPACE";
const EVERYWHERE: &str = "all";
/// Items that wait for one slow listener: many nodes share the place.
const QUEUE: usize = 16_384;
/// What clients have to read what is on its way to them, and sinks to take what waits.
const LAST_WORDS: Duration = Duration::from_millis(1500);

type Keys = BTreeMap<&'static str, String>;

/// Runs until it is told to end.
pub(crate) fn run(sources: &Sources, keys: &Keys) -> anyhow::Result<()> {
    log_to_stderr(sources.environment.get("DEBUG").is_some_and(|value| value == "true"));
    info!("starting the relay, {}", telemetry::VERSION);
    let mut config = sources.load()?;
    // That of the agent of this machine, if there is one.
    config.grpc_socket = SocketChoice::None;
    let lines = lines(&sources.environment, &mut config);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no threads to run on")?
        .block_on(serve(sources, config, lines, keys))
}

async fn serve(sources: &Sources, config: Config, lines: Lines, keys: &Keys) -> anyhow::Result<()> {
    let (discovery, replica) = discovery(keys).await?;
    let security = security(&config, keys)?;
    let node = Node {
        cluster: config.cluster.clone(),
        host: workload::host(&config.host).name,
        id: String::new(),
    };
    let options = FeedOptions { node, queue: QUEUE, many_nodes: true, ..FeedOptions::default() };
    let feed = Feed::new(options);
    let sinks = outlets::open(&feed, &config).await;
    let relay = Relay::new(feed.clone(), Options { discovery, security, lines, replica });

    let (end, ending) = watch::channel(false);
    let offer = Offer {
        config: config.clone(),
        feed: feed.clone(),
        services: Services::default(),
        certificates: Arc::default(),
        listening: Arc::new(Notify::new()),
        ending: ending.clone(),
    };
    tokio::spawn(transport::serve_health(offer.clone()));
    let metrics: Vec<Arc<dyn Source>> =
        vec![relay.metrics(), Arc::new(feed.clone()), Arc::new(Process)];
    tokio::spawn(transport::serve_metrics(offer.clone(), metrics));
    let services = tokio::spawn(offer.serve());
    let relaying = tokio::spawn(relay.run(ending));
    // Fails where nobody waits for it.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    until_told_to_end(sources, &sinks).await?;
    info!("ending");
    let _ = end.send(true);
    let (_, _, ()) = tokio::join!(
        timeout(LAST_WORDS, relaying),
        timeout(LAST_WORDS, services),
        sinks.close(LAST_WORDS)
    );
    feed.flush();
    Ok(())
}

/// Brings sinks of a changed configuration into force at SIGHUP; returns at the signal to end.
async fn until_told_to_end(sources: &Sources, sinks: &Sinks) -> anyhow::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => match sources.load() {
                Ok(config) => {
                    sinks.apply(&config.sinks).await;
                    info!("sinks are as the configuration says; other keys wait for a restart");
                }
                Err(problem) => error!("{problem}; nothing has changed"),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// What of events goes to standard output or the log file. The variables are those of the existing relay.
fn lines(environment: &BTreeMap<String, String>, config: &mut Config) -> Lines {
    let is_on = |name: &str| environment.get(name).is_some_and(|value| value == "true");
    let [alerts, logs, messages] =
        ["ENABLE_STDOUT_ALERTS", "ENABLE_STDOUT_LOGS", "ENABLE_STDOUT_MSGS"].map(is_on);
    if !(alerts || logs || messages) {
        return Lines::default();
    }
    if matches!(config.log_path.as_str(), "" | "none" | "stdout") {
        "stdout".clone_into(&mut config.log_path);
    } else {
        warn!("ENABLE_STDOUT_...: these events go to logPath {}", config.log_path);
    }
    Lines { alerts, logs, messages }
}

/// Whom to follow, and the replica that this one is in a cluster.
async fn discovery(keys: &Keys) -> anyhow::Result<(Discovery, Option<Replica>)> {
    let listed =
        ::relay::listed(keys.get("agents").map_or("", String::as_str)).context("agents")?;
    let name = keys.get("replicaName").filter(|name| !name.is_empty()).cloned();
    if !listed.is_empty() && name.is_none() {
        return Ok((Discovery::Listed(listed), None));
    }
    let client = kube::Client::try_default().await.context(
        "no way to a cluster\nhint: name agents with `--agents HOST:PORT,...`, or run the relay in a cluster, or \
         where KUBECONFIG leads to one",
    )?;
    let own = env::var(OWN_NAMESPACE).ok().filter(|namespace| !namespace.is_empty());
    let namespace = own.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let replica = name.map(|name| Replica { client: client.clone(), namespace, name });
    if !listed.is_empty() {
        return Ok((Discovery::Listed(listed), replica));
    }
    let port = match keys.get("agentPort").filter(|port| !port.is_empty()) {
        Some(port) => port.parse().with_context(|| format!("agentPort: `{port}` is no port"))?,
        None => 32767,
    };
    let asked = keys.get("agentNamespace").filter(|name| !name.is_empty()).cloned();
    let namespace = asked.or(own).filter(|namespace| namespace != EVERYWHERE);
    Ok((Discovery::Pods(Pods { client, namespace, port }), replica))
}

fn security(config: &Config, keys: &Keys) -> anyhow::Result<Security> {
    let tls = match keys.get("agentTLS").map(String::as_str) {
        None | Some("") => config.tls_enabled,
        Some("true" | "on") => true,
        Some("false" | "off") => false,
        Some(other) => bail!("agentTLS: `{other}` is none of true, false"),
    };
    if !tls {
        return Ok(Security::Plain);
    }
    let name = match keys.get("agentTLSName").map(String::as_str) {
        None | Some("") => Some("kubearmor".to_owned()),
        Some("address") => None,
        Some(name) => Some(name.to_owned()),
    };
    let provider = match config.tls_cert_provider {
        CertificateProvider::SelfMade => Provider::SelfMade,
        CertificateProvider::External => Provider::External,
    };
    Ok(Security::Mutual { directory: config.tls_cert_path.clone(), provider, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&'static str, &str)]) -> Keys {
        pairs.iter().map(|&(key, value)| (key, value.to_owned())).collect()
    }

    #[test]
    fn tls_towards_agents_is_as_towards_clients_unless_it_is_said() {
        let tls = Config { tls_enabled: true, ..Config::default() };
        let of = |config: &Config, pairs| security(config, &keys(pairs)).unwrap();
        assert_eq!(of(&Config::default(), &[]), Security::Plain);
        assert_eq!(of(&tls, &[("agentTLS", "false")]), Security::Plain);
        let Security::Mutual { name, .. } = of(&tls, &[]) else { panic!() };
        assert_eq!(name.as_deref(), Some("kubearmor"));
        let by_address = [("agentTLS", "true"), ("agentTLSName", "address")];
        let Security::Mutual { name, .. } = of(&Config::default(), &by_address) else { panic!() };
        assert_eq!(name, None);
        assert!(security(&tls, &keys(&[("agentTLS", "perhaps")])).is_err());
    }

    #[test]
    fn the_existing_relays_variables_choose_what_is_printed() {
        let mut config = Config::default();
        assert_eq!(lines(&BTreeMap::new(), &mut config), Lines::default());
        assert_eq!(config.log_path, "none");
        let environment = [("ENABLE_STDOUT_ALERTS".to_owned(), "true".to_owned())].into();
        let expected = Lines { alerts: true, logs: false, messages: false };
        assert_eq!(lines(&environment, &mut config), expected);
        assert_eq!(config.log_path, "stdout");
    }

    #[tokio::test]
    async fn a_list_needs_no_cluster() {
        let (discovery, replica) = discovery(&keys(&[("agents", "a:1,b:2")])).await.unwrap();
        assert!(replica.is_none());
        let Discovery::Listed(agents) = discovery else { panic!() };
        assert_eq!(agents.len(), 2);
        assert!(super::discovery(&keys(&[("agents", "a")])).await.is_err());
    }

    #[test]
    fn the_manifest_speaks_of_keys_that_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/manifests/relay.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        // Those that are commented out as well.
        let names =
            text.lines().filter_map(|line| line.split_once("- name: ").map(|(_, name)| name));
        let variables: Vec<_> =
            names.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
        assert!(variables.contains(&"TLSENABLED") && variables.len() > 4, "{variables:?}");
        let own = KEYS.iter().map(|(key, _)| *key);
        let known: Vec<String> =
            TAKES.iter().copied().chain(own).map(str::to_ascii_uppercase).collect();
        for name in variables {
            assert!(name == OWN_NAMESPACE || known.iter().any(|known| known == name), "{name}");
        }
        for document in text.split("\n---\n") {
            let object: serde_json::Value = serde_saphyr::from_str(document).unwrap();
            assert!(object["kind"].is_string() && object["metadata"]["name"].is_string());
        }
    }

    #[test]
    fn the_keys_that_it_takes_are_the_agents() {
        for key in TAKES {
            assert!(crate::config::KEYS.iter().any(|(known, _)| known == key), "{key}");
        }
    }
}
