//! `kubearmor controller`: its command line. What it does is in `crates/controller`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ::controller::{Options, admission::Strictness, certificates::Place, violations::AlertSource};
use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use feed::Provider;
use tracing::warn;

use crate::agent::log_to_stderr;

/// Between two times that violations are told.
const WINDOW: Duration = Duration::from_secs(60);
/// What the existing implementation's controller takes as well, and what has no meaning here.
const WITHOUT_MEANING: [&str; 5] =
    ["annotateExisting", "leader-elect", "metrics-bind-address", "metrics-secure", "enable-http2"];

pub(crate) fn command() -> Command {
    let mut command = Command::new("controller")
        .about("In a cluster: judge policies before they are taken, and keep their status")
        .after_help(
            "A flag wins over its environment variable. The API server is that of the pod's service account, or of the \
             file that KUBECONFIG names. Metrics are at /metrics of the port of the probes.",
        )
        .arg(text("namespace", "POD_NAMESPACE", "kubearmor", "The namespace that it runs in"))
        .arg(
            Arg::new("identity")
                .long("identity")
                .env("POD_NAME")
                .value_name("NAME")
                .help("What no other replica is called [default: the host's name]"),
        )
        .arg(
            text("webhook-port", "WEBHOOK_PORT", "9443", "Where API servers ask, over HTTPS")
                .value_parser(value_parser!(u16)),
        )
        .arg(text(
            "health-probe-bind-address",
            "HEALTH_PROBE_BIND_ADDRESS",
            ":8081",
            "Where /healthz, /readyz and /metrics are, over HTTP",
        ))
        .arg(
            text("admission", "ADMISSION", "lint", "What is refused: whatever `karmor policy lint` calls an error, or only what no agent can read")
                .value_parser(PossibleValuesParser::new(["lint", "unreadable"])),
        )
        .arg(
            text("statusWrites", "STATUSWRITES", "5", "Statuses that are written in one second at most")
                .value_parser(value_parser!(u16).range(1..=1000)),
        )
        .arg(
            text("events", "EVENTS", "true", "Whether violations become events of the cluster, counted by policy and workload")
                .value_parser(value_parser!(bool)),
        )
        .arg(
            Arg::new("alerts")
                .long("alerts")
                .env("ALERTS")
                .value_name("HOST:PORT")
                .help("Whose alerts these are [default: the relay, kubearmor.NAMESPACE.svc:32767]"),
        )
        .arg(
            text("tlsEnabled", "TLSENABLED", "false", "Whether the relay speaks TLS")
                .value_parser(value_parser!(bool)),
        )
        .arg(text("tlsCertPath", "TLSCERTPATH", "/var/lib/kubearmor/tls", "The directory of the certificates for that"))
        .arg(
            text("tlsCertProvider", "TLSCERTPROVIDER", "external", "Where its own certificate is from: `external`, client.crt and client.key there; `self`, issued by ca.crt and ca.key there")
                .value_parser(PossibleValuesParser::new(["self", "external"])),
        )
        .arg(text("secret", "SECRET", "kubearmor-controller-webhook-server-cert", "The Secret that its own certificates are kept in"))
        .arg(text("service", "SERVICE", "kubearmor-controller-webhook-service", "The Service by which API servers reach it"))
        .arg(text("webhook", "WEBHOOK", "kubearmor-controller-validating-webhook-configuration", "The ValidatingWebhookConfiguration whose authority is kept"))
        .arg(text("lease", "LEASE", "kubearmor-controller", "The Lease that the leader holds"));
    for flag in WITHOUT_MEANING {
        command = command.arg(
            Arg::new(flag)
                .long(flag)
                .hide(true)
                .num_args(0..=1)
                .require_equals(true)
                .action(ArgAction::Append),
        );
    }
    command
}

fn text(
    name: &'static str,
    variable: &'static str,
    default: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(name).long(name).env(variable).default_value(default).value_name("VALUE").help(help)
}

