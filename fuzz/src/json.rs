//! JSON read by serde_json, with the rules of the stream added: no key twice, 128 levels.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use townlet_schema::{Json, MAX_DEPTH};

/// A value as serde_json sees it.
#[derive(Debug)]
pub enum Reference {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer from 0 on.
    Unsigned(u64),
    /// An integer below 0.
    Negative(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Reference>),
    /// Names with values.
    Members(BTreeMap<String, Reference>),
}

impl Reference {
    /// Reads exactly one value.
    ///
    /// # Errors
    /// What serde_json refuses, a name that stands twice, more than [`MAX_DEPTH`] levels.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        // The limit is ours to count: serde_json's own is one level short of it.
        deserializer.disable_recursion_limit();
        let value = Level(0).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// The integer, where it is one from 0 on.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Unsigned(value) = self { Some(*value) } else { None }
    }

    /// True where `json` says the same.
    pub fn is(&self, json: &Json) -> bool {
        match (self, json) {
            (Self::Null, Json::Null) => true,
            (Self::Bool(a), Json::Bool(b)) => a == b,
            (Self::Unsigned(a), Json::Number(b)) => b.as_u64() == Some(*a),
            (Self::Negative(a), Json::Number(b)) => b.as_i64() == Some(*a),
            (Self::Float(a), Json::Number(b)) => !b.is_integer() && b.as_f64().to_bits() == a.to_bits(),
            (Self::Text(a), Json::String(b)) => a == b,
            (Self::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b)),
            (Self::Members(a), Json::Object(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b.iter()).all(|((name, a), (other, b))| name.as_str() == other && a.is(b))
            }
            _ => false,
        }
    }
}

/// A value that stands inside so many containers.
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Reference;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reference, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.0 == MAX_DEPTH { Err(E::custom("nested too deep")) } else { Ok(self.0 + 1) }
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Reference, E> {
        Ok(Reference::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Reference, E> {
        Ok(Reference::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Reference, E> {
        Ok(Reference::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Reference, E> {
        Ok(u64::try_from(value).map_or(Reference::Negative(value), Reference::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Reference, E> {
        Ok(Reference::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Reference, E> {
        Ok(Reference::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Reference, A::Error> {
        let level = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Level(level))? {
            list.push(item);
        }
        Ok(Reference::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Reference, A::Error> {
        let level = self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Level(level))?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("the same name twice"));
            }
        }
        Ok(Reference::Members(members))
    }
}
