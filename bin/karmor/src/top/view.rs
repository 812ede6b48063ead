//! The live view: rules above, workloads below, either alone if asked for.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
};
use tokio::sync::watch::Receiver;

use super::{
    accounts::Accounts,
    model::{Account, Order, RuleLine, Top, WorkloadLine},
};
use crate::{
    source::{News, Workloads},
    terminal::{Column, Next, Palette, Screen, grid, shown, time_of_day},
};

const HELP: [(&str, &str); 5] =
    [("Tab", "rules/workloads"), ("s", "sort"), ("p", "pause"), ("jk", "move"), ("q", "quit")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Both,
    Rules,
    Workloads,
}

pub(super) struct View {
    top: Top,
    began: Instant,
    /// What is looked at meanwhile, and when it was so.
    frozen: Option<(Top, Duration)>,
    only: Workloads,
    accounts: Receiver<Accounts>,
    part: Part,
    order: Order,
    /// Lines that are scrolled over.
    above: usize,
    address: String,
    lost: Option<String>,
    mended: bool,
    palette: Palette,
}

impl View {
    pub(super) fn new(
        window: Duration,
        only: Workloads,
        accounts: Receiver<Accounts>,
        address: &str,
        palette: Palette,
    ) -> Self {
        Self {
            top: Top::new(window),
            began: Instant::now(),
            frozen: None,
            only,
            accounts,
            part: Part::Both,
            order: Order::default(),
            above: 0,
            address: address.to_owned(),
            lost: None,
            mended: false,
            palette,
        }
    }

    fn draw_at(&self, frame: &mut Frame<'_>, now: Duration) {
        let (top, at) = self.frozen.as_ref().map_or((&self.top, now), |(top, at)| (top, *at));
        let [body, status, help] =
            Layout::vertical([Constraint::Min(2), Constraint::Length(1), Constraint::Length(1)])
                .areas(frame.area());
        match self.part {
            Part::Rules => self.draw_rules(top, at, frame, body),
            Part::Workloads => self.draw_workloads(top, at, frame, body),
            Part::Both => {
                let halves =
                    Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1);
                let [above, below] = halves.areas(body);
                self.draw_rules(top, at, frame, above);
                self.draw_workloads(top, at, frame, below);
            }
        }
        frame.render_widget(self.status(top, at), status);
        let words = HELP.iter().flat_map(|(key, word)| {
            let word = Span::styled(format!(" {word}  "), Palette::FAINT);
            [Span::styled(*key, self.palette.title()), word]
        });
        frame.render_widget(words.collect::<Line<'_>>(), help);
    }

    fn draw_rules(&self, top: &Top, at: Duration, frame: &mut Frame<'_>, area: Rect) {
        let lines = top.rules(self.order, at);
        let rows = self
            .visible(&lines, area)
            .iter()
            .map(|line| (rule_cells(line), self.style(&line.rule.action)));
        let columns = fitting(&RULES, area.width);
        let rows = rows.map(|(cells, style)| (chosen(&cells, &columns), style)).collect();
        frame.render_widget(grid(&titles(&columns), rows, self.palette.title(), area), area);
    }

    fn draw_workloads(&self, top: &Top, at: Duration, frame: &mut Frame<'_>, area: Rect) {
        let lines = top.workloads(self.order, at);
        let columns = fitting(&WORKLOADS, area.width);
        let rows = self.visible(&lines, area).iter();
        let rows =
            rows.map(|line| (chosen(&workload_cells(line), &columns), Style::new())).collect();
        frame.render_widget(grid(&titles(&columns), rows, self.palette.title(), area), area);
    }

