//! The live view of a profile: its state, and what keys and news do to it.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;

use super::{
    Only, draw, export,
    model::{Class, Grouping, Order, Profile, Rows},
};
use crate::{
    source::News,
    terminal::{Next, Palette, Screen},
};

/// Rows of a page at the beginning.
const PAGE: usize = 30;

pub(super) struct View {
    pub(super) profile: Profile,
    /// What is looked at meanwhile, while the display stands still.
    frozen: Option<Profile>,
    only: Only,
    pub(super) class: Class,
    pub(super) grouping: Grouping,
    pub(super) order: Order,
    pub(super) filter: String,
    /// Letters go to the filter.
    pub(super) editing: bool,
    /// At most so many rows are shown at once.
    pub(super) page: usize,
    pub(super) selected: usize,
    /// Rows that the last drawing had room for.
    pub(super) room: usize,
    pub(super) address: String,
    pub(super) connection: Connection,
    /// What the last key has done, if that does not show by itself.
    pub(super) answer: Option<Answer>,
    pub(super) palette: Palette,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Whole,
    /// The reason.
    Lost(String),
    Mended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done(String),
    Failed(String),
}

impl View {
    pub(super) fn new(only: Only, address: &str, grouping: Grouping, palette: Palette) -> Self {
        Self {
            profile: Profile::default(),
            frozen: None,
            only,
            class: Class::Process,
            grouping,
            order: Order::default(),
            filter: String::new(),
            editing: false,
            page: PAGE,
            selected: 0,
            room: PAGE,
            address: address.to_owned(),
            connection: Connection::Whole,
            answer: None,
            palette,
        }
    }

    /// What is looked at.
    pub(super) fn displayed(&self) -> &Profile {
        self.frozen.as_ref().unwrap_or(&self.profile)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn rows(&self) -> &Rows {
        self.displayed().rows(self.class, self.grouping)
    }

    fn turn(&mut self, by: usize) {
        let now = Class::ALL.iter().position(|&class| class == self.class).unwrap_or(0);
        self.class = Class::ALL[(now + by) % Class::ALL.len()];
        self.selected = 0;
    }

    fn scroll(&mut self, by: isize) {
        let last = self.rows().sorted(&self.filter, self.order).len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    fn export(&mut self) {
        let rows = self.rows().sorted("", self.order);
        let count = rows.len();
        self.answer = Some(match export::write(self.class, rows) {
            Ok(path) => Answer::Done(format!("{count} rows written to {}", path.display())),
            Err(error) => Answer::Failed(format!("{error:#}")),
        });
    }

    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.editing = false,
            KeyCode::Esc => {
                self.editing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
        self.selected = 0;
    }

    fn command(&mut self, code: KeyCode) -> Next {
        let page = isize::try_from(self.room).unwrap_or(isize::MAX);
        match code {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Char('/') => self.editing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.order = Order { by: self.order.by.next(), reversed: false },
            KeyCode::Char('S') => self.order.reversed = !self.order.reversed,
            KeyCode::Char('r') => {
                self.grouping = match self.grouping {
                    Grouping::Together => Grouping::Apart,
                    Grouping::Apart => Grouping::Together,
                };
                self.selected = 0;
            }
            KeyCode::Char('p' | ' ') => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(self.profile.clone()),
                };
            }
            KeyCode::Char('e') => self.export(),
            KeyCode::Char('i') => self.page = self.page.saturating_add(1),
            KeyCode::Char('u') => self.page = self.page.saturating_sub(1).max(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Right | KeyCode::Char('l') => self.scroll(page),
            KeyCode::PageUp | KeyCode::Left | KeyCode::Char('h') => self.scroll(-page),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.scroll(isize::MAX),
            _ => {}
        }
        Next::GoOn
    }
}

impl Screen for View {
    fn draw(&mut self, frame: &mut Frame<'_>) {
        draw::draw(self, frame);
    }

    fn press(&mut self, key: KeyEvent) -> Next {
        self.answer = None;
        match key.code {
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Class::ALL.len() - 1),
            code if self.editing => self.edit(code),
            code => return self.command(code),
        }
        Next::GoOn
    }

    fn take(&mut self, news: News) -> bool {
        match news {
            News::Event(event) => self.only.choose(&event) && self.profile.take(&event),
            News::Unreadable(_) => false,
            News::Lost(reason) => {
                self.connection = Connection::Lost(reason);
                false
            }
            News::Back => {
                self.connection = Connection::Mended;
                false
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;
    use crate::profile::model::{SortBy, tests::event};

    pub(in crate::profile) fn view() -> View {
        View::new(Only::default(), "localhost:32767", Grouping::Together, Palette::plain())
    }

    pub(in crate::profile) fn press(view: &mut View, keys: &str) {
        for letter in keys.chars() {
            let code = match letter {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            assert_eq!(view.press(KeyEvent::new(code, KeyModifiers::NONE)), Next::GoOn);
        }
    }

    fn take(view: &mut View, resource: &str) -> bool {
        view.take(News::Event(Box::new(event("web", "/bin/cat", resource))))
    }

    #[test]
    fn tabs_go_round_both_ways() {
        let mut view = view();
        press(&mut view, "\t\t");
        assert_eq!(view.class, Class::Network);
        press(&mut view, "\t\t\t");
        assert_eq!(view.class, Class::Process);
        view.press(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT));
        assert_eq!(view.class, Class::Capabilities);
    }

    #[test]
    fn letters_are_commands_or_the_filters_text() {
        let mut view = view();
        press(&mut view, "s/qs\n");
        assert_eq!((view.filter.as_str(), view.order.by), ("qs", SortBy::Process));
        press(&mut view, "S");
        assert!(view.order.reversed);
        press(&mut view, "\x1b");
        assert_eq!(view.filter, "");
        assert_eq!(view.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), Next::Quit);
    }

    #[test]
    fn a_pause_stops_the_display_but_not_the_count() {
        let mut view = view();
        press(&mut view, "\tr");
        take(&mut view, "/a");
        press(&mut view, "p");
        take(&mut view, "/b");
        assert_eq!((view.rows().len(), view.profile.events), (1, 2));
        press(&mut view, "p");
        assert_eq!(view.rows().len(), 2);
    }

    #[test]
    fn the_choice_stays_among_the_rows() {
        let mut view = view();
        press(&mut view, "\trjj");
        assert_eq!(view.selected, 0);
        for resource in ["/a", "/b", "/c"] {
            take(&mut view, resource);
        }
        press(&mut view, "jjjjj");
        assert_eq!(view.selected, 2);
        press(&mut view, "kg");
        assert_eq!(view.selected, 0);
        press(&mut view, "G");
        assert_eq!(view.selected, 2);
    }

    #[test]
    fn flags_choose_exactly() {
        let only = Only { container: Some("we".into()), ..Only::default() };
        let mut view = View::new(only, "", Grouping::Together, Palette::plain());
        assert!(!take(&mut view, "/a"));
        view.only.container = Some("web".into());
        assert!(take(&mut view, "/a"));
    }

    #[test]
    fn a_connection_that_comes_back_leaves_a_note() {
        let mut view = view();
        view.take(News::Lost("reset".into()));
        assert_eq!(view.connection, Connection::Lost("reset".into()));
        view.take(News::Back);
        assert_eq!(view.connection, Connection::Mended);
    }
}
