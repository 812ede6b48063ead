//! The command line's grammar. Flags are spelled as the ecosystem's `karmor` spells them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use regex::{Regex, RegexBuilder};

use crate::{logs::Destination, policy::PolicyCommand, profile, summary, sysdump, top};

#[derive(Debug, Parser)]
#[command(
    name = "karmor",
    about = "Watches and directs KubeArmor agents",
    version,
    propagate_version = true
)]
pub(crate) struct Karmor {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show alerts and logs as they happen
    Logs(Box<LogOptions>),
    /// Direct the agent of a host without Kubernetes
    #[command(subcommand)]
    Vm(Vm),
    /// Tell what policies mean, without an agent
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Tell what the agent protects, or what this host could enforce
    Probe(ProbeOptions),
    /// Show what the processes of each container do, counted, as it happens
    Profile(Box<profile::Options>),
    /// Show the rules and the workloads that raise most
    Top(Box<top::Options>),
    /// Tell what workloads ran, read, wrote and connected to, and what was denied to them
    Summary(Box<summary::Options>),
    /// Write what helps to find a fault into one file, without secrets
    Sysdump(Box<sysdump::Options>),
    /// Print the version
    Version {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script
    Completion { shell: Shell },
    /// Write the manual pages
    Man {
        /// An existing directory
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Vm {
    /// Add and delete policies
    #[command(subcommand)]
    Policy(VmPolicy),
}

#[derive(Debug, Subcommand)]
pub(crate) enum VmPolicy {
    /// Put the policies of files in force, in place of older ones of the same name
    Add(PolicyFiles),
    /// Take the policies that files name out of force
    Delete(PolicyFiles),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Agent {
    #[arg(
        long = "gRPC",
        value_name = "ADDRESS",
        help = "The agent or relay, as HOST:PORT or unix:PATH [environment: KUBEARMOR_SERVICE] \
                [default: this machine's socket, else localhost:32767]"
    )]
    pub grpc: Option<String>,
    /// Use TLS from the start
    #[arg(long)]
    pub secure: bool,
    /// Directory of ca.crt and ca.key, or of ca.crt, client.crt and client.key
    #[arg(long = "tlsCertPath", value_name = "DIR", default_value = "/var/lib/kubearmor/tls")]
    pub tls_cert_path: PathBuf,
    /// Where the client's certificate comes from
    #[arg(long = "tlsCertProvider", value_enum, default_value_t = CertProvider::SelfMade)]
    pub tls_cert_provider: CertProvider,
    /// Accepted for compatibility: the authority is read from a file
    #[arg(
        long = "readCAFromSecret",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        hide = true
    )]
    pub read_ca_from_secret: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CertProvider {
    /// Issued at once with ca.key
    #[value(name = "self")]
    SelfMade,
    /// client.crt and client.key
    External,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyFiles {
    /// YAML or JSON, any number of documents; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object per policy
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    #[command(flatten)]
    pub agent: Agent,
    /// Where messages of the agent go: a file, stdout or none
    #[arg(long = "msgPath", default_value = "none", value_name = "PATH")]
    pub msg_path: Destination,
    /// Where alerts and logs go: a file, stdout or none
    #[arg(long = "logPath", default_value = "stdout", value_name = "PATH")]
    pub log_path: Destination,
    /// What to watch
    #[arg(long = "logFilter", value_enum, default_value_t = Filter::Policy)]
    pub log_filter: Filter,
    /// The same as `-o json`
    #[arg(long)]
    pub json: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Only events of namespaces that match (regular expression, in any case)
    #[arg(short, long, value_name = "REGEX", value_parser = any_case)]
    pub namespace: Option<Regex>,
    /// Only these operations: Process, File, Network, Capabilities, ... (regular expression, in any case)
    #[arg(long, value_name = "REGEX", value_parser = any_case)]
    pub operation: Option<Regex>,
    #[arg(
        long = "logType",
        value_name = "REGEX",
        value_parser = any_case,
        help = "Only these types: ContainerLog, HostLog, MatchedPolicy, ... (regular expression, in any case)"
    )]
    pub log_type: Option<Regex>,
    /// Only events of containers whose name matches (regular expression, in any case)
    #[arg(long, value_name = "REGEX", value_parser = any_case)]
    pub container: Option<Regex>,
    /// Only events of pods whose name matches (regular expression, in any case)
    #[arg(long, value_name = "REGEX", value_parser = any_case)]
    pub pod: Option<Regex>,
    /// Only events on resources that match (regular expression)
    #[arg(long, value_name = "REGEX")]
    pub resource: Option<Regex>,
    /// Only events of sources that match (regular expression)
    #[arg(long, value_name = "REGEX")]
    pub source: Option<Regex>,
    /// End after so many events of each kind were received; 0 is no limit
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit: u64,
    /// Only events of workloads with any of these labels
    #[arg(short, long, value_delimiter = ',', value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Filter {
    /// Alerts
    Policy,
    /// Logs
    System,
    /// Both
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    /// One object per line
    Json,
    PrettyJson,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeOptions {
    #[command(flatten)]
    pub agent: Agent,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = ProbeFormat::Text)]
    pub format: ProbeFormat,
    /// The same as `-f json`
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeFormat {
    Text,
    Json,
    /// Text that is never coloured
    NoColor,
}

pub(crate) fn any_case(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Karmor::command().debug_assert();
    }

    #[test]
    fn the_flags_of_tls_are_those_of_the_ecosystem() {
        let given = "karmor logs --secure --tlsCertPath /srv/tls --tlsCertProvider external --readCAFromSecret=false";
        let Command::Logs(options) = Karmor::try_parse_from(given.split(' ')).unwrap().command
        else {
            panic!()
        };
        assert!(options.agent.secure);
        assert_eq!(options.agent.tls_cert_path, PathBuf::from("/srv/tls"));
        assert_eq!(options.agent.tls_cert_provider, CertProvider::External);
    }

    #[test]
    fn a_broken_expression_is_wrong_usage() {
        let error = Karmor::try_parse_from(["karmor", "logs", "--pod", "("]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
