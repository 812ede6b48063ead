//! The words of an image's automaton: rows by bytes, and tables of names.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;

use crate::{
    futures::Futures,
    image::{NUL_CLASS, number},
    layout::{NAME_PIECE, ROW_INSIDE, ROW_SEEDS, ROW_SINK, ROW_TABLE},
    minimize::Minimal,
    name_hash,
    tables::{Tables, Way},
};

/// In which way a state is met.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// A name begins.
    Opening,
    /// In the middle of a name.
    Inside,
    /// The same, where the table of this state has been looked into.
    Trunk(u32),
    /// In a text that is no path, so that a slash is a byte like others.
    Text,
}

/// What is placed and waits to be written.
enum Waiting {
    Row(u32, Form),
    /// With the piece of a name that leads there, if only that does.
    Table(u32, Option<Vec<u8>>),
}

/// Places rows behind one another and writes them in this order.
pub(crate) struct Rows<'a> {
    minimal: &'a Minimal,
    futures: &'a Futures,
    /// The futures of rows that have been written, and what they are in the image.
    numbers: HashMap<u32, u32>,
    rules: Vec<[u32; 2]>,
    tables: Tables<'a>,
    columns: usize,
    slash: usize,
    /// The numbers of rows that have been placed.
    places: HashMap<(u32, Form), u32>,
    waiting: VecDeque<Waiting>,
    /// Where the next one comes.
    end: usize,
}

impl<'a> Rows<'a> {
    /// Rows to be appended to so many words. A name's words of eight bytes are to lie evenly, so that count is even.
    pub(crate) fn new(
        minimal: &'a Minimal,
        futures: &'a Futures,
        tables: Tables<'a>,
        [columns, slash]: [usize; 2],
        end: usize,
    ) -> Self {
        Self {
            minimal,
            futures,
            numbers: HashMap::from_iter([(0, 0)]),
            rules: futures.rules.iter().take(1).copied().collect(),
            tables,
            columns,
            slash,
            places: HashMap::default(),
            waiting: VecDeque::new(),
            end,
        }
    }

    /// The number of the row where paths begin.
    pub(crate) fn of_paths(&mut self, state: u32) -> u32 {
        self.place(state, Form::Opening)
    }

    /// The number of the row where texts begin that are no paths.
    pub(crate) fn of_texts(&mut self, state: u32) -> u32 {
        self.place(state, Form::Text)
    }

    /// Appends all rows that can be reached from those that were asked for. Returns the rules of their futures.
    pub(crate) fn write(mut self, words: &mut Vec<u32>) -> Vec<[u32; 2]> {
        while let Some(next) = self.waiting.pop_front() {
            match next {
                Waiting::Row(state, form) => self.write_row(words, state, form),
                Waiting::Table(state, piece) => self.write_table(words, state, piece.as_deref()),
            }
            words.resize(words.len().next_multiple_of(2), 0);
        }
        self.rules
    }

    fn place(&mut self, state: u32, form: Form) -> u32 {
        let form = match form {
            Form::Opening if !self.tables.has(state) => Form::Inside,
            form => form,
        };
        if let Some(&known) = self.places.get(&(state, form)) {
            return known;
        }
        let row = if form == Form::Opening {
            self.place_table(state, None)
        } else {
            let row = number(self.end);
            self.end += (3 + self.columns).next_multiple_of(2);
            self.waiting.push_back(Waiting::Row(state, form));
            row
        };
        self.places.insert((state, form), row);
        row
    }

    fn place_table(&mut self, state: u32, piece: Option<Vec<u8>>) -> u32 {
        let before = piece.as_deref().map_or(0, key_size);
        let mut row = number(self.end + before) | ROW_TABLE;
        if let Some(table) = self.tables.get(state) {
            if table.names.is_empty() && table.default == state {
                row |= ROW_SINK;
            }
            let (seeds, slots) = (table.perfect.seeds.len(), table.perfect.slots.len());
            let leaves = table.names.iter().filter(|(piece, _)| piece.len() < NAME_PIECE);
            let leaves: usize = leaves.map(|(piece, _)| key_size(piece) + LEAF).sum();
            self.end += before + (ROW_SEEDS as usize + seeds + slots).next_multiple_of(2) + leaves;
        }
        self.waiting.push_back(Waiting::Table(state, piece));
        row
    }

