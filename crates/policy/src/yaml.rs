//! YAML (and JSON, which is YAML) as a tree whose every key and value knows its line and column.
//!
//! Of a key written twice the last one counts, as in the decoders that deployed policies went through;
//! the tree remembers the repetition. Aliases are replaced by what they stand for, within limits.

mod json;

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Bounds the walk over a tree, which recurses.
const MAX_DEPTH: usize = 128;
/// Bounds what aliases can multiply a document to.
const MAX_ALIASED_NODES: usize = 100_000;

/// A place in a text; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    fn of(mark: granit_parser::Marker) -> Self {
        Self { line: mark.line(), column: mark.col() + 1 }
    }

    /// The place in a text of what stands here in the part of it that begins at `start`.
    fn behind(self, start: Self) -> Self {
        let column = if self.line == 1 { start.column - 1 } else { 0 };
        Self { line: start.line + self.line - 1, column: column + self.column }
    }

    fn of_byte(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: Position,
    pub value: Value,
}

impl Node {
    /// Where the value stands that users call `spec.file.matchPaths[2]`.
    pub(crate) fn position(&self, place: &str) -> Option<Position> {
        let mut steps = place.split(['.', '[']).filter(|step| !step.is_empty());
        let found = steps.try_fold(self, |node, step| match &node.value {
            Value::Map(map) => map.get(step),
            Value::List(list) => list.get(step.strip_suffix(']')?.parse::<usize>().ok()?),
            Value::Scalar(_) => None,
        });
        found.map(|node| node.at)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub text: String,
    /// Written without quotes (and without `!!str`), so that it may be a number, a truth value or null.
    pub plain: bool,
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    pub entries: Vec<Entry>,
    pub repeated: Vec<Repeated>,
    /// Where in `entries` a key is: a mapping may have very many.
    index: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

/// A key that was written again.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    pub key: String,
    pub at: Position,
    pub first: Position,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(*self.index.get(key)?).map(|entry| &entry.value)
    }

    /// The text of a field that is written without structure.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    fn insert(&mut self, key: String, at: Position, value: Node) {
        let known = self.index.get(&key).and_then(|index| self.entries.get_mut(*index));
        if let Some(entry) = known {
            self.repeated.push(Repeated { key, at, first: entry.at });
            entry.at = at;
            entry.value = value;
        } else {
            self.push(Entry { key, at, value });
        }
    }

    fn push(&mut self, entry: Entry) {
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
    }

    /// `<<`: what is written out wins over what is merged in.
    fn merge(&mut self, merged: Node) {
        match merged.value {
            Value::Map(map) => {
                for entry in map.entries {
                    if !self.index.contains_key(&entry.key) {
                        self.push(entry);
                    }
                }
            }
            Value::List(list) => list.into_iter().for_each(|node| self.merge(node)),
            Value::Scalar(_) => {}
        }
    }
}

/// One document of a stream; an empty one has no root.
#[derive(Debug)]
pub(crate) struct Document {
    pub root: Option<Node>,
}

/// Why a document is not YAML.
#[derive(Debug)]
pub(crate) struct Fault {
    pub at: Position,
    pub message: String,
}

/// The documents of a text, and the first tab that stands outside of values and comments.
pub(crate) struct Stream {
    pub documents: Vec<Result<Document, Fault>>,
    pub tab: Option<Position>,
}

/// Reads all documents; a faulty one does not take the following ones with it.
pub(crate) fn read(text: &str) -> Stream {
    let mut reader = Reader { documents: Vec::new(), covered: Vec::new() };
    let parts = json::values(text);
    if parts.is_empty() {
        reader.read(text, Position::START);
    }
    let mut at = Position::START;
    let mut end = 0;
    for part in parts {
        at = Position::of_byte(&text[end..part.start], part.start - end).behind(at);
        reader.read(&text[part.clone()], at);
        end = part.start;
    }
    Stream { tab: first_tab(text, &reader.covered), documents: reader.documents }
}

struct Reader {
    documents: Vec<Result<Document, Fault>>,
    /// Byte ranges of values and comments.
    covered: Vec<std::ops::Range<usize>>,
}

impl Reader {
    fn read(&mut self, part: &str, start: Position) {
        let options = granit_parser::options! { max_buffered_comment_events: usize::MAX };
        let mut parser = Parser::new_from_str_with_options(part, options);
        loop {
            let document = read_document(&mut parser, start, &mut self.covered).transpose();
            let Some(document) = document else { break };
            let faulty = document.is_err();
            self.documents.push(document);
            if faulty && !matches!(parser.proceed_next_document(), Ok(true)) {
                break;
            }
        }
    }
}

