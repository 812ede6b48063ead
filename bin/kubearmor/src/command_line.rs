//! The command line: one flag for each configuration key, spelled with one dash or two.

use std::{collections::BTreeMap, env, path::PathBuf};

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use crate::{
    config::{Config, KEYS, Sources},
    relay,
};

/// The flag by which the configuration file is named, and the variable.
const FILE_FLAG: &str = "config";
const FILE_VARIABLE: &str = "KUBEARMOR_CFG";
const FILE_NAME: &str = "kubearmor.yaml";
/// A short way to write `policyDir`.
const POLICIES_FLAG: &str = "policies";
/// What the existing relay calls `gRPC`.
const RELAY_PORT: &str = "gRPCPort";

pub(crate) fn command() -> Command {
    Command::new("kubearmor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Enforces security policies on this node")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(agent())
        .subcommand(hook())
        .subcommand(detach())
        .subcommand(crate::operator::command())
        .subcommand(crate::operator::snitch_command())
        .subcommand(crate::controller::command())
        .subcommand(relay())
}

/// Takes those of the agent's keys that are about serving and keeping events, and a few of its own.
fn relay() -> Command {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut relay = Command::new("relay")
        .about("Serve what all agents of a cluster, or of a list, tell at one place")
        .after_help(
            "A flag wins over an environment variable (the key in upper case), that over the file, which has no keys \
             from `agents` on. ENABLE_STDOUT_ALERTS, ENABLE_STDOUT_LOGS and ENABLE_STDOUT_MSGS (true) print events on \
             standard output as JSON lines.",
        )
        .arg(file());
    for &(key, help) in KEYS.iter().filter(|(key, _)| relay::TAKES.contains(key)) {
        let arg = key_arg(key, help, &defaults[key]);
        // As the existing relay spells it.
        relay = relay.arg(if key == "gRPC" { arg.alias(RELAY_PORT) } else { arg });
    }
    for &(key, help) in relay::KEYS {
        relay = relay.arg(value_arg(key).help(help));
    }
    relay
}

fn detach() -> Command {
    Command::new("detach")
        .about("End enforcement on purpose: end the agent, and remove all programs and rules from the kernel")
        .after_help(
            "A running agent detaches its programs and ends with exit status 3, which the systemd unit takes for a \
             reason not to start it again. Nothing is enforced until an agent starts: `systemctl start kubearmor`. \
             Stored policies stay, and hold again then.",
        )
        .arg(file())
        .arg(Arg::new("runDir").long("runDir").value_name("DIR").help("The agent's runDir"))
        .arg(
            Arg::new("bpfFsPath")
                .long("bpfFsPath")
                .value_name("DIR")
                .help("Where the BPF file system is mounted [default: /sys/fs/bpf]"),
        )
}

/// Read by runtimes' own means: they give it the container's state on standard input.
fn hook() -> Command {
    Command::new("hook")
        .about("Let a container start when its rules are in force: for container runtimes to call")
        .after_help(
            "Reads the state of a container from standard input, as the OCI runtime specification defines it, at the \
             stages createRuntime, prestart, createContainer and poststop.",
        )
        .arg(file())
        .arg(Arg::new("runDir").long("runDir").value_name("DIR").help("The agent's runDir"))
}

fn file() -> Arg {
    Arg::new(FILE_FLAG).long(FILE_FLAG).value_name("FILE").help(
        "Configuration file [environment: KUBEARMOR_CFG] [default: kubearmor.yaml beside the program, if there]",
    )
}

fn agent() -> Command {
    // Made only if it is asked for: a container's start waits for the hook, which has no use for all these flags.
    Command::new("agent").about("Enforce policies and report what they catch").defer(with_flags)
}

fn with_flags(agent: Command) -> Command {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut agent = agent
        .after_help(
            "A flag wins over an environment variable (the key in upper case), that over the file.",
        )
        .arg(file())
        .arg(
            Arg::new(POLICIES_FLAG)
                .long(POLICIES_FLAG)
                .value_name("DIR")
                .conflicts_with("policyDir")
                .help("The same as --policyDir"),
        );
    for &(key, help) in KEYS {
        agent = agent.arg(key_arg(key, help, &defaults[key]));
    }
    agent
}

fn key_arg(key: &'static str, help: &str, default: &Value) -> Arg {
    let shown = match default {
        Value::String(text) if text.is_empty() => String::new(),
        Value::Null => String::new(),
        Value::String(text) => format!(" [default: {text}]"),
        other => format!(" [default: {other}]"),
    };
    let arg = if default.is_boolean() {
        Arg::new(key)
            .long(key)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
    } else {
        value_arg(key)
    };
    arg.help(format!("{help}{shown}"))
}

fn value_arg(key: &'static str) -> Arg {
    Arg::new(key).long(key).num_args(1).value_name("VALUE").allow_hyphen_values(true)
}

/// Accepts what the existing implementation accepts: `-k8s=false`, and no subcommand at all.
pub(crate) fn normalize(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut arguments: Vec<String> = arguments
        .map(|argument| match argument.strip_prefix('-') {
            Some(flag) if is_key(flag.split('=').next().unwrap_or_default()) => {
                format!("-{argument}")
            }
            _ => argument,
        })
        .collect();
    let starts_with_a_key = arguments
        .get(1)
        .and_then(|first| first.strip_prefix("--"))
        .is_some_and(|flag| is_key(flag.split('=').next().unwrap_or_default()));
    if starts_with_a_key {
        arguments.insert(1, "agent".to_owned());
    }
    arguments
}

