//! YAML as a tree that remembers where each node stood.
//!
//! The only module that knows the YAML parser. Everything behind it sees text,
//! lists and mappings with their places, so that typing is ours: `"16"` stays
//! text, `yes` is not a boolean, and no finding hides another.

mod parse;
mod print;
mod scalar;

pub(crate) use parse::{parse, parse_override};
pub(crate) use print::print;
pub(crate) use scalar::{Number, is_nan_or_infinite, number};

use crate::origin::{Given, Place};

/// A node and the place of its first character.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    /// `plain` is false for quoted and block scalars, which are always text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its place, and what it maps to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(value: Value, place: Place) -> Self {
        Self { value, place }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// The entries of a mapping, which this node becomes where it is none.
    pub(crate) fn make_map(&mut self) -> &mut Vec<Entry> {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        match &mut self.value {
            Value::Map(entries) => entries,
            _ => unreachable!("the line above made it a mapping"),
        }
    }

    /// Puts `node` at the dotted `path`, making mappings on the way. A scalar or
    /// list in between gives way: a stronger layer decides.
    pub(crate) fn put(&mut self, path: &[&str], node: Given<Value>) {
        let Some((last, way)) = path.split_last() else { return };
        let place = node.place.clone();
        let mut here = self;
        for step in way {
            let entries = here.make_map();
            let at = entries.iter().position(|e| e.key == *step).unwrap_or_else(|| {
                entries.push(Entry::new(step, Value::Map(Vec::new()), &place));
                entries.len() - 1
            });
            here = &mut entries[at].node;
        }
        let entry = Entry::new(last, node.value, &place);
        let entries = here.make_map();
        match entries.iter_mut().find(|e| e.key == *last) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
    }

    /// What it is, for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Scalar { text, plain: true } if number(text).is_some() => format!("the number {text}"),
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => text.clone(),
            Value::Scalar { text, .. } => format!("the text {}", crate::diagnostic::quote(text)),
        }
    }
}

impl Entry {
    pub(crate) fn new(key: &str, value: Value, place: &Place) -> Self {
        Self { key: key.into(), place: place.clone(), node: Node::new(value, place.clone()) }
    }
}
