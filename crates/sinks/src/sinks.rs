//! [`Sinks`]: all sinks of this process, as the configuration has them at the moment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    account::{Place, SinkAccount},
    config::{SinkConfig, SinkList, Stream},
    event::Event,
    outlet::{Outlet, Tell},
    spool::{Found, Spool},
    worker::Worker,
};

/// Cheap to clone; every clone speaks to the same sinks.
#[derive(Clone)]
pub struct Sinks(Arc<Shared>);

struct Shared {
    /// Each sink has a directory of its name in it.
    spools: PathBuf,
    tell: Tell,
    /// Who is offered events.
    outlets: ArcSwap<Vec<Arc<Outlet>>>,
    /// Locked for the whole of a change, so that changes do not overtake each other.
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    config: SinkConfig,
    outlet: Arc<Outlet>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Worker>,
}

impl Sinks {
    /// Without any sink. Those that come keep in `spools/NAME` what their peers do not take in time.
    pub fn new(spools: PathBuf, tell: Tell) -> Self {
        Self(Arc::new(Shared {
            spools,
            tell,
            outlets: ArcSwap::default(),
            running: Mutex::default(),
        }))
    }

    /// Whether any sink takes events of this stream, so that a line is made only for somebody.
    pub fn want(&self, stream: Stream) -> bool {
        self.0.outlets.load().iter().any(|outlet| outlet.wants(stream))
    }

    /// Never waits. True if each sink that wants the event has it in its queue; what becomes of it there is told by the
    /// sink's account.
    #[must_use]
    pub fn offer(&self, stream: Stream, line: String) -> bool {
        let event = Event::new(stream, line);
        let fields = OnceLock::new();
        let outlets = self.0.outlets.load();
        let mut all = true;
        for outlet in outlets.iter() {
            all &= outlet.offer(&event, &fields);
        }
        all
    }

    /// Brings the list into force: what is new starts, what is gone leaves its events in its spool, what has changed
    /// goes on with its queue. Nothing happens to others.
    pub async fn apply(&self, list: &SinkList) {
        let mut running = self.0.running.lock().await;
        let wanted: BTreeMap<_, _> = list.iter().map(|sink| (sink.name(), sink)).collect();
        let gone: Vec<String> =
            running.keys().filter(|name| !wanted.contains_key(name.as_str())).cloned().collect();
        for name in gone {
            if let Some(sink) = running.remove(&name) {
                self.show(&running);
                sink.end(Duration::ZERO).await;
            }
        }
        for (name, config) in wanted {
            match running.remove(name) {
                Some(sink) if sink.config == *config => drop(running.insert(name.to_owned(), sink)),
                Some(sink) => {
                    if let Some(sink) = sink.change(config.clone(), &self.0.spools).await {
                        running.insert(name.to_owned(), sink);
                    }
                }
                None => {
                    let outlet = Arc::new(Outlet::new(config, Arc::clone(&self.0.tell)));
                    let spool = open_spool(config, &outlet, &self.0.spools).await;
                    let worker = Worker::new(config.clone(), Arc::clone(&outlet), spool);
                    running.insert(name.to_owned(), start(config.clone(), outlet, worker));
                }
            }
            self.show(&running);
        }
    }

    /// One for each sink, by name.
    pub fn accounts(&self) -> Vec<SinkAccount> {
        self.0.outlets.load().iter().map(|outlet| outlet.ledger.snapshot()).collect()
    }

    /// Ends all sinks. Peers that take events get what waits, for so long; the rest goes to the spools.
    pub async fn close(&self, patience: Duration) {
        let mut running = self.0.running.lock().await;
        let ending: Vec<_> = std::mem::take(&mut *running)
            .into_values()
            .map(|sink| tokio::spawn(sink.end(patience)))
            .collect();
        for sink in ending {
            // An error would be a panic in a worker, which has been told.
            let _ = sink.await;
        }
    }

    /// Makes the list what is offered events. While a sink is changed it stays in the list.
    fn show(&self, running: &BTreeMap<String, Running>) {
        let outlets = running.values().map(|sink| Arc::clone(&sink.outlet)).collect();
        self.0.outlets.store(Arc::new(outlets));
    }
}

impl Running {
    async fn change(self, config: SinkConfig, spools: &Path) -> Option<Self> {
        let _ = self.stop.send(true);
        let mut worker = self.task.await.ok()?;
        self.outlet.set(&config);
        worker.reconfigure(config.clone());
        if config.spool.max_bytes > 0 && !worker.has_spool() {
            worker.set_spool(open_spool(&config, &self.outlet, spools).await);
        }
        Some(start(config, self.outlet, worker))
    }

    async fn end(mut self, patience: Duration) {
        self.outlet.queue.close();
        let worker = if let Ok(worker) = timeout(patience, &mut self.task).await {
            worker
        } else {
            let _ = self.stop.send(true);
            self.task.await
        };
        if let Ok(worker) = worker {
            worker.park().await;
        }
    }
}

fn start(config: SinkConfig, outlet: Arc<Outlet>, worker: Worker) -> Running {
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(worker.run(stopping));
    Running { config, outlet, stop, task }
}

/// `None` as well if the directory cannot be used: the sink then works from memory.
async fn open_spool(config: &SinkConfig, outlet: &Outlet, spools: &Path) -> Option<Spool> {
    let max_bytes = config.spool.max_bytes;
    if max_bytes == 0 {
        return None;
    }
    let directory = spools.join(&config.name);
    let opened = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || Spool::open(&directory, max_bytes)
    });
    match opened.await {
        Ok(Ok((spool, Found { records, damaged }))) => {
            outlet.ledger.received(Place::Spooled, records);
            outlet.ledger.change(|account| account.spool_bytes = spool.bytes());
            if damaged > 0 {
                outlet.tell(&format!(
                    "{damaged} files of {} end in something that is no event, which is passed over",
                    directory.display()
                ));
            }
            Some(spool)
        }
        Ok(Err(error)) => {
            outlet.tell(&format!(
                "{}: {error}; nothing is kept there while its peer is away",
                directory.display()
            ));
            None
        }
        Err(_) => None,
    }
}