    fn write_row(&mut self, words: &mut Vec<u32>, state: u32, form: Form) {
        let itself = number(words.len());
        let first = state as usize * self.columns;
        let successors = &self.minimal.successors[first..first + self.columns];
        let future = self.future(state);
        words.extend([self.output(state), itself, future]);
        let below = if form == Form::Text { Form::Text } else { Form::Opening };
        words.push(self.place(successors[self.slash], below));
        for (class, &next) in successors.iter().enumerate() {
            if class != self.slash {
                let (next, form) = self.within_name(class, next, form);
                words.push(self.place(next, form));
            }
        }
    }

    /// Where a name goes on.
    fn within_name(&self, class: usize, next: u32, form: Form) -> (u32, Form) {
        let Form::Trunk(opening) = form else { return (next, form) };
        let way = self.tables.get(opening).map(|table| self.tables.way(table, class, next));
        match way {
            Some(Way::Trunk) => (next, form),
            Some(Way::Default(default)) => (default, Form::Inside),
            Some(Way::Plain) | None => (next, Form::Inside),
        }
    }

    fn write_table(&mut self, words: &mut Vec<u32>, state: u32, piece: Option<&[u8]>) {
        let Some(table) = self.tables.get(state) else { return };
        let (default, names) = (table.default, table.names.clone());
        let has_trunk = !table.trunk.is_empty();
        let (seeds, slots) = (table.perfect.seeds.clone(), table.perfect.slots.clone());
        if let Some(piece) = piece {
            write_key(words, piece);
        }
        let future = self.future(state);
        self.write_end(words, state, piece.map_or(0, <[u8]>::len), future);
        words.push(if has_trunk {
            self.place(state, Form::Trunk(state)) | ROW_INSIDE
        } else {
            self.place(default, Form::Opening)
        });
        words.push(number(seeds.len() - 1) | number(slots.len() - 1) << 16);
        words.extend(&seeds);
        let slots_at = words.len();
        words.resize((slots_at + slots.len()).next_multiple_of(2), 0);
        let mut rows = vec![0; names.len()];
        for (row, (piece, next)) in rows.iter_mut().zip(names) {
            *row = if piece.len() < NAME_PIECE {
                write_key(words, &piece);
                let row = number(words.len());
                // A future is asked for behind a slash only.
                self.write_end(words, next, piece.len(), 0);
                row
            } else {
                self.place_table(next, Some(piece))
            };
        }
        for (slot, name) in words[slots_at..].iter_mut().zip(slots) {
            *slot = name.map_or(0, |name| rows[name]);
        }
    }

    /// A row up to the slash: all that is asked of it where a name has ended.
    fn write_end(&mut self, words: &mut Vec<u32>, state: u32, length: usize, future: u32) {
        words.extend([self.output(state), number(length), future]);
        let below = self.minimal.successors[state as usize * self.columns + self.slash];
        words.push(self.place(below, Form::Opening));
    }

    fn output(&self, state: u32) -> u32 {
        self.minimal.outputs[state as usize]
    }

    fn future(&mut self, state: u32) -> u32 {
        let part = self.futures.parts.get(state as usize).copied().unwrap_or(0);
        *self.numbers.entry(part).or_insert_with(|| {
            self.rules.push(self.futures.rules[part as usize]);
            number(self.rules.len() - 1)
        })
    }
}

/// Words of a row up to the slash.
const LEAF: usize = 4;

fn key_size(piece: &[u8]) -> usize {
    2 * piece.len().div_ceil(8)
}

/// The piece in words of eight bytes, the last one first.
fn write_key(words: &mut Vec<u32>, piece: &[u8]) {
    for eight in name_hash::words(piece).into_iter().rev() {
        words.extend(
            eight
                .to_le_bytes()
                .chunks_exact(4)
                .map(|half| u32::from_le_bytes([half[0], half[1], half[2], half[3]])),
        );
    }
}

/// Where a row by bytes has the row behind a byte of this class. The slash comes first, as in all rows.
pub(crate) fn column(class: usize, slash: usize) -> u8 {
    let place = match class.cmp(&slash) {
        std::cmp::Ordering::Less => 1 + class,
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Greater => class,
    };
    // UTF-8 never uses thirteen of the byte values, so the classes always leave room.
    u8::try_from(3 + place).unwrap_or(u8::MAX)
}

const _: () = assert!(NUL_CLASS == 1, "where write_row has a row lead to itself");
