//! The line that a body will become, as the validator sees it: the index over the text, no tree.

use std::borrow::Cow;
use std::iter::Chain;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::{Number, Value};

use crate::text::{Doc, Members, Token};

/// The representation: nodes are [`View`]s.
pub(super) struct Indexed;

/// A body within its line.
pub(super) struct Line<'a> {
    pub(super) doc: Doc<'a>,
    /// The envelope fields that the schema names.
    pub(super) envelope: Vec<(&'static str, Field<'a>)>,
}

/// The value of an envelope field.
#[derive(Clone)]
pub(super) enum Field<'a> {
    Text(Cow<'a, str>),
    Count(u64),
}

/// One value.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    /// The whole line.
    Line(&'a Line<'a>),
    /// A value in the body.
    At(Doc<'a>, u32),
    /// A member name, or an envelope field.
    Text(&'a str),
    /// An envelope field.
    Count(&'a u64),
}

impl<'a> Field<'a> {
    fn view(&'a self) -> View<'a> {
        match self {
            Field::Text(text) => View::Text(text),
            Field::Count(count) => View::Count(count),
        }
    }
}

impl<'a> View<'a> {
    fn token(&self) -> Token {
        match self {
            View::Line(_) => Token::Object,
            View::At(doc, at) => doc.node(*at).token,
            View::Text(_) => Token::Plain,
            View::Count(_) => Token::Number,
        }
    }
}

impl Json for Indexed {
    type Node<'a> = View<'a>;
    type PreparedKey = String;
    type StringBuffer = String;

    // Lookups scan the members: one pass over them is never worse.
    const KEYS_PER_LOOKUP: usize = 64;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut String, string: &str, f: impl FnOnce(View<'_>) -> T) -> T {
        buffer.clear();
        buffer.push_str(string);
        f(View::Text(buffer))
    }
}

impl<'a> Node<'a, Indexed> for View<'a> {
    type Object = ObjectView<'a>;
    type Array = Elements<'a>;
    type Number = NumberView<'a>;

    fn as_object(&self) -> Option<ObjectView<'a>> {
        match *self {
            View::Line(line) => Some(ObjectView { doc: line.doc, at: 0, envelope: &line.envelope }),
            View::At(doc, at) if doc.node(at).token == Token::Object => Some(ObjectView { doc, at, envelope: &[] }),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        match *self {
            View::At(doc, at) if doc.node(at).token == Token::Array => {
                Some(Elements { doc, at: at + 1, left: doc.node(at).len })
            }
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match *self {
            View::Text(text) => Some(Cow::Borrowed(text)),
            View::At(doc, at) => {
                let node = doc.node(at);
                matches!(node.token, Token::Plain | Token::Escaped).then(|| doc.string(node))
            }
            _ => None,
        }
    }

    fn as_number(&self) -> Option<NumberView<'a>> {
        match *self {
            View::Count(count) => Some(NumberView::Count(*count)),
            View::At(doc, at) => {
                let node = doc.node(at);
                (node.token == Token::Number).then(|| NumberView::Text(doc.raw(node)))
            }
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.token() {
            Token::True => Some(true),
            Token::False => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.token() == Token::Null
    }

    fn is_number(&self) -> bool {
        self.token() == Token::Number
    }

    fn json_type(&self) -> JsonType {
        match self.token() {
            Token::Null => JsonType::Null,
            Token::True | Token::False => JsonType::Boolean,
            Token::Number => JsonType::Number,
            Token::Plain | Token::Escaped => JsonType::String,
            Token::Array => JsonType::Array,
            Token::Object => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(match self {
            View::At(doc, at) if !matches!(self.token(), Token::Array | Token::Object) => {
                // The scan accepted the text, so null is never the answer for anything else.
                serde_json::from_str(doc.json(doc.node(*at))).unwrap_or(Value::Null)
            }
            View::Text(text) => Value::String((*text).to_owned()),
            View::Count(count) => Value::from(**count),
            _ => match (self.as_array(), self.as_object()) {
                (Some(elements), _) => Value::Array(elements.map(|element| element.to_value().into_owned()).collect()),
                (_, Some(object)) => {
                    let owned =
                        |(name, value): (Cow<'a, str>, View<'a>)| (name.into_owned(), value.to_value().into_owned());
                    Value::Object(object.members().map(owned).collect())
                }
                _ => Value::Null,
            },
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        match self {
            View::Line(line) => Some(NodeIdentity::tagged(line.doc.address(), 0)),
            View::At(doc, at) => Some(NodeIdentity::tagged(doc.address(), *at)),
            // Scalars: nothing below them to recurse into, and two may share an address.
            View::Text(_) | View::Count(_) => None,
        }
    }
}

/// An object: envelope fields first, then its own members.
pub(super) struct ObjectView<'a> {
    doc: Doc<'a>,
    at: u32,
    envelope: &'a [(&'static str, Field<'a>)],
}

impl<'a> Object<'a, Indexed> for ObjectView<'a> {
    type Node = View<'a>;
    type MemberName = Cow<'a, str>;
    type MembersIter = Chain<EnvelopeMembers<'a>, BodyMembers<'a>>;

    fn len(&self) -> usize {
        self.envelope.len() + self.doc.node(self.at).len as usize
    }

    fn get(&self, key: &String) -> Option<View<'a>> {
        match self.envelope.iter().find(|(name, _)| name == key) {
            Some((_, field)) => Some(field.view()),
            None => self.doc.member(self.at, key).map(|at| View::At(self.doc, at)),
        }
    }

    fn members(&self) -> Self::MembersIter {
        EnvelopeMembers(self.envelope.iter()).chain(BodyMembers { doc: self.doc, members: self.doc.members(self.at) })
    }
}

/// The envelope's part of [`ObjectView::members`].
pub(super) struct EnvelopeMembers<'a>(std::slice::Iter<'a, (&'static str, Field<'a>)>);

impl<'a> Iterator for EnvelopeMembers<'a> {
    type Item = (Cow<'a, str>, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, field)| (Cow::Borrowed(*name), field.view()))
    }
}

/// The body's part of [`ObjectView::members`].
pub(super) struct BodyMembers<'a> {
    doc: Doc<'a>,
    members: Members<'a>,
}

impl<'a> Iterator for BodyMembers<'a> {
    type Item = (Cow<'a, str>, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.members.next().map(|(key, value)| (self.doc.string(key), View::At(self.doc, value)))
    }
}

/// The elements of an array.
#[derive(Clone)]
pub(super) struct Elements<'a> {
    doc: Doc<'a>,
    at: u32,
    left: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        self.left = self.left.checked_sub(1)?;
        let view = View::At(self.doc, self.at);
        self.at = self.doc.node(self.at).next;
        Some(view)
    }
}

impl<'a> Array<'a, Indexed> for Elements<'a> {
    type Node = View<'a>;
    type ElementsIter = Self;

    fn len(&self) -> usize {
        self.left as usize
    }

    fn elements(&self) -> Self {
        self.clone()
    }
}

/// A number as text, or an envelope's count.
pub(super) enum NumberView<'a> {
    Text(&'a str),
    Count(u64),
}

impl JsonNumber for NumberView<'_> {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Count(count) => Some(*count),
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Count(count) => i64::try_from(*count).ok(),
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Count(count) => Some(*count as f64),
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Count(count) => Cow::Owned(count.to_string()),
        }
    }

    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(match self {
            // The scan accepted the text and its range.
            Self::Text(text) => serde_json::from_str(text).unwrap_or_else(|_| Number::from(0)),
            Self::Count(count) => Number::from(*count),
        })
    }

    fn is_integer(&self) -> bool {
        self.as_u64().is_some() || self.as_i64().is_some() || self.as_f64().is_some_and(|number| number.fract() == 0.0)
    }
}
