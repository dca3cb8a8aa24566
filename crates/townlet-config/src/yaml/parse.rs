//! Text to tree, by parser events, with limits.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::{Entry, Node, Value};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity, lines, quote};
use crate::origin::{Origin, Place};

/// Bytes of a configuration text.
const MOST_BYTES: usize = 1024 * 1024;
/// Nodes and text bytes of the tree once aliases are copied in (billion laughs).
const MOST_NODES: usize = 20_000;
const MOST_TEXT: usize = 4 * MOST_BYTES;
/// Levels of nesting; the deepest real key stands at level 6.
const MOST_DEPTH: usize = 48;

/// Reads one document. Syntax errors end the reading; all else is collected.
pub(crate) fn parse(file: &str, text: &str, found: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder { file, text, found, anchors: HashMap::new(), nodes: 0, bytes: 0, stack: Vec::new() };
    if text.len() > MOST_BYTES {
        builder.error(Code::TooLarge, &Place::top(), format!("the text is longer than {MOST_BYTES} bytes"));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    builder.run(text)
}

/// Reads the value of an environment variable or `--set`: a list or mapping in
/// flow form where it starts like one, otherwise one scalar, taken literally. An
/// address in brackets with its port is a scalar, and so is what begins with a placeholder.
pub(crate) fn parse_override(value: &str, place: &Place) -> Result<Value, String> {
    if matches!(value, "null" | "~") {
        return Ok(Value::Null);
    }
    let is_address = value.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let is_address = is_address.is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    if is_address || !value.starts_with(['[', '{']) {
        return Ok(Value::Scalar { text: value.into(), plain: true });
    }
    let mut found = Diagnostics::default();
    let node = parse("", value, &mut found);
    match (node, found.errors().next()) {
        (Some(mut node), None) => {
            replace_places(&mut node, place);
            Ok(node.value)
        }
        // As in `{partition}.{stream}`.
        (_, Some(_)) if goes_on_behind_its_bracket(value) => Ok(Value::Scalar { text: value.into(), plain: true }),
        (_, Some(error)) => Err(error.message.clone()),
        (None, None) => Ok(Value::Null),
    }
}

/// True where the first bracket that closes is followed by what follows none in a list or mapping.
fn goes_on_behind_its_bracket(value: &str) -> bool {
    let behind = value.find([']', '}']).and_then(|at| value[at + 1..].chars().next());
    behind.is_some_and(|next| !next.is_whitespace() && !matches!(next, ',' | ']' | '}' | ':'))
}

fn replace_places(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| replace_places(item, place)),
        Value::Map(entries) => {
            for entry in entries {
                entry.place = place.clone();
                replace_places(&mut entry.node, place);
            }
        }
        Value::Null | Value::Scalar { .. } => {}
    }
}

enum Open {
    List { anchor: usize, place: Place, items: Vec<Node> },
    Map { anchor: usize, place: Place, entries: Vec<Entry>, lines: HashMap<String, Origin>, key: Option<Node> },
}

struct Builder<'a> {
    file: &'a str,
    text: &'a str,
    found: &'a mut Diagnostics,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    stack: Vec<Open>,
}