/// `None` at the end of the stream.
fn read_document<'t>(
    events: &mut impl Iterator<Item = Result<(Event<'t>, Span), ScanError>>,
    start: Position,
    covered: &mut Vec<std::ops::Range<usize>>,
) -> Result<Option<Document>, Fault> {
    let mut builder = Builder::default();
    for event in events {
        let (event, span) = event.map_err(|error| Fault {
            at: Position::of(*error.marker()).behind(start),
            message: error.info(),
        })?;
        let at = Position::of(span.start).behind(start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                covered.extend(span.byte_range());
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                let value = Value::Scalar(Scalar { text: text.into_owned(), plain });
                builder.add(Built { node: Node { at, value }, height: 1, size: 1 }, anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                builder.open(at, anchor, Open::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                builder.open(at, anchor, Open::Map(Map::default(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => builder.alias(at, anchor)?,
            Event::Comment(..) => covered.extend(span.byte_range()),
            Event::DocumentEnd => {
                let root = builder.root.map(|built| built.node);
                return Ok(Some(Document { root: root.filter(|root| !is_empty(root)) }));
            }
            Event::StreamEnd => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

fn is_empty(root: &Node) -> bool {
    matches!(&root.value, Value::Scalar(scalar) if scalar.is_null())
}

/// A node with the measures that keep aliases within their limits.
#[derive(Clone)]
struct Built {
    node: Node,
    height: usize,
    size: usize,
}

enum Open {
    List(Vec<Node>),
    /// The key waits for its value.
    Map(Map, Option<(String, Position)>),
}

struct Frame {
    open: Open,
    at: Position,
    anchor: usize,
    height: usize,
    size: usize,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    root: Option<Built>,
    aliased: usize,
}

impl Builder {
    fn open(&mut self, at: Position, anchor: usize, open: Open) -> Result<(), Fault> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.stack.push(Frame { open, at, anchor, height: 1, size: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(Frame { open, at, anchor, height, size }) = self.stack.pop() else {
            return Ok(());
        };
        let value = match open {
            Open::List(list) => Value::List(list),
            Open::Map(map, _) => Value::Map(map),
        };
        self.add(Built { node: Node { at, value }, height, size }, anchor)
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Fault> {
        let Some(built) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias cannot stand inside what it names".to_owned();
            return Err(Fault { at, message });
        };
        self.aliased += built.size;
        if self.aliased > MAX_ALIASED_NODES {
            let message = format!("aliases make more than {MAX_ALIASED_NODES} values of this");
            return Err(Fault { at, message });
        }
        self.add(built, 0)
    }

    fn add(&mut self, built: Built, anchor: usize) -> Result<(), Fault> {
        if built.height + self.stack.len() > MAX_DEPTH {
            return Err(too_deep(built.node.at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(built);
            return Ok(());
        };
        frame.height = frame.height.max(built.height + 1);
        frame.size += built.size;
        match &mut frame.open {
            Open::List(list) => list.push(built.node),
            Open::Map(map, waiting) => match waiting.take() {
                None => *waiting = Some(key(built.node)?),
                Some((key, _)) if key == "<<" => map.merge(built.node),
                Some((key, at)) => map.insert(key, at, built.node),
            },
        }
        Ok(())
    }
}

fn too_deep(at: Position) -> Fault {
    Fault { at, message: format!("nested more than {MAX_DEPTH} levels deep") }
}

fn key(node: Node) -> Result<(String, Position), Fault> {
    match node.value {
        Value::Scalar(scalar) => Ok((scalar.text, node.at)),
        Value::List(_) | Value::Map(_) => {
            Err(Fault { at: node.at, message: "a key must be a plain word".to_owned() })
        }
    }
}

/// `covered` are the byte ranges of values and comments, in the order of the text.
fn first_tab(text: &str, covered: &[std::ops::Range<usize>]) -> Option<Position> {
    // JSON may be indented with anything.
    if text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let inside = |offset| {
        let next = covered.partition_point(|range| range.start <= offset);
        covered[..next].iter().rev().take(4).any(|range| range.contains(&offset))
    };
    let (offset, _) = text.match_indices('\t').find(|(offset, _)| !inside(*offset))?;
    Some(Position::of_byte(text, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Node {
        let mut stream = read(text);
        assert_eq!(stream.documents.len(), 1, "{:?}", stream.documents);
        stream.documents.remove(0).unwrap().root.unwrap()
    }

    fn fault(text: &str) -> Fault {
        read(text).documents.remove(0).unwrap_err()
    }

    fn get<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
        path.iter().fold(node, |node, key| match &node.value {
            Value::Map(map) => map.get(key).unwrap(),
            _ => panic!("{node:?} is no mapping"),
        })
    }

    fn text(node: &Node) -> &str {
        match &node.value {
            Value::Scalar(scalar) => &scalar.text,
            _ => panic!("{node:?} is no scalar"),
        }
    }

    #[test]
    fn values_know_their_place() {
        let root = only("a:\n  b: \"ä\"\n  c: x\n");
        assert_eq!(get(&root, &["a", "c"]).at, Position { line: 3, column: 6 });
        assert_eq!(get(&root, &["a", "b"]).at, Position { line: 2, column: 6 });
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        let root = only("a: 1\nb: 2\na: 3\n");
        assert_eq!(text(get(&root, &["a"])), "3");
        let Value::Map(map) = root.value else { panic!() };
        assert_eq!(map.repeated[0].at.line, 3);
        assert_eq!(map.repeated[0].first.line, 1);
    }

    #[test]
    fn a_faulty_document_leaves_the_others() {
        let stream = read("a: [1\n---\nb: 1\n---\n# nothing\n---\nc: 2\n");
        let shapes: Vec<_> = stream
            .documents
            .iter()
            .map(|document| {
                document.as_ref().map(|document| document.root.is_some()).map_err(|_| ())
            })
            .collect();
        assert_eq!(shapes, [Err(()), Ok(true), Ok(false), Ok(true)]);
    }

    #[test]
    fn json_values_one_after_the_other() {
        let stream = read("{\"a\": \"}\\\" {\"}\n{\n \"b\": 2} {\"c\": 3}\n");
        let roots: Vec<_> =
            stream.documents.into_iter().map(|d| d.unwrap().root.unwrap()).collect();
        assert_eq!(text(get(&roots[0], &["a"])), "}\" {");
        assert_eq!(get(&roots[1], &["b"]).at, Position { line: 3, column: 7 });
        assert_eq!(get(&roots[2], &["c"]).at, Position { line: 3, column: 16 });
    }

    #[test]
    fn aliases_and_merge_keys() {
        let root = only("x: &x {a: 1, b: 2}\ny: *x\nz: {<<: *x, a: 3}\n");
        assert_eq!(text(get(&root, &["y", "a"])), "1");
        assert_eq!(text(get(&root, &["z", "a"])), "3");
        assert_eq!(text(get(&root, &["z", "b"])), "2");
    }

    #[test]
    fn aliases_do_not_multiply_without_limit() {
        let line = |n: usize| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10));
        let bomb: String =
            std::iter::once("a0: &a0 x\n".to_owned()).chain((1..12).map(line)).collect();
        assert!(fault(&bomb).message.contains("aliases"));
        assert!(fault("a: &a [*a]").message.contains("inside"));
    }

    #[test]
    fn depth_is_limited_with_and_without_aliases() {
        assert!(fault(&format!("{}{}", "[".repeat(200), "]".repeat(200))).message.contains("deep"));
        let line = |n: usize| format!("a{n}: &a{n} [[*a{}]]\n", n - 1);
        let chain: String =
            std::iter::once("a0: &a0 x\n".to_owned()).chain((1..200).map(line)).collect();
        assert!(fault(&chain).message.contains("deep"));
    }

    #[test]
    fn tabs_are_found_outside_of_values_and_comments_only() {
        let tab = |text| read(text).tab.map(|at| (at.line, at.column));
        assert_eq!(tab("a: \"x\ty\" # c\td\n"), None);
        assert_eq!(tab("a: x\ty\n"), None);
        assert_eq!(tab("a: x\nb:\ty\n"), Some((2, 3)));
        assert_eq!(tab("a: x\t# c\n"), Some((1, 5)));
        assert_eq!(tab("{\n\t\"a\": 1\n}"), None);
    }

    #[test]
    fn tabs_where_deployed_policies_have_them() {
        for odd in
            ["a:\tx\n", "a: x\t\n", "a: x\t# c\n", "a:\t\n  b: x\n", "a: [x,\ty]\n", "- a\t\n"]
        {
            assert!(read(odd).documents[0].is_ok(), "{odd:?}");
        }
        assert!(read("{\n\t\"a\": [\n\t\t1\n\t]\n}").documents[0].is_ok());
    }
}
