//! Follows the API server: one task, changes in order, and silence while it is away.
//!
//! Each kind of object is listed as a whole and then watched. A list that breaks off is no list: what it lacks may be
//! there all the same, so changes are told only once it is complete.

mod faults;

use std::{collections::BTreeMap, pin::pin, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1 as core};
use kube::{
    Api, Client,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use policy::Kind;
use tokio::sync::{
    Mutex,
    mpsc::{Sender, error::SendError},
};
use tokio_stream::{Stream, StreamExt as _};

use self::faults::Faults;
use crate::{
    client::Place,
    owner::Owner,
    part::{self, PodPart},
    policies::{self, PolicyObject},
    view::{Namespace, Node, Pod},
};

/// The agent's configuration, as the existing implementation calls it.
pub const CONFIGURATION: &str = "kubearmor-config";
/// Before all is listed anew that the server has forgotten the versions of.
const AFTER_GONE: Duration = Duration::from_secs(1);
/// A job that is not shown by then is taken for nobody's.
const LOOKING_AT_JOB: Duration = Duration::from_secs(5);
/// Jobs whose owners are kept.
const JOBS: usize = 256;
/// Objects of one answer.
const PAGE: u32 = 100;
/// HTTP's word for versions that the server has forgotten.
const GONE: u16 = 410;

/// What is told of one kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// These are all there are.
    All(Vec<T>),
    /// New or changed.
    One(T),
    Gone(T),
}

/// Something is other than before, or was said again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Policies(Kind, Told<PolicyObject>),
    Namespaces(Told<Namespace>),
    /// Of the agent's node.
    Pods(Told<Pod>),
    /// The agent's node.
    Node(Node),
    /// All keys that the agent's `ConfigMap` has had since the watching began. One that is taken out keeps its value.
    Configuration(BTreeMap<String, String>),
}

/// Nobody listens to changes any more.
type Deaf = SendError<Change>;

/// Follows all that concerns the agent at `place`, until nobody listens. `say` hears of what stands in the way, of each
/// thing once while it lasts.
pub async fn watch(
    client: Client,
    place: Place,
    changes: Sender<Change>,
    say: impl Fn(String) + Send + Sync,
) {
    let follower =
        Follower { client, place, changes, faults: Faults::new(say), jobs: Mutex::default() };
    // The first to end has found nobody who listens, and so would the others.
    tokio::select! {
        _ = follower.namespaces() => {}
        _ = follower.pods() => {}
        _ = follower.node() => {}
        _ = follower.configuration() => {}
        _ = follower.policies(Kind::Container) => {}
        _ = follower.policies(Kind::Cluster) => {}
        _ = follower.policies(Kind::Host) => {}
        _ = follower.policies(Kind::Network) => {}
    }
}

struct Follower<S> {
    client: Client,
    place: Place,
    changes: Sender<Change>,
    faults: Faults<S>,
    jobs: Mutex<Jobs>,
}

