//! One connection to one agent, that comes back: each item once, and whatever is missing counted and told.

use std::time::Duration;

use feed::{
    Beginning, Level, Position, Relayed,
    client::{Client, ClientError},
    proto::feeder,
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::StreamExt as _;
use tonic::{Status, Streaming};

use crate::{agents::Agent, dial::Security, fan_in::Origin, pause::Pauses};

/// What is missing is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The places of these streams in accounts.
const ALERTS: usize = 0;
const LOGS: usize = 1;
const NAMES: [&str; 2] = ["alerts", "logs"];

/// Where an agent's streams begin that this relay has had nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It was there before the relay: with what comes.
    Now,
    /// It came later: with all that it keeps.
    First,
}

pub(crate) struct Pull {
    agent: Agent,
    security: Security,
    origin: Origin,
    /// Up to where all is had, of alerts and of logs.
    positions: [Option<Position>; 2],
    /// Missed and not told yet.
    untold: [u64; 2],
    /// It has answered before.
    known: bool,
    /// It does not answer now, as was told.
    away: bool,
    pauses: Pauses,
}

struct Streams {
    alerts: Streaming<feeder::Alert>,
    logs: Streaming<feeder::Log>,
    messages: Streaming<feeder::Message>,
}

/// Why there is no connection any more, or none yet.
type Broken = String;

impl Pull {
    pub(crate) fn new(agent: Agent, security: Security, origin: Origin, start: Start) -> Self {
        let position = (start == Start::First).then(Position::before_all);
        Self {
            agent,
            security,
            origin,
            positions: [position.clone(), position],
            untold: [0; 2],
            known: false,
            away: false,
            pauses: Pauses::default(),
        }
    }

    /// Until it is dropped.
    pub(crate) async fn go_on(&mut self) {
        loop {
            let broken = match self.open().await {
                Ok(streams) => {
                    let _connected = self.origin.connected();
                    self.forward(streams).await
                }
                Err(error) => shown(&error),
            };
            self.broke(&broken);
            sleep(self.pauses.next(fastrand::f64())).await;
        }
    }

    async fn open(&mut self) -> Result<Streams, ClientError> {
        let client = self.security.connect(&self.agent.address).await?;
        let streams = self.watch(&client).await?;
        self.pauses.reset();
        if self.away {
            let text = format!("the agent of node {} answers again", self.origin.node());
            self.origin.tell(Level::Info, &text);
        }
        (self.known, self.away) = (true, false);
        Ok(streams)
    }

    async fn watch(&mut self, client: &Client) -> Result<Streams, ClientError> {
        let [of_alerts, of_logs] = &self.positions;
        let (alerts, alerts_begin) = client.alerts_behind("policy", of_alerts.as_ref()).await?;
        let (logs, logs_begin) = client.logs_behind("system", of_logs.as_ref()).await?;
        let messages = client.messages().await?;
        if self.known && (alerts_begin.restarted || logs_begin.restarted) {
            let node = self.origin.node();
            let text = format!(
                "the agent of node {node} was started anew; what its last run told last may be missed"
            );
            self.origin.tell(Level::Warn, &text);
        }
        self.begin(ALERTS, alerts_begin);
        self.begin(LOGS, logs_begin);
        Ok(Streams { alerts, logs, messages })
    }

    fn begin(&mut self, stream: usize, beginning: Beginning) {
        if self.known {
            self.note_missed(stream, beginning.missed);
            if beginning.position.is_none() {
                let (node, what) = (self.origin.node(), NAMES[stream]);
                let text = format!(
                    "{what} of node {node} that its agent told meanwhile are missed: it does not number them"
                );
                self.origin.tell(Level::Warn, &text);
            }
        }
        self.positions[stream] = beginning.position;
    }

    async fn forward(&mut self, streams: Streams) -> Broken {
        let Streams { mut alerts, mut logs, mut messages } = streams;
        let mut tells = interval(TELL_EVERY);
        tells.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                alert = alerts.next() => self.take(alert, |pull, alert| {
                    pull.note(ALERTS, alert.sequence);
                    Relayed::Alert(Box::new(alert))
                }),
                log = logs.next() => self.take(log, |pull, log| {
                    pull.note(LOGS, log.sequence);
                    Relayed::Log(Box::new(log))
                }),
                message = messages.next() => self.take(message, |_, message| Relayed::Message(message)),
                _ = tells.tick() => {
                    self.tell_missed();
                    None
                }
            };
            if let Some(broken) = ended {
                return broken;
            }
        }
    }

    fn take<T>(
        &mut self,
        item: Option<Result<T, Status>>,
        read: impl FnOnce(&mut Self, T) -> Relayed,
    ) -> Option<Broken> {
        match item {
            Some(Ok(item)) => {
                let item = read(self, item);
                self.origin.hand_on(item);
                None
            }
            Some(Err(status)) => Some(format!("the stream broke off: {}", status.message())),
            None => Some("it has ended the stream".to_owned()),
        }
    }

    /// Counts what the number of an item shows to be left out before it.
    fn note(&mut self, stream: usize, sequence: u64) {
        if let Some(position) = &mut self.positions[stream]
            && sequence > 0
        {
            let missed = position.advance(sequence);
            self.note_missed(stream, missed);
        }
    }

    fn note_missed(&mut self, stream: usize, count: u64) {
        if count > 0 {
            self.origin.missed(stream, count);
            self.untold[stream] += count;
        }
    }

    fn tell_missed(&mut self) {
        for (count, what) in std::mem::take(&mut self.untold).into_iter().zip(NAMES) {
            if count > 0 {
                let node = self.origin.node();
                let text =
                    format!("{count} {what} of node {node} were missed on the way to the relay");
                self.origin.tell(Level::Warn, &text);
            }
        }
    }

    fn broke(&mut self, why: &str) {
        self.origin.broken();
        self.tell_missed();
        if !self.away {
            let Agent { node, address } = &self.agent;
            let text = format!(
                "the agent of node {node} ({address}) does not answer: {why}; trying again"
            );
            self.origin.tell(Level::Warn, &text);
        }
        self.away = true;
        if !self.known {
            // Whatever it tells once it is there, nobody has had.
            self.positions = std::array::from_fn(|_| Some(Position::before_all()));
        }
    }
}

/// An error with what caused it.
fn shown(error: &ClientError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
