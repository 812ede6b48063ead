//! One stream, watched over breaks of the connection: each event once, and whatever is missing told.

use std::time::Duration;

use feed::{
    Beginning, Position,
    client::{Client, ClientError},
    proto::feeder::{Alert, Log, Message},
};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Status, Streaming};

use super::Event;

/// Before the first attempt to connect again; doubled from one to the next.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Alerts,
    Logs,
    Messages,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Logs => "logs",
            Self::Messages => "messages",
        }
    }
}

pub(super) struct Followed {
    client: Client,
    what: What,
    filter: &'static str,
    stream: Stream,
    /// `None`: the server knows nothing of numbers.
    position: Option<Position>,
    pause: Duration,
}

enum Stream {
    Alerts(Streaming<Alert>),
    Logs(Streaming<Log>),
    Messages(Streaming<Message>),
}

impl Stream {
    async fn open(
        client: &Client,
        what: What,
        filter: &str,
        position: Option<&Position>,
    ) -> Result<(Self, Beginning), ClientError> {
        Ok(match what {
            What::Alerts => {
                let (alerts, beginning) = client.alerts_behind(filter, position).await?;
                (Self::Alerts(alerts), beginning)
            }
            What::Logs => {
                let (logs, beginning) = client.logs_behind(filter, position).await?;
                (Self::Logs(logs), beginning)
            }
            What::Messages => (Self::Messages(client.messages().await?), Beginning::default()),
        })
    }

    /// With the event's number, 0 if it has none.
    async fn next(&mut self) -> Result<Option<(Event, u64)>, Status> {
        Ok(match self {
            Self::Alerts(alerts) => alerts.message().await?.map(|alert| {
                let sequence = alert.sequence;
                (Event::Alert(Box::new(alert)), sequence)
            }),
            Self::Logs(logs) => logs.message().await?.map(|log| {
                let sequence = log.sequence;
                (Event::Log(Box::new(log)), sequence)
            }),
            Self::Messages(messages) => {
                messages.message().await?.map(|message| (Event::Message(message), 0))
            }
        })
    }
}

impl Followed {
    pub(super) async fn begin(
        client: &Client,
        what: What,
        filter: &'static str,
    ) -> Result<Self, ClientError> {
        let (stream, beginning) = Stream::open(client, what, filter, None).await?;
        Ok(Self {
            client: client.clone(),
            what,
            filter,
            stream,
            position: beginning.position,
            pause: PAUSE,
        })
    }

    /// Hands on events until there were `limit` (0: without end), or nobody wants more.
    pub(super) async fn forward(
        mut self,
        limit: u64,
        events: mpsc::Sender<Event>,
    ) -> anyhow::Result<()> {
        let mut received = 0;
        while limit == 0 || received < limit {
            let event = self.next().await?;
            received += 1;
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let broken = match self.stream.next().await {
                Ok(Some((event, sequence))) => {
                    self.note(sequence);
                    return Ok(event);
                }
                Ok(None) => "the agent has ended the stream".to_owned(),
                Err(status) if is_final(&status) => return Err(status.into()),
                Err(status) => format!("the stream broke off: {}", status.message()),
            };
            eprintln!("{broken}; connecting again");
            self.open_again().await?;
        }
    }

    fn note(&mut self, sequence: u64) {
        self.pause = PAUSE;
        if let Some(position) = &mut self.position
            && sequence > 0
        {
            self.what.tell_missed(position.advance(sequence));
        }
    }

    /// Tries until somebody answers, or says that it is no use.
    async fn open_again(&mut self) -> Result<(), ClientError> {
        loop {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            let asked = self.position.as_ref();
            match Stream::open(&self.client, self.what, self.filter, asked).await {
                Ok((stream, beginning)) => {
                    self.stream = stream;
                    self.resumed(beginning);
                    return Ok(());
                }
                Err(ClientError::Refused(status)) if !is_final(&status) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn resumed(&mut self, beginning: Beginning) {
        let (address, what) = (self.client.address(), self.what.name());
        eprintln!("watching {address} again");
        if beginning.position.is_none() {
            eprintln!("{what} of the time between are missed");
        } else if beginning.restarted {
            eprintln!("the agent was started anew; {what} of its last run may be missed");
        }
        self.what.tell_missed(beginning.missed);
        self.position = beginning.position;
    }
}

impl What {
    fn tell_missed(self, count: u64) {
        if count > 0 {
            eprintln!("{count} {} were missed", self.name());
        }
    }
}

/// Another attempt would have the same answer.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::InvalidArgument
            | Code::FailedPrecondition
    )
}
