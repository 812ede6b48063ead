//! What stands between the agent and the API server: told once, though it is met every few seconds.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::runtime::watcher::Error;

/// After so long without a fault the next one is a new one. Watchers try again within half of it.
const OVER: Duration = Duration::from_mins(2);
/// Different ones of one time that are told.
const MOST: usize = 16;

pub(super) struct Faults<S> {
    say: S,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    texts: BTreeSet<String>,
    last: Option<Instant>,
}

impl<S: Fn(String)> Faults<S> {
    pub(super) fn new(say: S) -> Self {
        Self { say, told: Mutex::default() }
    }

    pub(super) fn note(&self, what: &str, fault: &Error) {
        if let Some(text) = self.is_news(text(what, fault), Instant::now()) {
            (self.say)(text);
        }
    }

    fn is_news(&self, text: String, now: Instant) -> Option<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let over = told.last.is_some_and(|last| now.duration_since(last) > OVER);
        if over {
            told.texts.clear();
        }
        told.last = Some(now);
        (told.texts.len() < MOST && told.texts.insert(text.clone())).then_some(text)
    }
}

/// The same for all kinds of objects where it is the server that is away; with the object where it is about that.
fn text(what: &str, fault: &Error) -> String {
    let stays = "what is known stays in force";
    match fault {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => of_status(what, status),
        Error::InitialListFailed(problem)
        | Error::WatchStartFailed(problem)
        | Error::WatchFailed(problem) => {
            format!("the API server is away ({}); {stays}", innermost(problem))
        }
        Error::NoResourceVersion => {
            format!("the API server tells no version of {what}; {stays}")
        }
    }
}

fn of_status(what: &str, status: &kube::core::Status) -> String {
    match status.code {
        403 => format!(
            "the API server refuses to show {what}: {}; give the agent the rights of deploy/manifests/agent-rbac.yaml",
            status.message
        ),
        404 => format!(
            "the API server knows no {what}; apply the definitions in deploy/crds if there should be any"
        ),
        410 => format!(
            "the API server has forgotten where the agent was with {what}; it is listed anew"
        ),
        code => format!("the API server does not show {what}: {code} {}", status.message),
    }
}

/// What happened in the end, without what it was called on the way.
fn innermost(problem: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = problem;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_until_it_was_over() {
        let faults = Faults::new(|_| {});
        let begin = Instant::now();
        let told = |text: &str, seconds| {
            faults.is_news(text.to_owned(), begin + Duration::from_secs(seconds)).is_some()
        };
        assert!(told("away", 0));
        assert!(!told("away", 30));
        assert!(told("forbidden", 31));
        // Hours of absence are one.
        assert!((1..240).all(|minute| !told("away", 31 + 60 * minute)));
        assert!(told("away", 31 + 60 * 239 + 121));
    }

    #[test]
    fn many_different_ones_are_no_flood() {
        let faults = Faults::new(|_| {});
        let now = Instant::now();
        let told = (0..1000).filter(|number| faults.is_news(number.to_string(), now).is_some());
        assert_eq!(told.count(), MOST);
    }
}
