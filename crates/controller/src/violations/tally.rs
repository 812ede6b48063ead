//! Alerts, counted by policy and workload.

use std::{cmp::Reverse, collections::HashMap, fmt};

use feed::proto::feeder::Alert;
use policy::{Kind, PolicyId};

/// Policies and workloads that are counted at once.
const MOST: usize = 4096;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    pub policy: PolicyId,
    pub workload: Workload,
    /// Denied, not only reported.
    pub blocked: bool,
}

/// Whose access it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A pod's owner, or the pod itself if it has none.
    Object { kind: String, namespace: String, name: String },
    /// A program of a node outside of containers.
    Node(String),
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, namespace, name } => write!(f, "{kind} {namespace}/{name}"),
            Self::Node(name) => write!(f, "node {name}"),
        }
    }
}

/// Alerts on one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violation {
    /// With those that the agent counted and did not send.
    pub count: u64,
    /// The last of them, in one line.
    pub last: String,
}

/// Bounded counts.
#[derive(Debug, Default)]
pub struct Tally(HashMap<Subject, Violation>);

impl Subject {
    /// `None` for alerts that no policy asked for, such as those of a default posture, and where it is unknown
    /// which kind of policy it was.
    pub fn of(alert: &Alert) -> Option<Self> {
        let kind = Kind::parse(&alert.policy_kind)?;
        let namespace = kind.is_namespaced().then(|| alert.policy_namespace.clone());
        let policy = PolicyId { kind, namespace, name: alert.policy_name.clone() };
        let blocked = alert.result != "Passed";
        Some(Self { policy, workload: Workload::of(alert), blocked })
    }
}

impl Workload {
    fn of(alert: &Alert) -> Self {
        let object = |kind: &str, name: &str| Self::Object {
            kind: kind.to_owned(),
            namespace: alert.namespace_name.clone(),
            name: name.to_owned(),
        };
        match &alert.owner {
            Some(owner) if !owner.name.is_empty() && !owner.r#ref.is_empty() => {
                object(&owner.r#ref, &owner.name)
            }
            _ if !alert.pod_name.is_empty() => object("Pod", &alert.pod_name),
            _ => Self::Node(alert.host_name.clone()),
        }
    }
}

impl Tally {
    /// Whether there was room for it.
    pub fn add(&mut self, subject: Subject, alert: &Alert) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&subject) {
            return false;
        }
        let violation = self.0.entry(subject).or_default();
        violation.count += 1 + alert.suppressed_alerts;
        violation.last = in_words(alert);
        true
    }

    /// Takes those with the most alerts out; the others go on counting.
    pub fn take(&mut self, most: usize) -> Vec<(Subject, Violation)> {
        let mut all: Vec<_> = self.0.drain().collect();
        all.sort_by(|(a, one), (b, other)| {
            Reverse(one.count).cmp(&Reverse(other.count)).then(a.cmp(b))
        });
        self.0.extend(all.split_off(most.min(all.len())));
        all
    }
}

/// `File /etc/shadow by /bin/cat, pod web-1, node n1`.
fn in_words(alert: &Alert) -> String {
    let Alert { operation, resource, process_name, pod_name, host_name, .. } = alert;
    let mut text = format!("{operation} {resource}");
    for (before, name) in [(" by ", process_name), (", pod ", pod_name), (", node ", host_name)] {
        if !name.is_empty() {
            text.push_str(before);
            text.push_str(name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use feed::proto::feeder::Podowner;

    use super::*;

    fn alert(policy: &str, pod: &str) -> Alert {
        Alert {
            policy_kind: "KubeArmorPolicy".into(),
            policy_namespace: "shop".into(),
            policy_name: policy.into(),
            namespace_name: "shop".into(),
            pod_name: pod.into(),
            host_name: "n1".into(),
            owner: Some(Podowner {
                r#ref: "Deployment".into(),
                name: "web".into(),
                namespace: "shop".into(),
            }),
            operation: "File".into(),
            resource: "/etc/shadow".into(),
            process_name: "/bin/cat".into(),
            result: "Permission denied".into(),
            ..Alert::default()
        }
    }

    fn added(tally: &mut Tally, alert: &Alert) -> bool {
        tally.add(Subject::of(alert).unwrap(), alert)
    }

    #[test]
    fn pods_of_one_owner_count_together() {
        let mut tally = Tally::default();
        added(&mut tally, &alert("p", "web-1"));
        added(&mut tally, &Alert { suppressed_alerts: 4, ..alert("p", "web-2") });
        added(&mut tally, &Alert { result: "Passed".into(), ..alert("p", "web-2") });
        let taken = tally.take(10);
        assert_eq!(taken.len(), 2);
        let (subject, violation) = &taken[0];
        assert_eq!(subject.workload.to_string(), "Deployment shop/web");
        assert!(subject.blocked);
        assert_eq!(violation.count, 6);
        assert_eq!(violation.last, "File /etc/shadow by /bin/cat, pod web-2, node n1");
        assert!(tally.take(10).is_empty());
    }

    #[test]
    fn what_no_policy_asked_for_has_no_subject() {
        assert_eq!(Subject::of(&Alert { policy_kind: String::new(), ..alert("p", "a") }), None);
    }

    #[test]
    fn a_policy_for_nodes_has_no_namespace() {
        let of_host = Alert {
            policy_kind: "KubeArmorHostPolicy".into(),
            owner: None,
            pod_name: String::new(),
            ..alert("p", "")
        };
        let subject = Subject::of(&of_host).unwrap();
        assert_eq!(
            (subject.policy.namespace, subject.workload),
            (None, Workload::Node("n1".into()))
        );
    }

    #[test]
    fn most_alerts_come_first_and_the_rest_goes_on_counting() {
        let mut tally = Tally::default();
        for (policy, times) in [("a", 1), ("b", 3), ("c", 2)] {
            for _ in 0..times {
                added(&mut tally, &alert(policy, "web-1"));
            }
        }
        let names = |taken: Vec<(Subject, Violation)>| -> Vec<(String, u64)> {
            taken.into_iter().map(|(subject, v)| (subject.policy.name, v.count)).collect()
        };
        assert_eq!(names(tally.take(2)), [("b".to_owned(), 3), ("c".to_owned(), 2)]);
        added(&mut tally, &alert("a", "web-1"));
        assert_eq!(names(tally.take(2)), [("a".to_owned(), 2)]);
    }

    #[test]
    fn without_room_the_caller_knows() {
        let mut tally = Tally::default();
        for number in 0..MOST {
            assert!(added(&mut tally, &alert(&number.to_string(), "web-1")));
        }
        assert!(!added(&mut tally, &alert("one more", "web-1")));
        assert!(added(&mut tally, &alert("0", "web-1")));
    }
}
