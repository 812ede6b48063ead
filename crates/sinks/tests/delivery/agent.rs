//! The near end of a test: sinks with a spool directory, events with numbers, and accounts that must add up whenever they
//! are looked at.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use sinks::{DropReason, SinkAccount, SinkList, Sinks, Stream};
use tempfile::TempDir;

/// Long enough for any machine; reaching it is a failure.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Agent {
    pub(crate) sinks: Sinks,
    pub(crate) directory: Arc<TempDir>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    pub(crate) async fn start(list: Value) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), list).await
    }

    pub(crate) async fn start_in(directory: Arc<TempDir>, list: Value) -> Self {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let tell = {
            let told = Arc::clone(&told);
            Arc::new(move |text: String| told.lock().unwrap().push(text))
        };
        let sinks = Sinks::new(directory.path().join("spool"), tell);
        let agent = Self { sinks, directory, told };
        agent.apply(list).await;
        agent
    }

    pub(crate) async fn apply(&self, list: Value) {
        self.sinks.apply(&serde_json::from_value::<SinkList>(list).unwrap()).await;
    }

    pub(crate) fn spool(&self) -> std::path::PathBuf {
        self.directory.path().join("spool")
    }

    /// Alerts with these numbers; how many of them every sink has in its queue.
    pub(crate) fn alerts(&self, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| self.sinks.offer(Stream::Alerts, alert(*number))).count()
    }

    pub(crate) fn account(&self, name: &str) -> SinkAccount {
        let accounts = self.sinks.accounts();
        let account = accounts.into_iter().find(|account| account.name == name).unwrap();
        let SinkAccount { received, delivered, waiting, spooled, dropped, .. } = account;
        assert_eq!(received, delivered + waiting + spooled + dropped.total(), "{account:?}");
        account
    }

    /// Looks at the account until it is as wanted.
    pub(crate) async fn until(
        &self,
        name: &str,
        wanted: impl Fn(&SinkAccount) -> bool,
    ) -> SinkAccount {
        let looking = async {
            let mut looks = tokio::time::interval(Duration::from_millis(1));
            loop {
                looks.tick().await;
                let account = self.account(name);
                if wanted(&account) {
                    return account;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(account) => account,
            Err(late) => panic!("{late}: {:?} {:?}", self.account(name), self.told()),
        }
    }

    pub(crate) async fn delivered(&self, name: &str, count: u64) -> SinkAccount {
        self.until(name, |account| account.delivered == count).await
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Ends as the agent does, and leaves the directory.
    pub(crate) async fn end(self) -> Arc<TempDir> {
        self.sinks.close(Duration::ZERO).await;
        self.directory
    }
}

pub(crate) fn alert(number: usize) -> String {
    json!({
        "Timestamp": 1_700_000_000 + number,
        "ClusterName": "default",
        "HostName": "node",
        "NamespaceName": "bank",
        "PolicyName": "ledger",
        "Severity": "5",
        "Message": format!("number {number:06}"),
        "Action": "Block",
    })
    .to_string()
}

/// The numbers of alerts in some text, in their order.
pub(crate) fn numbers(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    text.split("number ").skip(1).map(|rest| rest[..6].parse().unwrap()).collect()
}

/// A sink that is quick in all it does, with `more` keys.
pub(crate) fn sink(name: &str, kind: &str, endpoint: &str, more: Value) -> Value {
    let mut keys = json!({
        "name": name,
        "kind": kind,
        "endpoint": endpoint,
        "events": ["alerts", "logs", "messages"],
        "batch": {"maxEvents": 10, "maxAgeMillis": 1},
        "retry": {"initialMillis": 1, "maxMillis": 8},
        "timeoutMillis": 60_000,
    });
    let Value::Object(more) = more else { panic!("{more} is no object") };
    keys.as_object_mut().unwrap().extend(more);
    keys
}

pub(crate) fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

pub(crate) fn dropped(account: &SinkAccount, reason: DropReason) -> u64 {
    account.dropped.of(reason)
}