impl<S: Fn(String)> Follower<S> {
    async fn policies(&self, kind: Kind) -> Result<(), Deaf> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &policies::resource(kind));
        let start = || watcher::watcher(api.clone(), config());
        let read = |object| PolicyObject::new(kind, object);
        self.follow(kind.as_str(), start, read, |told| Some(Change::Policies(kind, told))).await
    }

    async fn namespaces(&self) -> Result<(), Deaf> {
        let api: Api<PartialObjectMeta<core::Namespace>> = Api::all(self.client.clone());
        let start = || watcher::watcher(api.clone(), config());
        let read = |object: PartialObjectMeta<_>| part::namespace(object.metadata);
        self.follow("namespaces", start, read, |told| Some(Change::Namespaces(told))).await
    }

    async fn pods(&self) -> Result<(), Deaf> {
        let api: Api<PodPart> = Api::all(self.client.clone());
        let of_node = format!("spec.nodeName={}", self.place.node);
        let start = || watcher::watcher(api.clone(), config().fields(&of_node));
        self.follow("pods", start, PodPart::pod, |told| Some(Change::Pods(told))).await
    }

    async fn node(&self) -> Result<(), Deaf> {
        let api: Api<PartialObjectMeta<core::Node>> = Api::all(self.client.clone());
        let own = format!("metadata.name={}", self.place.node);
        let start = || watcher::watcher(api.clone(), config().fields(&own));
        let read = |object: PartialObjectMeta<_>| part::node(object.metadata);
        let change = |told| match told {
            Told::All(mut nodes) => nodes.pop().map(Change::Node),
            Told::One(node) => Some(Change::Node(node)),
            // The agent goes with its node.
            Told::Gone(_) => None,
        };
        self.follow("the node", start, read, change).await
    }

    async fn configuration(&self) -> Result<(), Deaf> {
        let api: Api<core::ConfigMap> = Api::namespaced(self.client.clone(), &self.place.namespace);
        let own = format!("metadata.name={CONFIGURATION}");
        let start = || watcher::watcher(api.clone(), config().fields(&own));
        let read = |object: core::ConfigMap| Some(object.data.unwrap_or_default());
        let mut known = BTreeMap::new();
        let change = |told| {
            match told {
                Told::All(maps) => known.extend(maps.into_iter().flatten()),
                Told::One(keys) => known.extend(keys),
                Told::Gone(_) => {}
            }
            (!known.is_empty()).then(|| Change::Configuration(known.clone()))
        };
        self.follow(CONFIGURATION, start, read, change).await
    }

    /// Tells of one kind of objects for as long as somebody listens.
    async fn follow<K, T, E>(
        &self,
        what: &str,
        start: impl Fn() -> E,
        read: impl Fn(K) -> Option<T>,
        mut change: impl FnMut(Told<T>) -> Option<Change>,
    ) -> Result<(), Deaf>
    where
        E: Stream<Item = watcher::Result<Event<K>>> + Send,
    {
        loop {
            let mut events = pin!(start().default_backoff());
            let mut list = Vec::new();
            while let Some(event) = events.next().await {
                let told = match event {
                    Ok(Event::Init) => {
                        list = Vec::new();
                        None
                    }
                    Ok(Event::InitApply(object)) => {
                        list.extend(read(object));
                        None
                    }
                    Ok(Event::InitDone) => Some(Told::All(std::mem::take(&mut list))),
                    Ok(Event::Apply(object)) => read(object).map(Told::One),
                    Ok(Event::Delete(object)) => read(object).map(Told::Gone),
                    Err(fault) => {
                        self.faults.note(what, &fault);
                        if is_gone(&fault) {
                            break;
                        }
                        None
                    }
                };
                if let Some(change) = told.and_then(&mut change) {
                    self.changes.send(self.completed(change).await).await?;
                }
            }
            tokio::time::sleep(AFTER_GONE).await;
        }
    }
}

impl<S> Follower<S> {
    /// With what other objects tell.
    async fn completed(&self, mut change: Change) -> Change {
        let pods = match &mut change {
            Change::Pods(Told::All(pods)) => pods.as_mut_slice(),
            Change::Pods(Told::One(pod)) => std::slice::from_mut(pod),
            _ => return change,
        };
        for pod in pods.iter_mut().filter(|pod| pod.owner.may_have_cron_job()) {
            let job = std::mem::take(&mut pod.owner);
            pod.owner = self.jobs.lock().await.owner(&self.client, &pod.namespace, job).await;
        }
        change
    }
}

/// A watch that begins at a version which the server has forgotten would be tried again for ever.
fn is_gone(fault: &watcher::Error) -> bool {
    matches!(fault, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == GONE)
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// The owners of jobs. A job has the same for as long as it is there.
#[derive(Default)]
struct Jobs(BTreeMap<(String, String), Owner>);

impl Jobs {
    async fn owner(&mut self, client: &Client, namespace: &str, job: Owner) -> Owner {
        let key = (namespace.to_owned(), job.name.clone());
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let found = tokio::time::timeout(LOOKING_AT_JOB, jobs.get_metadata_opt(&job.name)).await;
        // Whoever cannot be asked is asked again for the next pod.
        let Ok(Ok(found)) = found else { return job };
        let owner = match found {
            Some(found) => job.through_job(&found.metadata),
            None => job,
        };
        if self.0.len() >= JOBS {
            self.0.clear();
        }
        self.0.insert(key, owner.clone());
        owner
    }
}
