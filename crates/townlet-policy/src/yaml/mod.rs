//! YAML as a tree that remembers where each node stood.
//!
//! The only module that knows the YAML parser. Everything behind it sees text,
//! lists and mappings with their places, so that typing is ours: `"16"` stays
//! text, `yes` is not a boolean. It is public because whoever embeds policies
//! in files of their own needs the same places for their own messages.

mod parse;
mod traps;

pub use parse::parse;

use crate::finding::Place;

/// A node and the place of its first character.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Where.
    pub place: Place,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, also where it looks like a number.
    Scalar {
        /// The text.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In quotes of either kind.
    Quoted,
    /// As a block, after `|` or `>`.
    Block,
}

/// A key with its place, and what it maps to.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// What it maps to.
    pub node: Node,
}

impl Node {
    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// What a mapping has under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Where the text of a scalar begins: behind the quote, if there is one.
    #[must_use]
    pub fn text_place(&self) -> Place {
        match &self.value {
            Value::Scalar { style: Style::Quoted, .. } => {
                self.place.shifted(1, (self.place.width as usize).saturating_sub(2))
            }
            _ => self.place,
        }
    }

    /// What it is, for a message.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Scalar { text, .. } => format!("'{}'", crate::time::shorten(text)),
        }
    }
}
