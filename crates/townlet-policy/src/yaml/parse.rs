//! Text to tree, by parser events, with limits.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::{Entry, Node, Style, Value, traps};
use crate::finding::{Code, Finding, Findings, Level, Place};
use crate::time::shorten;

/// Bytes of a policy text.
const MOST_BYTES: usize = 1024 * 1024;
/// Nodes of the tree.
const MOST_NODES: usize = 20_000;
/// Levels of nesting; the deepest real key stands at level 6.
const MOST_DEPTH: usize = 48;

/// Reads one document. Syntax errors end the reading; all else is collected.
///
/// Aliases, anchors, tags and merge keys are refused: a policy says a thing where it stands.
pub fn parse(text: &str, found: &mut Findings) -> Option<Node> {
    if text.len() > MOST_BYTES {
        found.error(Code::TooLarge, Place::TOP, format!("the text is longer than {MOST_BYTES} bytes"));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Builder { found, nodes: 0, stack: Vec::new() }.run(text)
}

enum Open {
    List { place: Place, items: Vec<Node> },
    Map { place: Place, entries: Vec<Entry>, places: BTreeMap<String, Place>, key: Option<Node> },
}

struct Builder<'a> {
    found: &'a mut Findings,
    nodes: usize,
    stack: Vec<Open>,
}

/// An error that leaves no tree to go on with; already reported.
struct Stop;

impl Builder<'_> {
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
                    let place = place_at(mark.line(), mark.col(), 1);
                    let finding = traps::explain(self.found, place)
                        .unwrap_or_else(|| Finding::new(Code::Syntax, Level::Error, place, error.info()));
                    self.found.push(finding);
                    return None;
                }
            };
            if root.is_some() && matches!(event, Event::DocumentStart(..)) {
                let place = place_of(&span);
                self.found.error(Code::Syntax, place, "a second document starts here; a policy is one document");
                return None;
            }
            match self.take(event, &span) {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(Stop) => return None,
            }
        }
        Some(root.unwrap_or(Node { value: Value::Null, place: Place::TOP }))
    }

    /// Feeds one event; returns the root once it is complete.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Stop> {
        let place = place_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                self.count(place)?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                if style == Style::Block
                    && let Some(finding) = traps::swallowed(self.found, place)
                {
                    self.found.push(finding);
                }
                let empty = style == Style::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if empty { Value::Null } else { Value::Scalar { text: text.into_owned(), style } };
                Ok(self.complete(Node { value, place }))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                self.open(Open::List { place, items: Vec::new() }, place)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span);
                let (entries, places) = (Vec::new(), BTreeMap::new());
                self.open(Open::Map { place, entries, places, key: None }, place)
            }
            Event::SequenceEnd | Event::MappingEnd => Ok(match self.stack.pop() {
                Some(Open::List { place, items }) => self.complete(Node { value: Value::List(items), place }),
                Some(Open::Map { place, entries, .. }) => self.complete(Node { value: Value::Map(entries), place }),
                None => None,
            }),
            Event::Alias(_) => {
                self.found.error(Code::Syntax, place, "aliases are not read here; write the thing where it stands");
                Err(Stop)
            }
            _ => Ok(None),
        }
    }

    /// Anchors and tags change what a reader sees, so there are none.
    fn plain_only(&mut self, anchor: usize, tagged: bool, span: &Span) {
        if tagged {
            let at = span.tag_start.unwrap_or(span.start);
            let place = place_at(at.line(), at.col(), 1);
            let finding = traps::explain(self.found, place).unwrap_or_else(|| {
                Finding::new(Code::Syntax, Level::Error, place, "YAML tags have no meaning here").help("remove the tag")
            });
            self.found.push(finding);
        }
        if anchor != 0 {
            self.found.error(
                Code::Syntax,
                place_of(span),
                "anchors are not read here; write the thing where it stands",
            );
        }
    }

    fn count(&mut self, place: Place) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        self.found.error(Code::TooLarge, place, format!("more than {MOST_NODES} values"));
        Err(Stop)
    }

    fn open(&mut self, open: Open, place: Place) -> Result<Option<Node>, Stop> {
        self.count(place)?;
        self.stack.push(open);
        Ok(None)
    }

    fn complete(&mut self, mut node: Node) -> Option<Node> {
        match self.stack.last_mut() {
            None => return Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { key: key @ None, .. }) => *key = Some(node),
            Some(Open::Map { entries, places, key, .. }) => {
                let key_node = key.take()?;
                if matches!(node.value, Value::Null) {
                    // The place of a value that is not there is no help.
                    node.place = key_node.place;
                }
                let Value::Scalar { text: name, .. } = key_node.value else {
                    self.found.error(Code::Syntax, key_node.place, "a key must be a name");
                    return None;
                };
                if let Some(first) = places.get(&name) {
                    let message = format!("the key '{}' is given twice; first at {first}", shorten(&name));
                    self.found.error(Code::Duplicate, key_node.place, message);
                } else {
                    places.insert(name.clone(), key_node.place);
                    entries.push(Entry { key: name, place: key_node.place, node });
                }
            }
        }
        None
    }
}

fn place_of(span: &Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    place_at(start.line(), start.col(), width)
}

fn place_at(line: usize, column: usize, width: usize) -> Place {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: small(line).max(1), column: small(column).saturating_add(1), width: small(width).max(1) }
}
