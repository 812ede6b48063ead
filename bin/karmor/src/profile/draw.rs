//! A profile on a screen of any size.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::TableState,
};

use super::{
    model::{Class, Grouping, Row},
    view::{Answer, Connection, View},
};
use crate::terminal::{Column, Palette, grid, shown, time_of_day};

const HELP: [(&str, &str); 10] = [
    ("Tab", "next"),
    ("/", "filter"),
    ("s", "sort"),
    ("S", "reverse"),
    ("r", "resources"),
    ("p", "pause"),
    ("e", "export"),
    ("i/u", "rows"),
    ("jk", "move"),
    ("q", "quit"),
];

pub(super) fn draw(view: &mut View, frame: &mut Frame<'_>) {
    let [tabs, table, detail, status, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    view.room = view.page.min(usize::from(table.height.saturating_sub(1))).max(1);
    frame.render_widget(tab_line(view), tabs);
    draw_rows(view, frame, table, detail);
    frame.render_widget(status_line(view), status);
    frame.render_widget(help_line(view), help);
}

fn tab_line(view: &View) -> Line<'static> {
    let mut spans = Vec::new();
    for class in Class::ALL {
        let text =
            format!(" {} {} ", class.as_str(), view.displayed().rows(class, view.grouping).len());
        let style = if class == view.class { Palette::CHOSEN } else { Style::new() };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn draw_rows(view: &View, frame: &mut Frame<'_>, area: Rect, detail: Rect) {
    let rows = view.rows().sorted(&view.filter, view.order);
    let selected = view.selected.min(rows.len().saturating_sub(1));
    let first = selected - selected % view.room;
    let columns = columns(view.class, area.width);
    let visible = rows.iter().skip(first).take(view.room).map(|row| {
        let cells = columns.iter().map(|(what, _)| cell(row, *what)).collect();
        let denied = !matches!(row.result.as_str(), "Passed" | "");
        (cells, if denied { view.palette.denied() } else { Style::new() })
    });
    let layout: Vec<Column> = columns.iter().map(|&(_, column)| column).collect();
    let table = grid(&layout, visible.collect(), view.palette.title(), area)
        .row_highlight_style(Palette::CHOSEN);
    let mut state =
        TableState::default().with_selected((!rows.is_empty()).then_some(selected - first));
    frame.render_stateful_widget(table, area, &mut state);
    if let Some(row) = rows.get(selected) {
        let place = format!("{}/{} ", selected + 1, rows.len());
        let text =
            format!("{} {} -> {}", shown(&row.time), shown(&row.process), shown(&row.resource));
        let spans = [Span::styled(place, Palette::FAINT), Span::raw(text)];
        frame.render_widget(Line::from_iter(spans), detail);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Namespace,
    Container,
    Process,
    Resource,
    Result,
    Count,
    Time,
}

/// The narrower, the fewer: process, resource and count are there always.
fn columns(class: Class, width: u16) -> Vec<(Content, Column)> {
    let column = |title, least, number| Column { title, least, number };
    let all = [
        (70, Content::Namespace, column("NAMESPACE", 6, false)),
        (50, Content::Container, column("CONTAINER", 8, false)),
        (0, Content::Process, column("PROCESS", 8, false)),
        (0, Content::Resource, column(title(class), 8, false)),
        (60, Content::Result, column("RESULT", 6, false)),
        (0, Content::Count, column("COUNT", 5, true)),
        (80, Content::Time, column("LAST", 8, false)),
    ];
    let wide_enough = all.into_iter().filter(|(from, ..)| width >= *from);
    wide_enough.map(|(_, content, column)| (content, column)).collect()
}

fn title(class: Class) -> &'static str {
    match class {
        Class::Process => "COMMAND",
        Class::File => "FILE",
        Class::Network => "SOCKET",
        Class::Syscall => "SYSCALL",
        Class::Capabilities => "CAPABILITY",
    }
}

fn cell(row: &Row, content: Content) -> String {
    let text = match content {
        Content::Namespace => &row.namespace,
        Content::Container => &row.container,
        Content::Process => &row.process,
        Content::Resource => &row.resource,
        Content::Result => &row.result,
        Content::Count => return row.count.to_string(),
        Content::Time => return time_of_day(&row.time).to_owned(),
    };
    shown(text).into_owned()
}

fn status_line(view: &View) -> Line<'static> {
    let palette = view.palette;
    if let Some(answer) = &view.answer {
        return match answer {
            Answer::Done(text) => Line::from(text.clone()),
            Answer::Failed(text) => Line::styled(text.clone(), palette.denied()),
        };
    }
    if view.editing {
        return Line::from(format!("filter: {}_   (Enter keeps it, Esc clears it)", view.filter));
    }
    let mut spans = Vec::new();
    let mut say = |text: String, style| {
        if !spans.is_empty() {
            spans.push(Span::raw(" | "));
        }
        spans.push(Span::styled(text, style));
    };
    if view.is_paused() {
        say("PAUSED".to_owned(), palette.warned());
    }
    match &view.connection {
        Connection::Whole => {}
        Connection::Lost(reason) => {
            say(format!("CONNECTION LOST, trying again: {}", shown(reason)), palette.denied());
        }
        Connection::Mended => {
            say("connected again, events are missing".to_owned(), palette.warned());
        }
    }
    let left_out = view.rows().left_out;
    if left_out > 0 {
        say(format!("{left_out} events without a row"), palette.warned());
    }
    if !view.filter.is_empty() {
        say(format!("filter: {}", view.filter), palette.warned());
    }
    say(format!("{} events", view.displayed().events), Style::new());
    let reversed = if view.order.reversed { ", reversed" } else { "" };
    say(format!("by {}{reversed}", view.order.by.word()), Style::new());
    if view.grouping == Grouping::Apart {
        say("each resource".to_owned(), Style::new());
    }
    say(format!("max {} rows", view.page), Style::new());
    say(view.address.clone(), Palette::FAINT);
    Line::from(spans)
}

fn help_line(view: &View) -> Line<'static> {
    let words = HELP.iter().flat_map(|(key, word)| {
        [
            Span::styled(*key, view.palette.title()),
            Span::styled(format!(" {word}  "), Palette::FAINT),
        ]
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{
        event::Event,
        profile::{
            model::tests::event,
            view::tests::{press, view},
        },
        source::News,
        terminal::Screen,
    };

    fn filled() -> View {
        let mut view = view();
        let denied = Event {
            result: "Permission denied".into(),
            ..event("db", "/usr/local/bin/postgres", "/etc/shadow")
        };
        for event in [
            event("web", "/usr/sbin/nginx", "/var/log/nginx/access.log"),
            Event { times: 41, ..event("web", "/usr/sbin/nginx", "/srv/www/index.html") },
            denied,
        ] {
            view.take(News::Event(Box::new(event)));
        }
        press(&mut view, "\tr");
        view
    }

    /// The screen's lines without the white space at their ends.
    fn screen(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(view, frame)).unwrap();
        let text = terminal.backend().to_string();
        let bare = |line: &str| line.trim_matches('"').trim_end().to_owned();
        text.lines().map(bare).collect()
    }

    #[test]
    fn a_usual_terminal() {
        assert_eq!(
            screen(&mut filled(), 100, 10),
            [
                " Process 0  File 3  Network 0  Syscall 0  Capabilities 0",
                "NAMESPACE  CONTAINER  PROCESS               FILE                  RESULT             COUNT  LAST",
                "shop       db         /usr/loca…n/postgres  /etc/shadow           Permission denied      1  03:04:05",
                "shop       web        /usr/sbin/nginx       /var/log/…access.log  Passed                 1  03:04:05",
                "shop       web        /usr/sbin/nginx       /srv/www/index.html   Passed                41  03:04:05",
                "",
                "",
                "1/3 2026-01-02T03:04:05.000000Z /usr/local/bin/postgres -> /etc/shadow",
                "43 events | by name | each resource | max 30 rows | localhost:32767",
                "Tab next  / filter  s sort  S reverse  r resources  p pause  e export  i/u rows  jk move  q quit",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_what_matters_most() {
        assert_eq!(
            screen(&mut filled(), 40, 7),
            [
                " Process 0  File 3  Network 0  Syscall 0",
                "PROCESS           FILE             COUNT",
                "/usr/lo…postgres  /etc/shadow          1",
                "/usr/sbin/nginx   /var/lo…ess.log      1",
                "1/3 2026-01-02T03:04:05.000000Z /usr/loc",
                "43 events | by name | each resource | ma",
                "Tab next  / filter  s sort  S reverse  r",
            ]
        );
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (3, 2), (200, 3), (10, 60)] {
            screen(&mut filled(), width, height);
        }
    }

    #[test]
    fn pages_and_what_happens_are_told() {
        let mut view = filled();
        view.page = 2;
        press(&mut view, "G");
        let lines = screen(&mut view, 100, 10);
        assert!(lines[2].contains("/srv/www/index.html") && lines[3].is_empty(), "{lines:#?}");
        press(&mut view, "/ngi");
        assert!(screen(&mut view, 100, 10)[8].starts_with("filter: ngi_"));
        press(&mut view, "\np");
        view.take(News::Lost("reset\x1b[2J".into()));
        let lines = screen(&mut view, 100, 10);
        let lost =
            "PAUSED | CONNECTION LOST, trying again: reset\\u{1b}[2J | filter: ngi | 43 events";
        assert!(lines[8].starts_with(lost), "{lines:#?}");
    }
}
