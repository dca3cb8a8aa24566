//! An index over one JSON document: where each value starts, ends and what follows it.

use std::borrow::Cow;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Null,
    True,
    False,
    Number,
    /// A string without escapes: its text is the slice between the quotes.
    Plain,
    /// A string with at least one escape.
    Escaped,
    Array,
    Object,
}

/// One value. Offsets are into the text; a string's exclude its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) token: Token,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The index of the node after this value and all it holds.
    pub(crate) next: u32,
    /// Members of an object, elements of an array, 0 for the rest.
    pub(crate) len: u32,
}

/// The nodes of a document in text order; an object's members are key node, value, key node, value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) nodes: Vec<Node>,
}

/// A document that passed [`scan`](super::scan), with its index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doc<'a> {
    text: &'a str,
    nodes: &'a [Node],
}

impl<'a> Doc<'a> {
    pub(crate) fn new(text: &'a str, index: &'a Index) -> Self {
        Self { text, nodes: &index.nodes }
    }

    /// The node at `at`. An index out of range is a null, which no walk that follows `next` reaches.
    pub(crate) fn node(&self, at: u32) -> Node {
        const NOTHING: Node = Node { token: Token::Null, start: 0, end: 0, next: u32::MAX, len: 0 };
        self.nodes.get(at as usize).copied().unwrap_or(NOTHING)
    }

    /// Where the nodes lie in memory: tells this document from any other that is alive.
    pub(crate) fn address(&self) -> usize {
        self.nodes.as_ptr() as usize
    }

    /// The text of a value; of a string, what lies between its quotes.
    pub(crate) fn raw(&self, node: Node) -> &'a str {
        self.text.get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// The text of a value as JSON, quotes included.
    pub(crate) fn json(&self, node: Node) -> &'a str {
        match node.token {
            Token::Plain | Token::Escaped => {
                self.text.get(node.start as usize - 1..node.end as usize + 1).unwrap_or_default()
            }
            _ => self.raw(node),
        }
    }

    /// The characters of a string node.
    pub(crate) fn string(&self, node: Node) -> Cow<'a, str> {
        match node.token {
            // The scan accepted the escapes, so this cannot fail; the raw text is the safe answer.
            Token::Escaped => {
                serde_json::from_str::<String>(self.json(node)).map_or(Cow::Borrowed(self.raw(node)), Cow::Owned)
            }
            _ => Cow::Borrowed(self.raw(node)),
        }
    }

    /// The value of member `name` of the object at `at`.
    pub(crate) fn member(&self, at: u32, name: &str) -> Option<u32> {
        self.members(at).find(|(key, _)| self.is_named(*key, name)).map(|(_, value)| value)
    }

    fn is_named(&self, key: Node, name: &str) -> bool {
        if key.token == Token::Plain { self.raw(key) == name } else { self.string(key) == name }
    }

    /// Key nodes and value positions of the object at `at`; nothing for other values.
    pub(crate) fn members(&self, at: u32) -> Members<'a> {
        let node = self.node(at);
        Members { doc: *self, at: at + 1, left: if node.token == Token::Object { node.len } else { 0 } }
    }
}

/// See [`Doc::members`].
#[derive(Clone)]
pub(crate) struct Members<'a> {
    doc: Doc<'a>,
    at: u32,
    left: u32,
}

impl Iterator for Members<'_> {
    type Item = (Node, u32);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (key, value) = (self.doc.node(self.at), self.at + 1);
        self.at = self.doc.node(value).next;
        Some((key, value))
    }
}
