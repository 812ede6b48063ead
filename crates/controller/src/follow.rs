//! What the one who leads does: follow policies and what agents say of them, and keep the statuses true.

mod view;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use cluster::summary::KubeArmorNode;
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use policy::{Kind, PolicyId};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_stream::{Stream, StreamExt as _, StreamMap};
use tracing::{info, warn};

use self::view::{Object, View};
use crate::{
    admission::Standing,
    lease::Leading,
    metrics::{Leadership, Write},
    status::Urgency,
    write::{Pace, apply, resource},
};

/// Between two looks at what may be written.
const TICK: Duration = Duration::from_millis(500);

/// The objects that policies are now, by `metadata.uid`.
pub(crate) type Uids = Arc<RwLock<HashMap<PolicyId, String>>>;

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Policies(Kind),
    Nodes,
}

/// What comes of it.
enum News {
    Policy(Event<DynamicObject>),
    Node(Event<KubeArmorNode>),
}

type Streams = StreamMap<Source, Pin<Box<dyn Stream<Item = Result<News, watcher::Error>> + Send>>>;

/// Keeps statuses true for as long as this replica leads, until it is dropped.
pub(crate) async fn run(
    client: Client,
    in_a_second: usize,
    mut leading: Leading,
    counts: Arc<Leadership>,
    uids: Uids,
) {
    loop {
        leading.gained().await;
        let mut follower = Follower {
            client: client.clone(),
            view: View::default(),
            pace: Pace::new(in_a_second),
            counts: Arc::clone(&counts),
            uids: Arc::clone(&uids),
        };
        tokio::select! {
            () = follower.follow() => {}
            () = leading.lost() => {}
        }
    }
}

fn streams(client: &Client) -> Streams {
    let mut streams = Streams::new();
    for kind in Kind::ALL {
        let policies: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        let news = watcher(policies, watcher::Config::default()).default_backoff();
        streams.insert(Source::Policies(kind), Box::pin(news.map(|news| news.map(News::Policy))));
    }
    let nodes: Api<KubeArmorNode> = Api::all(client.clone());
    let news = watcher(nodes, watcher::Config::default()).default_backoff();
    streams.insert(Source::Nodes, Box::pin(news.map(|news| news.map(News::Node))));
    streams
}

struct Follower {
    client: Client,
    view: View,
    pace: Pace,
    counts: Arc<Leadership>,
    uids: Uids,
}

impl Follower {
    async fn follow(&mut self) {
        let mut streams = streams(&self.client);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubled = None;
        loop {
            tokio::select! {
                Some((source, news)) = streams.next() => match news {
                    Ok(news) => {
                        troubled = troubled.filter(|troubled| *troubled != source);
                        self.hear(source, news).await;
                    }
                    // The stream begins anew by itself, after a while.
                    Err(problem) if troubled != Some(source) => {
                        warn!("{source:?} cannot be followed: {problem}");
                        troubled = Some(source);
                    }
                    Err(_) => {}
                },
                _ = ticks.tick() => self.write().await,
            }
        }
    }

    async fn hear(&mut self, source: Source, news: News) {
        let was_whole = self.view.is_whole();
        let touched = match (source, news) {
            (Source::Policies(kind), News::Policy(Event::Apply(object))) => {
                self.policy(kind, object).await
            }
            (Source::Policies(kind), News::Policy(Event::InitApply(object))) => {
                let ids = self.policy(kind, object).await;
                self.view.listed_policies(kind, &ids);
                ids
            }
            (Source::Policies(kind), News::Policy(Event::Delete(object))) => {
                self.view.remove(kind, &object).into_iter().collect()
            }
            (Source::Policies(kind), News::Policy(Event::Init)) => {
                self.view.begin_policies(kind);
                Vec::new()
            }
            (Source::Policies(kind), News::Policy(Event::InitDone)) => self.view.end_policies(kind),
            (Source::Nodes, News::Node(event)) => self.view.node(event),
            // Each source has its own objects.
            (_, News::Policy(_) | News::Node(_)) => Vec::new(),
        };
        if !self.view.is_whole() {
            return;
        }
        if was_whole {
            touched.iter().for_each(|id| self.settle(id));
        } else {
            info!("all policies and nodes are known");
            self.view.ids().iter().for_each(|id| self.settle(id));
        }
    }

    /// Takes a policy over, and says whom that touches.
    async fn policy(&mut self, kind: Kind, object: DynamicObject) -> Vec<PolicyId> {
        let Some(object) = Object::read(kind, object) else { return Vec::new() };
        let id = object.id.clone();
        if self.view.is_news(&object) {
            let text = object.whole.clone();
            // Long policies take their time.
            let standing = match spawn_blocking(move || Standing::of(kind, text)).await {
                Ok(standing) => standing,
                Err(problem) => Standing::Rejected(vec![format!("it cannot be judged: {problem}")]),
            };
            self.view.put(object, standing);
        } else {
            self.view.put_status(object);
        }
        vec![id]
    }

    /// Notes whether a policy's status is to be written.
    fn settle(&mut self, id: &PolicyId) {
        let wanted = self.view.wanted(id).and_then(|(_, status, current)| status.urgency(current));
        match wanted {
            Some(urgency) => self.pace.want(id, urgency, Instant::now()),
            None => self.pace.forget(id),
        }
    }

    async fn write(&mut self) {
        if !self.view.is_whole() {
            return;
        }
        *self.uids.write().unwrap_or_else(PoisonError::into_inner) = self.view.uids();
        for id in self.pace.due(Instant::now()) {
            let Some((uid, status, current)) = self.view.wanted(&id) else { continue };
            if status.urgency(current).is_none() {
                self.counts.wrote(Write::Unchanged);
                continue;
            }
            let (outcome, problem) = apply(&self.client, &id, uid, &status).await;
            self.counts.wrote(outcome);
            match outcome {
                Write::Written => self.view.told(&id, status),
                Write::Unchanged | Write::Gone => {}
                Write::Failed => {
                    let problem = problem.unwrap_or_default();
                    warn!("the status of {} {} was not written: {problem}", id.kind, id.name);
                    self.pace.want(&id, Urgency::Progress, Instant::now());
                }
            }
        }
        self.counts.wait(self.pace.waiting());
        self.counts.count(self.view.census());
    }
}
