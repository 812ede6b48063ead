//! A live view on a terminal: takes the terminal over, shows a [`Screen`], hands it keys and news, and gives the
//! terminal back, whatever ends it.

mod cells;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use crossterm::event::{
    Event as Input, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui::{
    DefaultTerminal, Frame,
    style::{Color, Modifier, Style},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt;

pub(crate) use self::cells::{Column, grid, shown, time_of_day};

use crate::source::{News, Source, Until, stopped};

/// As often as a busy stream is drawn anew. Keys show at once.
const REDRAW: Duration = Duration::from_millis(200);

/// What is shown, and what keys do to it.
pub(crate) trait Screen {
    fn draw(&mut self, frame: &mut Frame<'_>);
    fn press(&mut self, key: KeyEvent) -> Next;
    /// Returns whether it was an event that counts.
    fn take(&mut self, news: News) -> bool;
    /// What it shows changes with the time, too.
    fn moves(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    Quit,
}

/// Colours, where they are wanted; else the same told by weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    coloured: bool,
}

impl Palette {
    pub(crate) const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
    pub(crate) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

    /// As standard output and the environment (`NO_COLOR`, `TERM`) have it.
    pub(crate) fn of_stdout() -> Self {
        Self { coloured: AutoStream::choice(&io::stdout()) != ColorChoice::Never }
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { coloured: false }
    }

    pub(crate) fn title(self) -> Style {
        self.with(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn denied(self) -> Style {
        self.with(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn warned(self) -> Style {
        self.with(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn with(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Whether somebody is there to look and to type.
pub(crate) fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Gives the terminal back when it goes out of scope; after a panic the hook of `ratatui` has done so already.
struct Taken(DefaultTerminal);

impl Taken {
    fn take() -> anyhow::Result<Self> {
        let terminal = ratatui::try_init().context("cannot draw on this terminal")?;
        Ok(Self(terminal))
    }

    fn draw(&mut self, screen: &mut impl Screen) -> anyhow::Result<()> {
        self.0.draw(|frame| screen.draw(frame)).context("cannot draw on this terminal")?;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing back.
        let _ = ratatui::try_restore();
    }
}

/// Until a key, a signal, or `until` ends it.
pub(crate) async fn show(
    screen: &mut impl Screen,
    source: &mut impl Source,
    until: Until,
) -> anyhow::Result<()> {
    let (over, stopped) = (until.over(), stopped());
    tokio::pin!(over, stopped);
    let mut taken = Taken::take()?;
    let mut keys = EventStream::new();
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut changed, mut events, mut ended) = (true, 0_u64, false);
    while !until.has(events) {
        tokio::select! {
            input = keys.next() => match input {
                Some(Ok(Input::Key(key))) if key.kind != KeyEventKind::Release => {
                    if is_interrupt(key) || screen.press(key) == Next::Quit {
                        return Ok(());
                    }
                    taken.draw(screen)?;
                    changed = false;
                }
                Some(Ok(_)) => taken.draw(screen)?,
                Some(Err(error)) => return Err(error).context("the terminal is gone"),
                None => return Ok(()),
            },
            news = source.next(), if !ended => match news {
                Some(news) => {
                    events += u64::from(screen.take(news));
                    changed = true;
                }
                // What was counted stays to be looked at.
                None => ended = true,
            },
            _ = redraw.tick() => if changed || screen.moves() {
                taken.draw(screen)?;
                changed = false;
            },
            () = &mut over => return Ok(()),
            result = &mut stopped => return Ok(result?),
        }
    }
    Ok(())
}

/// In raw mode ^C is a key like others.
fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}
