//! `kubearmor operator` and `kubearmor snitch`: their command lines. What they do is in `crates/operator`.

use ::operator::{Options, snitch};
use clap::{Arg, ArgAction, ArgMatches, Command};
use manifests::Installation;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::log_to_stderr;

/// What the existing operator takes as well, and what has no meaning here.
const WITHOUT_MEANING: [&str; 9] = [
    "lsm",
    "pathprefix",
    "providerHostname",
    "providerEndpoint",
    "initDeploy",
    "loglevel",
    "annotateResource",
    "annotateExisting",
    "socket-file",
];

const ROOT: &str = "/";
const ORDER: &str = "bpf,apparmor,selinux";

pub(crate) fn command() -> Command {
    let default = Installation::default();
    let mut command = Command::new("operator")
        .about("In a cluster: keep the installation as the KubeArmorConfig wants it")
        .after_help("The API server is that of the pod's service account, or of the file that KUBECONFIG names.")
        .arg(
            text("namespace", "The namespace of everything", &default.namespace)
                .env("KUBEARMOR_OPERATOR_NS"),
        )
        .arg(text("image", "The image of all pods, unless the KubeArmorConfig names one", &default.image))
        .arg(text("imagePullPolicy", "Always, IfNotPresent or Never", &default.pull_policy))
        .arg(
            Arg::new("image-pull-secrets")
                .long("image-pull-secrets")
                .value_delimiter(',')
                .value_name("NAME,...")
                .help("Pull secrets of all pods"),
        )
        .arg(
            Arg::new("deploymentName")
                .long("deploymentName")
                .value_name("NAME")
                .help("The operator's own Deployment: whatever it applies goes when that is deleted"),
        );
    for flag in WITHOUT_MEANING {
        let arg = Arg::new(flag).long(flag).hide(true).num_args(0..=1).require_equals(true);
        command = command.arg(arg.action(ArgAction::Append));
    }
    command
}

fn text(name: &'static str, help: &str, default: &str) -> Arg {
    let help =
        if default.is_empty() { help.to_owned() } else { format!("{help} [default: {default}]") };
    Arg::new(name).long(name).value_name("VALUE").help(help)
}

/// Of the snitch, which the operator starts on each node.
pub(crate) fn snitch_command() -> Command {
    Command::new("snitch")
        .about("Tell what kind of node this is, as labels of Kubernetes")
        .arg(text("pathprefix", "Where the node's root is seen", ROOT))
        .arg(text("lsmorder", "Enforcers, best first", ORDER))
        .arg(text("runtime", "The runtime of which the kubelet tells", ""))
        .arg(Arg::new("tell").long("tell").value_name("FILE").help("Where to write it as well"))
}

/// Runs the operator until it is told to end.
pub(crate) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    log_to_stderr(std::env::var("DEBUG").is_ok_and(|value| value == "true"));
    for flag in WITHOUT_MEANING.into_iter().filter(|flag| matches.contains_id(flag)) {
        tracing::warn!("--{flag} has no meaning here and is passed over");
    }
    let given = |name| matches.get_one::<String>(name).cloned();
    let default = Installation::default();
    let secrets = matches.get_many::<String>("image-pull-secrets").into_iter().flatten();
    let options = Options {
        installation: Installation {
            namespace: given("namespace").unwrap_or(default.namespace),
            image: given("image").unwrap_or(default.image),
            pull_policy: given("imagePullPolicy").unwrap_or(default.pull_policy),
            pull_secrets: secrets.filter(|name| !name.is_empty()).cloned().collect(),
            ..Installation::default()
        },
        deployment: given("deploymentName").unwrap_or_default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut end = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ending = async move {
            tokio::select! { _ = end.recv() => {}, _ = interrupt.recv() => {} }
        };
        ::operator::run(options, ending).await
    })
}

/// Looks at this node.
pub(crate) fn run_snitch(matches: &ArgMatches) -> anyhow::Result<()> {
    let text = |name, default: &str| {
        matches.get_one::<String>(name).cloned().unwrap_or_else(|| default.to_owned())
    };
    snitch::run(&snitch::Options {
        path_prefix: text("pathprefix", ROOT).into(),
        lsm_order: text("lsmorder", ORDER).split(',').map(str::to_owned).collect(),
        runtime: text("runtime", ""),
        tell: matches.get_one::<String>("tell").map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use manifests::{KubeArmorConfigSpec, Object};

    use super::*;

    fn arguments(object: &Object) -> Vec<String> {
        let arguments = &object["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments = arguments.as_array().unwrap().iter();
        arguments.map(|argument| argument.as_str().unwrap().to_owned()).collect()
    }

    /// What pods are given is what the programs take.
    #[test]
    fn the_manifests_say_what_the_command_line_takes() {
        let spec: KubeArmorConfigSpec =
            serde_json::from_value(serde_json::json!({"tls": {"enable": true}, "enableNRI": true}))
                .unwrap();
        let installation =
            Installation { pull_secrets: vec!["registry".into()], ..Installation::default() };
        let mut objects = manifests::without_operator(&installation, vec![]);
        objects.extend(manifests::components(&installation, &spec));
        objects.push(manifests::agent(&installation, &spec, None));
        objects.push(manifests::operator(&installation));
        objects.push(manifests::snitch(&installation, &spec, "node", "boot", "containerd"));
        let mut seen = std::collections::BTreeSet::new();
        for object in objects.iter().filter(|object| object["spec"]["template"].is_object()) {
            let given = arguments(object);
            let whole = std::iter::once("kubearmor".to_owned()).chain(given.clone());
            let whole = crate::command_line::normalize(whole);
            let parsed = crate::command_line::command().try_get_matches_from(whole);
            assert!(parsed.is_ok(), "{given:?}: {}", parsed.unwrap_err());
            seen.insert(given[0].clone());
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
    }
}
