//! Who stands behind a pod: the controller that users know, not the one in between.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};

/// Deployments give it to the pods of their replica sets, and nobody else does:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label>.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Cron jobs name their jobs by themselves and the minute, counted from 1970:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>.
const MINUTE_DIGITS: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet`, `Job`, `CronJob` or whatever controls the pod; `Pod` for one
    /// that nothing controls.
    pub kind: String,
    pub name: String,
}

impl Owner {
    fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }

    /// As far as the pod itself tells it.
    pub(crate) fn of_pod(pod: &ObjectMeta, labels: &BTreeMap<String, String>) -> Self {
        let Some(controller) = controller(pod) else {
            return Self::new("Pod", pod.name.as_deref().unwrap_or_default());
        };
        let deployment = || {
            let hash = labels.get(TEMPLATE_HASH)?;
            controller.name.strip_suffix(hash.as_str())?.strip_suffix('-')
        };
        match (controller.kind.as_str(), deployment()) {
            ("ReplicaSet", Some(name)) => Self::new("Deployment", name),
            (kind, _) => Self::new(kind, &controller.name),
        }
    }

    /// Whether only the job's own object tells who stands behind it.
    pub(crate) fn may_have_cron_job(&self) -> bool {
        let minute = self.name.rsplit_once('-').map(|(_, minute)| minute);
        self.kind == "Job"
            && minute.is_some_and(|minute| {
                minute.len() >= MINUTE_DIGITS && minute.bytes().all(|byte| byte.is_ascii_digit())
            })
    }

    /// With what the job's object says.
    pub(crate) fn through_job(self, job: &ObjectMeta) -> Self {
        match controller(job) {
            Some(controller) => Self::new(&controller.kind, &controller.name),
            None => self,
        }
    }
}

/// An object has one controller at most; a mirror of a static pod has the node, which is no controller to anybody.
fn controller(object: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = object.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true) && owner.kind != "Node")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(name: &str, kind: &str, owner: &str) -> ObjectMeta {
        let reference = OwnerReference {
            kind: kind.into(),
            name: owner.into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta {
            name: Some(name.into()),
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        }
    }

    fn told(pod: &ObjectMeta, hash: Option<&str>) -> String {
        let labels = hash.map(|hash| (TEMPLATE_HASH.to_owned(), hash.to_owned()));
        let owner = Owner::of_pod(pod, &labels.into_iter().collect());
        format!("{} {}", owner.kind, owner.name)
    }

    #[test]
    fn the_controller_that_users_know_is_named() {
        let replica = owned("web-6d4-x", "ReplicaSet", "web-6d4");
        assert_eq!(told(&replica, Some("6d4")), "Deployment web");
        assert_eq!(told(&replica, None), "ReplicaSet web-6d4");
        assert_eq!(told(&replica, Some("7f9")), "ReplicaSet web-6d4");
        assert_eq!(told(&owned("db-0", "StatefulSet", "db"), None), "StatefulSet db");
        assert_eq!(told(&owned("log-x", "DaemonSet", "log"), Some("6d4")), "DaemonSet log");
        assert_eq!(told(&owned("kube-proxy-n", "Node", "n"), None), "Pod kube-proxy-n");
        let bare = ObjectMeta { name: Some("bare".into()), ..ObjectMeta::default() };
        assert_eq!(told(&bare, Some("6d4")), "Pod bare");
    }

    #[test]
    fn a_job_is_asked_for_its_cron_job_only_if_its_name_could_be_of_one() {
        for (name, may) in [("backup-29112230", true), ("backup", false), ("backup-2024", false)] {
            let owner = Owner::of_pod(&owned("x", "Job", name), &BTreeMap::new());
            assert_eq!(owner.may_have_cron_job(), may, "{name}");
        }
        let job = Owner::new("Job", "backup-29112230");
        let through = |of: &ObjectMeta| job.clone().through_job(of);
        let cron = through(&owned("backup-29112230", "CronJob", "backup"));
        assert_eq!(cron, Owner::new("CronJob", "backup"));
        assert_eq!(through(&ObjectMeta::default()), job);
    }
}