impl Builder<'_> {
    fn error(&mut self, code: Code, place: &Place, message: impl Into<String>) {
        self.error_with(code, place, message, None);
    }

    fn error_with(&mut self, code: Code, place: &Place, message: impl Into<String>, help: Option<&str>) {
        let mut diagnostic = Diagnostic::new(code, Severity::Error, "", message);
        diagnostic.help = help.map(str::to_owned);
        diagnostic.locate(place, self.file, self.text);
        self.found.push(diagnostic);
    }

    fn run(&mut self, text: &str) -> Option<Node> {
        let mut options = Options::default();
        options.flow_nesting_limit = MOST_DEPTH;
        options.block_nesting_limit = MOST_DEPTH;
        options.set_emit_comments(false);
        let mut parser = Parser::new_from_str_with_options(text, options);
        let mut root = None;
        while let Some(event) = parser.next_event() {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let mark = error.marker();
                    let (column, help) = match self.tab_in_indent(mark.line()) {
                        Some(column) => (column, Some("YAML indents with spaces: replace the tab")),
                        None => (mark.col(), None),
                    };
                    self.error_with(Code::Syntax, &place_at(mark.line(), column, 1), error.info(), help);
                    return None;
                }
            };
            if root.is_some() && matches!(event, Event::DocumentStart(..)) {
                self.error(
                    Code::Syntax,
                    &place_of(&span),
                    "a second document starts here; a configuration is one document",
                );
                return None;
            }
            match self.take(event, &span) {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(Stop) => return None,
            }
        }
        Some(root.unwrap_or_else(|| Node::new(Value::Null, Place::top())))
    }

    /// The column, from 0, of a tab that indents this line.
    fn tab_in_indent(&self, line: usize) -> Option<usize> {
        let line = lines(self.text).nth(line.saturating_sub(1))?;
        line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')
    }

    /// Feeds one event; returns the root once it is complete.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Stop> {
        let place = place_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.tagged(span);
                }
                let plain = style == ScalarStyle::Plain;
                let empty = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                self.count(1, text.len(), &place)?;
                let value = if empty { Value::Null } else { Value::Scalar { text: text.into_owned(), plain } };
                self.complete(Node::new(value, place), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.tagged(span);
                }
                self.open(Open::List { anchor, place: place.clone(), items: Vec::new() }, &place)
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.tagged(span);
                }
                let map =
                    Open::Map { anchor, place: place.clone(), entries: Vec::new(), lines: HashMap::new(), key: None };
                self.open(map, &place)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Open::List { anchor, place, items }) => {
                    self.complete(Node::new(Value::List(items), place), anchor)
                }
                Some(Open::Map { anchor, place, entries, .. }) => {
                    let entries = self.merge(entries)?;
                    self.complete(Node::new(Value::Map(entries), place), anchor)
                }
                None => Ok(None),
            },
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    self.error(Code::Syntax, &place, "this alias refers to the node that contains it");
                    return Err(Stop);
                };
                let size = Size::of(&node);
                if self.stack.len() + size.depth > MOST_DEPTH {
                    self.error(Code::TooLarge, &place, format!("aliases nest deeper than {MOST_DEPTH} levels"));
                    return Err(Stop);
                }
                self.count(size.nodes, size.bytes, &place)?;
                self.complete(node, 0)
            }
            _ => Ok(None),
        }
    }

    fn tagged(&mut self, span: &Span) {
        let at = span.tag_start.unwrap_or(span.start);
        let place = place_at(at.line(), at.col(), 1);
        self.error_with(Code::Syntax, &place, "YAML tags have no meaning here", Some("remove the tag"));
    }

    fn count(&mut self, nodes: usize, bytes: usize, place: &Place) -> Result<(), Stop> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes <= MOST_NODES && self.bytes <= MOST_TEXT {
            return Ok(());
        }
        let message = format!("more than {MOST_NODES} values or {MOST_TEXT} bytes of text once aliases are expanded");
        self.error(Code::TooLarge, place, message);
        Err(Stop)
    }

    fn open(&mut self, open: Open, place: &Place) -> Result<Option<Node>, Stop> {
        self.count(1, 0, place)?;
        self.stack.push(open);
        Ok(None)
    }

    fn complete(&mut self, mut node: Node, anchor: usize) -> Result<Option<Node>, Stop> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => return Ok(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { key: key @ None, .. }) => *key = Some(node),
            Some(Open::Map { entries, lines, key: key @ Some(_), .. }) => {
                // The pattern has just matched `Some`.
                let Some(key_node) = key.take() else { return Ok(None) };
                if matches!(node.value, Value::Null) {
                    // The place of a value that is not there is no help.
                    node.place = key_node.place.clone();
                }
                match key_node.value {
                    Value::Scalar { text: name, .. } => {
                        let first = lines.get(&name).cloned();
                        match first {
                            None => {
                                lines.insert(name.clone(), key_node.place.origin.clone());
                                entries.push(Entry { key: name, place: key_node.place, node });
                            }
                            Some(first) => {
                                let message = format!("the key {} is given twice; first at {first}", quote(&name));
                                self.error_with(
                                    Code::DuplicateKey,
                                    &key_node.place,
                                    message,
                                    Some("keep one of the two"),
                                );
                            }
                        }
                    }
                    _ => self.error(Code::Syntax, &key_node.place, "a key must be a name"),
                }
            }
        }
        Ok(None)
    }

    /// Resolves `<<: *base`: the base's entries, unless the mapping has its own.
    fn merge(&mut self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, Stop> {
        let Some(at) = entries.iter().position(|e| e.key == "<<") else { return Ok(entries) };
        let merged = entries.remove(at);
        let bases = match merged.node.value {
            Value::List(items) => items,
            value => vec![Node::new(value, merged.node.place)],
        };
        for base in bases {
            let Value::Map(inherited) = base.value else {
                self.error(Code::Syntax, &merged.place, "<< takes a mapping or a list of mappings");
                continue;
            };
            for entry in inherited {
                if !entries.iter().any(|e| e.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }
}

/// A limit or an error that leaves no tree to go on with; already reported.
struct Stop;

struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let children: Vec<(&Node, usize)> = match &node.value {
            Value::Null => Vec::new(),
            Value::Scalar { text, .. } => return Self { nodes: 1, bytes: text.len(), depth: 1 },
            Value::List(items) => items.iter().map(|item| (item, 0)).collect(),
            Value::Map(entries) => entries.iter().map(|e| (&e.node, e.key.len())).collect(),
        };
        children.iter().fold(Self { nodes: 1, bytes: 0, depth: 1 }, |sum, (child, key)| {
            let size = Self::of(child);
            Self {
                nodes: sum.nodes + size.nodes,
                bytes: sum.bytes + size.bytes + key,
                depth: sum.depth.max(size.depth + 1),
            }
        })
    }
}

fn place_of(span: &Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    place_at(start.line(), start.col(), width)
}

fn place_at(line: usize, column: usize, width: usize) -> Place {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        origin: Origin::File { line: small(line).max(1), column: small(column).saturating_add(1) },
        width: small(width).max(1),
    }
}