    fn visible<'l, T>(&self, lines: &'l [T], area: Rect) -> &'l [T] {
        let room = usize::from(area.height.saturating_sub(1));
        let above = self.above.min(lines.len().saturating_sub(room));
        &lines[above..lines.len().min(above + room)]
    }

    fn style(&self, action: &str) -> Style {
        if action == "Block" { self.palette.denied() } else { Style::new() }
    }

    fn status(&self, top: &Top, at: Duration) -> Line<'static> {
        let mut spans = Vec::new();
        if self.frozen.is_some() {
            spans.push(Span::styled("PAUSED | ", self.palette.warned()));
        }
        if let Some(reason) = &self.lost {
            let text = format!("CONNECTION LOST, trying again: {} | ", shown(reason));
            spans.push(Span::styled(text, self.palette.denied()));
        } else if self.mended {
            spans.push(Span::styled(
                "connected again, events are missing | ",
                self.palette.warned(),
            ));
        }
        if top.left_out > 0 {
            let text = format!("{} events without a line | ", top.left_out);
            spans.push(Span::styled(text, self.palette.warned()));
        }
        spans.push(Span::raw(format!(
            "{} events in {} s | rates over {} s | by {} | ",
            top.events,
            at.as_secs(),
            top.clock.window.as_secs(),
            self.order.word(),
        )));
        spans.push(Span::styled(self.address.clone(), Palette::FAINT));
        Line::from(spans)
    }
}

impl Screen for View {
    fn draw(&mut self, frame: &mut Frame<'_>) {
        if self.accounts.has_changed().unwrap_or(false) {
            self.top.settle(self.accounts.borrow_and_update().clone());
        }
        self.draw_at(frame, self.began.elapsed());
    }

    fn press(&mut self, key: KeyEvent) -> Next {
        match key.code {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Tab => {
                self.above = 0;
                self.part = match self.part {
                    Part::Both => Part::Rules,
                    Part::Rules => Part::Workloads,
                    Part::Workloads => Part::Both,
                };
            }
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('p' | ' ') => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some((self.top.clone(), self.began.elapsed())),
                };
            }
            KeyCode::Down | KeyCode::Char('j') => {
                let at = self.began.elapsed();
                let lines = self
                    .top
                    .rules(self.order, at)
                    .len()
                    .max(self.top.workloads(self.order, at).len());
                self.above = (self.above + 1).min(lines.saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => self.above = self.above.saturating_sub(1),
            _ => {}
        }
        Next::GoOn
    }

    fn take(&mut self, news: News) -> bool {
        match news {
            News::Event(event) if !event.is_own() && self.only.choose(&event) => {
                self.top.take(&event, self.began.elapsed());
                return true;
            }
            News::Event(_) | News::Unreadable(_) => {}
            News::Lost(reason) => self.lost = Some(reason),
            News::Back => {
                self.lost = None;
                self.mended = true;
            }
        }
        false
    }

    fn moves(&self) -> bool {
        self.frozen.is_none()
    }
}

/// From which width on a column is shown, and the column.
type Wide = (u16, Column);

const fn column(from: u16, title: &'static str, least: u16, number: bool) -> Wide {
    (from, Column { title, least, number })
}

const RULES: [Wide; 9] = [
    column(0, "POLICY", 8, false),
    column(30, "ACTION", 5, false),
    column(70, "OPERATIONS", 7, false),
    column(0, "/S", 5, true),
    column(40, "SEEN", 5, true),
    column(80, "RAISED", 6, true),
    column(80, "THROTTLED", 9, true),
    column(80, "LOST", 4, true),
    column(60, "LAST", 8, false),
];

const WORKLOADS: [Wide; 7] = [
    column(0, "WORKLOAD", 8, false),
    column(0, "ALERTS/S", 8, true),
    column(50, "LOGS/S", 6, true),
    column(40, "ALERTS", 6, true),
    column(60, "DENIED", 6, true),
    column(60, "LOGS", 6, true),
    column(70, "LAST", 8, false),
];

fn fitting(columns: &[Wide], width: u16) -> Vec<(usize, Column)> {
    let all = columns.iter().enumerate();
    all.filter(|(_, (from, _))| width >= *from).map(|(i, &(_, column))| (i, column)).collect()
}

fn titles(columns: &[(usize, Column)]) -> Vec<Column> {
    columns.iter().map(|&(_, column)| column).collect()
}

