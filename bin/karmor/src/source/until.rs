//! When watching ends: after a time, after a number of events, at ^C, at a signal.

use std::{
    future::pending,
    io::{self, IsTerminal},
    time::Duration,
};

use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval, sleep_until},
};

use super::{News, Source};
use crate::event::Event;

#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Until {
    /// End after this time, such as 30s, 10m or 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// End after so many events that count; 0 is no limit
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) limit: u64,
}

/// How it came to an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Events that were taken.
    pub(crate) events: u64,
    /// What was no event.
    pub(crate) unreadable: u64,
    /// Where the first of these was.
    pub(crate) first_unreadable: Option<String>,
    /// How often the connection was lost.
    pub(crate) lost: u64,
}

impl Until {
    /// Whether so many events are enough.
    pub(crate) fn has(&self, events: u64) -> bool {
        self.limit != 0 && events >= self.limit
    }

    /// Resolves when the time is over, if there is an end.
    pub(crate) async fn over(&self) {
        match self.duration {
            Some(duration) => sleep_until(Instant::now() + duration).await,
            None => pending().await,
        }
    }
}

/// Someone wants this program to end. The same signals as a terminal sends, or those who stop services.
pub(crate) async fn stopped() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Takes events without a screen. `take` says whether an event counts. Progress goes to standard error, if that is a
/// terminal.
pub(crate) async fn watch(
    source: &mut impl Source,
    until: Until,
    mut take: impl FnMut(Event) -> bool,
) -> anyhow::Result<Ended> {
    let mut ended = Ended::default();
    let (over, stopped) = (until.over(), stopped());
    tokio::pin!(over, stopped);
    let mut progress = interval(Duration::from_secs(1));
    let shows = io::stderr().is_terminal();
    while !until.has(ended.events) {
        tokio::select! {
            news = source.next() => match news {
                Some(News::Event(event)) => ended.events += u64::from(take(*event)),
                Some(News::Unreadable(place)) => {
                    ended.unreadable += 1;
                    ended.first_unreadable.get_or_insert(place);
                }
                Some(News::Lost(reason)) => {
                    ended.lost += 1;
                    eprintln!("the connection is lost: {reason}; trying again");
                }
                Some(News::Back) => eprintln!("connected again"),
                None => break,
            },
            () = &mut over => break,
            result = &mut stopped => {
                result?;
                break;
            }
            _ = progress.tick(), if shows => eprint!("\r{} events", ended.events),
        }
    }
    if shows {
        eprintln!("\r{} events", ended.events);
    }
    Ok(ended)
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    match digits.parse::<u32>() {
        Ok(number) if number > 0 && unit > 0 => Ok(Duration::from_secs(u64::from(number) * unit)),
        _ => Err("write a number with s, m or h, such as 30s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    struct Given(VecDeque<News>);

    impl Source for Given {
        async fn next(&mut self) -> Option<News> {
            self.0.pop_front()
        }
    }

    fn event(resource: &str) -> News {
        News::Event(Box::new(Event { resource: resource.into(), ..Event::default() }))
    }

    #[test]
    fn periods() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        assert!(duration("0s").is_err() && duration("1d").is_err() && duration("s").is_err());
    }

    #[tokio::test]
    async fn what_counts_is_counted_and_the_rest_is_told() {
        let news = [
            event("a"),
            News::Unreadable("f:2".into()),
            event("b"),
            News::Lost("gone".into()),
            News::Back,
            News::Unreadable("f:9".into()),
        ];
        let ended =
            watch(&mut Given(news.into()), Until::default(), |event| event.resource == "a").await;
        let expected =
            Ended { events: 1, unreadable: 2, first_unreadable: Some("f:2".into()), lost: 1 };
        assert_eq!(ended.unwrap(), expected);
    }

    #[tokio::test]
    async fn the_limit_leaves_the_rest_where_it_is() {
        let mut source = Given([event("a"), event("b"), event("c")].into());
        let until = Until { limit: 2, duration: None };
        assert_eq!(watch(&mut source, until, |_| true).await.unwrap().events, 2);
        assert_eq!(source.0.len(), 1);
    }
}