/// Runs it until it is told to end.
pub(crate) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    log_to_stderr(std::env::var("DEBUG").is_ok_and(|value| value == "true"));
    for flag in WITHOUT_MEANING.into_iter().filter(|flag| matches.contains_id(flag)) {
        warn!("--{flag} has no meaning here and is passed over");
    }
    ::controller::run(options(matches)?)
}

fn options(matches: &ArgMatches) -> anyhow::Result<Options> {
    let text = |name| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let number = |name| matches.get_one::<u16>(name).copied().unwrap_or_default();
    let truth = |name| matches.get_one::<bool>(name).copied().unwrap_or_default();
    let (namespace, service) = (text("namespace"), text("service"));
    let given = |name| matches.get_one::<String>(name).filter(|text| !text.is_empty()).cloned();
    let provider =
        if text("tlsCertProvider") == "self" { Provider::SelfMade } else { Provider::External };
    let alerts = AlertSource {
        address: given("alerts").unwrap_or_else(|| format!("kubearmor.{namespace}.svc:32767")),
        certificates: truth("tlsEnabled").then(|| (PathBuf::from(text("tlsCertPath")), provider)),
        window: WINDOW,
    };
    let strictness = text("admission").parse::<Strictness>().map_err(anyhow::Error::msg)?;
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(Options {
        webhook: SocketAddr::from(([0, 0, 0, 0], number("webhook-port"))),
        probes: address(&text("health-probe-bind-address"))?,
        place: Place {
            names: vec![format!("{service}.{namespace}.svc")],
            namespace,
            secret: text("secret"),
            webhook: text("webhook"),
        },
        lease: text("lease"),
        identity: given("identity").unwrap_or_else(host),
        strictness,
        writes: number("statusWrites").into(),
        alerts: truth("events").then_some(alerts),
    })
}

/// Go's way to write an address: `:8081` is a port of all addresses.
fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    whole.parse().with_context(|| {
        format!("--health-probe-bind-address: `{text}` is no address: write ADDRESS:PORT, or :PORT")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        let arguments = ["controller"].iter().chain(arguments);
        options(&command().try_get_matches_from(arguments).unwrap()).unwrap()
    }

    #[test]
    fn without_flags_all_names_are_those_of_the_manifests() {
        let Options { probes, place, alerts, strictness, writes, .. } = parse(&[]);
        assert_eq!(probes, "0.0.0.0:8081".parse().unwrap());
        assert_eq!(place.names, ["kubearmor-controller-webhook-service.kubearmor.svc"]);
        assert_eq!(place.secret, "kubearmor-controller-webhook-server-cert");
        let alerts = alerts.unwrap();
        assert_eq!(
            (&*alerts.address, alerts.certificates),
            ("kubearmor.kubearmor.svc:32767", None)
        );
        assert_eq!((strictness, writes), (Strictness::Lint, 5));
    }

    #[test]
    fn what_the_existing_controller_is_told_is_taken() {
        let options = parse(&[
            "--leader-elect",
            "--annotateExisting=false",
            "--metrics-bind-address=0",
            "--health-probe-bind-address=127.0.0.1:1",
            "--webhook-port=443",
        ]);
        assert_eq!(options.probes, "127.0.0.1:1".parse().unwrap());
        assert_eq!(options.webhook.port(), 443);
    }

    #[test]
    fn events_can_be_switched_off_and_the_relay_can_speak_tls() {
        assert!(parse(&["--events", "false"]).alerts.is_none());
        let alerts = parse(&["--tlsEnabled", "true", "--tlsCertProvider=self", "--alerts", "r:1"]);
        let alerts = alerts.alerts.unwrap();
        assert_eq!(alerts.address, "r:1");
        let (directory, provider) = alerts.certificates.unwrap();
        assert_eq!((directory, provider), ("/var/lib/kubearmor/tls".into(), Provider::SelfMade));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(command().try_get_matches_from(["controller", "--admission", "some"]).is_err());
        let problem = address("8081").unwrap_err().to_string();
        assert!(problem.contains("`8081`"), "{problem}");
    }
}
