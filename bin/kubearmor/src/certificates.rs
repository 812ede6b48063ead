//! The certificates of the gRPC port: what the configuration says of them, and bringing changes into use.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use feed::{CertificateError, Certificates, Provider, TlsOptions};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    config::{CertificateProvider, Config},
    watch as follow,
};

/// For what a watched directory does not show: ends that come near, and links into other directories.
const LOOK: Duration = Duration::from_mins(1);
/// Looks after which what people have to do is told again: once a day.
const REMINDER: u64 = 24 * 60;

/// A certificate file of no use, with the way out.
#[derive(Debug, thiserror::Error)]
#[error("gRPC is not offered on the port, since TLS needs what is not there: {problem}\nhint: {}", problem.hint())]
pub(crate) struct NoTls {
    #[from]
    problem: CertificateError,
}

/// Reads the certificates, or makes them if they are self-made.
pub(crate) fn open(config: &Config) -> Result<Arc<Certificates>, NoTls> {
    let provider = match config.tls_cert_provider {
        CertificateProvider::SelfMade => Provider::SelfMade,
        CertificateProvider::External => Provider::External,
    };
    let directory = config.tls_cert_path.clone();
    let names = names(config);
    Ok(Arc::new(Certificates::open(TlsOptions { directory, provider, names })?))
}

/// By what clients may call this machine.
fn names(config: &Config) -> Vec<String> {
    let mut names: BTreeSet<String> =
        ["localhost", "127.0.0.1", "::1", "kubearmor"].map(str::to_owned).into();
    let kernels = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let own = [workload::host(&config.host).name, kernels];
    names.extend(own.into_iter().filter(|name| !name.is_empty() && name.is_ascii()));
    if !config.grpc_address.is_unspecified() {
        names.insert(config.grpc_address.to_string());
    }
    names.extend(config.tls_names.iter().cloned());
    names.into_iter().collect()
}

/// Brings changes of the directory into use until the agent ends, for connections that begin after them.
pub(crate) fn follow(
    certificates: &Arc<Certificates>,
    config: &Config,
    mut ending: watch::Receiver<bool>,
) {
    if config.issues_certificates() {
        info!("TLS: the server's certificate is for {}", names(config).join(", "));
    }
    let (writer, mut changes) = watch::channel(());
    let directory = config.tls_cert_path.clone();
    let followed =
        follow::directories(std::slice::from_ref(&directory), move || writer.send(()).is_ok());
    if let Err(problem) = followed {
        warn!("{} is not followed: {problem}; changes take a minute", directory.display());
    }
    let certificates = Arc::clone(certificates);
    tokio::spawn(async move {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut look, mut complaint) = (0, String::new());
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    if look % REMINDER == 0 {
                        remind(&certificates);
                    }
                    look += 1;
                }
                Ok(()) = changes.changed() => {}
                _ = ending.wait_for(|end| *end) => return,
            }
            look_again(&certificates, &mut complaint);
        }
    });
}

fn look_again(certificates: &Certificates, complaint: &mut String) {
    let problem = match certificates.refresh() {
        Ok(false) => String::new(),
        Ok(true) => {
            info!("TLS: connections from now on have new certificates");
            remind(certificates);
            String::new()
        }
        Err(problem) => {
            format!(
                "TLS goes on with the certificates of before: {problem}\nhint: {}",
                problem.hint()
            )
        }
    };
    if problem != *complaint && !problem.is_empty() {
        error!("{problem}");
    }
    *complaint = problem;
}

fn remind(certificates: &Certificates) {
    for warning in certificates.warnings() {
        warn!("TLS: {warning}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(directory: &std::path::Path) -> Config {
        Config { tls_enabled: true, tls_cert_path: directory.to_owned(), ..Config::default() }
    }

    #[test]
    fn names_are_those_of_the_machine_and_those_that_are_asked_for() {
        let config = Config {
            host: "node".to_owned(),
            grpc_address: [192, 0, 2, 7].into(),
            tls_names: "agent.example, 192.0.2.8".to_owned().try_into().unwrap(),
            ..Config::default()
        };
        let names = names(&config);
        for name in ["localhost", "127.0.0.1", "node", "192.0.2.7", "192.0.2.8", "agent.example"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
        let anywhere = Config { grpc_address: [0, 0, 0, 0].into(), ..Config::default() };
        assert!(!super::names(&anywhere).contains(&"0.0.0.0".to_owned()));
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let external =
            Config { tls_cert_provider: CertificateProvider::External, ..config(directory.path()) };
        let error = open(&external).err().unwrap().to_string();
        assert!(error.contains("ca.crt") && error.contains("hint: "), "{error}");
        assert!(open(&config(directory.path())).is_ok());
    }

    #[test]
    fn a_file_that_broke_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let certificates = open(&config(directory.path())).unwrap();
        let mut complaint = String::new();
        look_again(&certificates, &mut complaint);
        assert_eq!(complaint, "");
        let path = directory.path().join("ca.crt");
        let good = fs::read(&path).unwrap();
        fs::write(&path, "").unwrap();
        look_again(&certificates, &mut complaint);
        assert!(complaint.contains("ca.crt") && complaint.contains("hint: "), "{complaint}");
        fs::write(&path, good).unwrap();
        look_again(&certificates, &mut complaint);
        assert_eq!(complaint, "");
    }
}