fn is_key(name: &str) -> bool {
    [FILE_FLAG, POLICIES_FLAG, RELAY_PORT].contains(&name)
        || KEYS.iter().chain(relay::KEYS).any(|&(key, _)| key == name)
}

/// What the command line and the environment say.
pub(crate) fn sources(
    matches: &ArgMatches,
    environment: impl Iterator<Item = (String, String)>,
) -> Sources {
    let environment: BTreeMap<String, String> = environment.collect();
    let mut flags: BTreeMap<String, String> = KEYS
        .iter()
        .filter_map(|&(key, _)| Some((key.to_owned(), given(matches, key)?.clone())))
        .collect();
    if let Some(directory) = given(matches, POLICIES_FLAG) {
        flags.insert("policyDir".to_owned(), directory.clone());
    }
    let named = matches
        .get_one::<String>(FILE_FLAG)
        .or(environment.get(FILE_VARIABLE).filter(|path| !path.is_empty()))
        .map(PathBuf::from);
    let file = named.or_else(beside_the_program);
    Sources { file, environment, flags, ..Sources::default() }
}

/// The relay's own keys: from flags, else from the environment.
pub(crate) fn relay_keys(
    matches: &ArgMatches,
    environment: impl Iterator<Item = (String, String)>,
) -> BTreeMap<&'static str, String> {
    let environment: BTreeMap<String, String> = environment.collect();
    let value = |key: &str| given(matches, key).or(environment.get(&key.to_ascii_uppercase()));
    relay::KEYS.iter().filter_map(|&(key, _)| Some((key, value(key)?.clone()))).collect()
}

/// `None` as well for a flag that the subcommand does not have.
fn given<'m>(matches: &'m ArgMatches, flag: &str) -> Option<&'m String> {
    matches.try_get_one::<String>(flag).ok().flatten()
}

fn beside_the_program() -> Option<PathBuf> {
    let file = env::current_exe().ok()?.with_file_name(FILE_NAME);
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], environment: &[(&str, &str)]) -> Sources {
        let arguments = std::iter::once("kubearmor").chain(arguments.iter().copied());
        let arguments = normalize(arguments.map(str::to_owned));
        let matches = command().try_get_matches_from(arguments).unwrap();
        let environment = environment.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        sources(matches.subcommand_matches("agent").unwrap(), environment)
    }

    #[test]
    fn the_commands_are_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_of_either_spelling() {
        let given = ["agent", "-k8s=false", "--gRPC", "7", "-defaultFilePosture=block", "--debug"];
        let flags = parse(&given, &[]).flags;
        assert_eq!(flags["k8s"], "false");
        assert_eq!(flags["gRPC"], "7");
        assert_eq!(flags["defaultFilePosture"], "block");
        assert_eq!(flags["debug"], "true");
        assert_eq!(flags.len(), 4);
    }

    #[test]
    fn the_agent_is_what_flags_alone_mean() {
        assert_eq!(parse(&["-host=a"], &[]).flags["host"], "a");
        assert_eq!(parse(&["--policies", "/p"], &[]).flags["policyDir"], "/p");
    }

    #[test]
    fn a_hook_finds_the_agent_as_the_agent_finds_itself() {
        let arguments = ["kubearmor", "hook", "--config", "/c.yaml", "-runDir", "/r"];
        let arguments = normalize(arguments.into_iter().map(str::to_owned));
        let matches = command().try_get_matches_from(arguments).unwrap();
        let given = sources(matches.subcommand_matches("hook").unwrap(), std::iter::empty());
        assert_eq!((given.file, given.flags["runDir"].as_str()), (Some("/c.yaml".into()), "/r"));
    }

    #[test]
    fn detach_finds_the_agent_as_the_agent_finds_itself() {
        let arguments = ["kubearmor", "detach", "--bpfFsPath", "/b", "-runDir=/r"];
        let arguments = normalize(arguments.into_iter().map(str::to_owned));
        let matches = command().try_get_matches_from(arguments).unwrap();
        let given = sources(matches.subcommand_matches("detach").unwrap(), std::iter::empty());
        assert_eq!((&*given.flags["bpfFsPath"], &*given.flags["runDir"]), ("/b", "/r"));
    }

    #[test]
    fn the_relay_takes_the_flags_of_the_existing_one_and_its_own() {
        let arguments = ["kubearmor", "relay", "-gRPCPort=7", "-tlsEnabled", "--agents", "a:1"];
        let arguments = normalize(arguments.into_iter().map(str::to_owned));
        let matches = command().try_get_matches_from(arguments).unwrap();
        let matches = matches.subcommand_matches("relay").unwrap();
        let flags = sources(matches, std::iter::empty()).flags;
        assert_eq!((&*flags["gRPC"], &*flags["tlsEnabled"]), ("7", "true"));
        let environment = [("AGENTS", "b:2"), ("AGENTPORT", "9")];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let keys = relay_keys(matches, environment.into_iter());
        assert_eq!((&*keys["agents"], &*keys["agentPort"]), ("a:1", "9"));
        assert!(command().try_get_matches_from(["kubearmor", "relay", "--lsm", "bpf"]).is_err());
    }

    #[test]
    fn the_flag_names_the_file_before_the_environment() {
        let environment = [("KUBEARMOR_CFG", "/env.yaml")];
        assert_eq!(parse(&["agent"], &environment).file, Some("/env.yaml".into()));
        let flag = ["agent", "--config", "/flag.yaml"];
        assert_eq!(parse(&flag, &environment).file, Some("/flag.yaml".into()));
        assert_eq!(parse(&["agent"], &[("KUBEARMOR_CFG", "")]).file, None);
    }
}