fn chosen(cells: &[String], columns: &[(usize, Column)]) -> Vec<String> {
    columns.iter().map(|&(index, _)| cells[index].clone()).collect()
}

fn rule_cells(line: &RuleLine) -> Vec<String> {
    let account = |number: fn(&Account) -> u64| {
        line.account.as_ref().map_or_else(|| "-".to_owned(), |account| number(account).to_string())
    };
    vec![
        shown(&line.rule.policy).into_owned(),
        shown(&line.rule.action).into_owned(),
        shown(&line.operations.join(",")).into_owned(),
        format!("{:.1}", line.per_second),
        line.seen.to_string(),
        account(|account| account.generated),
        account(|account| account.throttled),
        account(|account| account.lost),
        time_of_day(&line.last).to_owned(),
    ]
}

fn workload_cells(line: &WorkloadLine) -> Vec<String> {
    vec![
        shown(&line.place.name).into_owned(),
        format!("{:.1}", line.alerts_per_second),
        format!("{:.1}", line.logs_per_second),
        line.alerts.to_string(),
        line.denied.to_string(),
        line.logs.to_string(),
        time_of_day(&line.last).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use tokio::sync::watch::channel;

    use super::*;
    use crate::top::model::{
        accounts,
        tests::{alert, answer, log},
    };

    fn filled() -> View {
        let (_, accounts_of_agent) = channel(Accounts::new());
        let window = Duration::from_mins(1);
        let only = Workloads::default();
        let mut view =
            View::new(window, only, accounts_of_agent, "localhost:32767", Palette::plain());
        let at = Duration::from_secs(10);
        view.top.take(&alert("secrets", "web", 25), at);
        view.top.take(&alert("shells", "db", 2), at);
        view.top.take(&log("web", 300), at);
        view.top.settle(accounts(&answer()));
        view
    }

    fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw_at(frame, Duration::from_secs(10))).unwrap();
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
    }

    #[test]
    fn a_usual_terminal() {
        assert_eq!(
            screen(&filled(), 90, 12),
            [
                "POLICY   ACTION  OPERATIONS   /S  SEEN  RAISED  THROTTLED  LOST  LAST",
                "secrets  Block   File        2.5    25     120          2     0  03:04:05",
                "shells   Block   File        0.2     2       -          -     -  03:04:05",
                "quiet    Audit               0.0     0       7          1     0",
                "",
                "",
                "WORKLOAD  ALERTS/S  LOGS/S  ALERTS  DENIED  LOGS  LAST",
                "shop/web       2.5    30.0      25      25   300  03:04:05",
                "shop/db        0.2     0.0       2       2     0  03:04:05",
                "",
                "327 events in 10 s | rates over 60 s | by rate | localhost:32767",
                "Tab rules/workloads  s sort  p pause  jk move  q quit",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_and_one_part() {
        let mut view = filled();
        view.press(KeyCode::Tab.into());
        view.press(KeyCode::Char('s').into());
        assert_eq!(
            screen(&view, 38, 6),
            [
                "POLICY   ACTION   /S",
                "secrets  Block   2.5",
                "quiet    Audit   0.0",
                "shells   Block   0.2",
                "327 events in 10 s | rates over 60 s |",
                "Tab rules/workloads  s sort  p pause",
            ]
        );
        for (width, height) in [(1, 1), (5, 3), (300, 4)] {
            screen(&view, width, height);
        }
    }

    #[test]
    fn a_pause_and_a_broken_connection_show() {
        let mut view = filled();
        view.press(KeyCode::Char('p').into());
        assert!(!view.moves());
        view.take(News::Lost("reset".into()));
        let lines = screen(&view, 100, 8);
        assert!(
            lines[6].starts_with("PAUSED | CONNECTION LOST, trying again: reset | "),
            "{lines:#?}"
        );
        view.take(News::Back);
        assert!(screen(&view, 100, 8)[6].contains("connected again, events are missing"));
    }
}
