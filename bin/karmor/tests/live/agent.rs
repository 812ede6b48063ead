//! An agent's services in this process, which can go away and come back.

use std::sync::Arc;

use feed::{
    Feed, FeedOptions, ProbeData, ProbeResponse, Services, listen, proto::policy::PolicyAccount,
    serve,
};
use telemetry::{Alert, Log};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

struct Probe;

#[feed::async_trait]
impl ProbeData for Probe {
    async fn probe(&self) -> ProbeResponse {
        let account = PolicyAccount {
            policy: "protect-secrets".into(),
            action: "Block".into(),
            workload: "c1".into(),
            generated: 120,
            delivered: 100,
            throttled: 20,
            ..PolicyAccount::default()
        };
        ProbeResponse { accounts: vec![account], ..ProbeResponse::default() }
    }
}

pub(crate) struct Agent {
    pub(crate) feed: Feed,
    pub(crate) address: String,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Agent {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = "127.0.0.1:0".to_owned();
        let feed = Feed::new(FeedOptions::default());
        let mut agent = Self { feed, address, stop: None, served: None, runtime };
        agent.come_back();
        agent
    }

    /// At the address of before, with nobody listening.
    pub(crate) fn come_back(&mut self) {
        let address = self.address.parse().unwrap();
        let listener = self.runtime.block_on(listen(address, "gRPC")).unwrap();
        self.address = listener.local_addr().unwrap().to_string();
        self.feed = Feed::new(FeedOptions::default());
        let services = Services { probe: Some(Arc::new(Probe)), ..Services::default() };
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, self.feed.clone(), services, async {
            let _ = stopped.await;
        });
        self.served = Some(self.runtime.spawn(async move { serving.await.unwrap() }));
        self.stop = Some(stop);
    }

    pub(crate) fn go_away(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            self.runtime.block_on(served).unwrap();
        }
    }

    pub(crate) fn log(&self, log: Log) {
        let _ = self.feed.publish_log(log);
    }

    pub(crate) fn alert(&self, alert: Alert) {
        let _ = self.feed.publish_alert(alert);
    }
}

pub(crate) fn log(operation: &str, process: &str, resource: &str, data: &str) -> Log {
    Log {
        updated_time: "2026-11-30T21:04:05.000000Z".into(),
        host_name: "node".into(),
        namespace_name: "shop".into(),
        container_name: "web".into(),
        container_id: "c1".into(),
        process_name: process.into(),
        kind: "ContainerLog".into(),
        source: process.into(),
        operation: operation.into(),
        resource: resource.into(),
        data: data.into(),
        result: "Passed".into(),
        ..Log::default()
    }
}

pub(crate) fn file(resource: &str) -> Log {
    log("File", "/usr/sbin/nginx", resource, "syscall=SYS_OPENAT fd=-100 flags=O_RDONLY")
}

pub(crate) fn denied(policy: &str, resource: &str) -> Alert {
    let event = Log {
        kind: "MatchedPolicy".into(),
        result: "Permission denied".into(),
        ..log("File", "/usr/bin/cat", resource, "lsm=FILE_OPEN")
    };
    Alert { event, policy_name: policy.into(), action: "Block".into(), ..Alert::default() }
}
