//! How a failure shows: the causes, a `hint:` line with the way out, and the exit status.

use std::{error::Error, fmt, io, process::ExitCode};

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use feed::client::ClientError;
use tonic::Status;

pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// What went wrong has been told already; only the exit status remains.
#[derive(Debug)]
pub(crate) struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Told {}

/// A failure that brings the way out with it.
#[derive(Debug)]
pub(crate) struct Advised {
    message: String,
    hint: String,
}

impl Advised {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Advised {}

/// The command was asked for what is not there.
#[derive(Debug)]
pub(crate) struct Misused(pub String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Misused {}

/// Tells the error, unless the reader of our output has just had enough of it; `failed` is the exit status then.
pub(crate) fn report(error: &anyhow::Error, failed: ExitCode) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if error.is::<Told>() {
        return failed;
    }
    eprintln!("{ERROR}error:{ERROR:#} {error:#}");
    if let Some(hint) = hint(error) {
        eprintln!("{HINT}hint:{HINT:#} {hint}");
    }
    failed
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // A connection that breaks is one to the agent, and no reader's choice.
    let connection =
        |cause: &(dyn Error + 'static)| cause.is::<ClientError>() || cause.is::<Status>();
    if error.chain().any(connection) {
        return false;
    }
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn hint(error: &anyhow::Error) -> Option<&str> {
    let own = error.chain().find_map(|cause| cause.downcast_ref::<Advised>());
    own.map(|advised| advised.hint.as_str()).or_else(|| client_hint(error))
}

fn client_hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>()? {
        ClientError::Unreachable { .. } => Some(
            "is the agent running (`systemctl status kubearmor`)? Choose another one with --gRPC HOST:PORT or the environment variable KUBEARMOR_SERVICE",
        ),
        ClientError::Address(_) => Some("for example --gRPC localhost:32767, or --gRPC unix:/run/kubearmor/kubearmor.sock"),
        ClientError::Certificate(problem) => Some(problem.hint()),
        ClientError::Trust { .. } => Some(
            "both sides need certificates of one authority, the server's for the name or address after --gRPC: see --tlsCertPath and --tlsCertProvider; without --secure no TLS is spoken",
        ),
        ClientError::BrokenOff { .. } => Some(
            "if the agent has `tlsEnabled`, use --secure with --tlsCertPath DIR, or on its own machine, as root, leave --gRPC out",
        ),
        ClientError::Nonce { .. } => Some("is something else listening on that port?"),
        ClientError::Refused(status) => refusal_hint(status.code()),
    })
}

fn refusal_hint(code: tonic::Code) -> Option<&'static str> {
    match code {
        tonic::Code::Unimplemented => Some(
            "this service is not offered there: a relay has no policies, and an agent in Kubernetes takes them from the cluster",
        ),
        tonic::Code::PermissionDenied => Some(
            "run karmor on the agent's machine as root and without --gRPC (and without KUBEARMOR_SERVICE), or with --secure where the agent has `tlsEnabled`",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&closed.context("writing")));
    }

    #[test]
    fn a_connection_that_breaks_is_one() {
        let broken = || Status::from_error(io::Error::from(io::ErrorKind::BrokenPipe).into());
        let address = "a:1".to_owned();
        let at_once = ClientError::BrokenOff { address, source: broken() };
        assert!(!is_broken_pipe(&at_once.into()));
        assert!(!is_broken_pipe(&anyhow::Error::from(broken()).context("the stream broke off")));
    }

    #[test]
    fn an_address_without_a_port_has_a_hint() {
        assert!(hint(&ClientError::Address("host".into()).into()).is_some());
    }
}
