//! Finding the numbers at the paths without a tree.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::path::{FieldPath, LONGEST};

/// What one line holds at the paths.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Number of the path, the field, its value.
    pub(crate) fields: Vec<(usize, String, f64)>,
    /// By path: the line has the object that its fields stand in, so that a field
    /// which is not there is gone.
    pub(crate) seen: Vec<bool>,
    /// Places at which nothing is any more of what was there, before what is in
    /// `fields`: of diffs only.
    pub(crate) gone: Vec<String>,
    /// Numbers whose path is too long for a label.
    pub(crate) too_long: u64,
}

/// What the value at hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What it says, whole.
    Whole,
    /// A line with changes under `patch`; the rest of it is whole.
    DiffLine,
    /// A change, in the notation of `townlet_schema::Patch`.
    Change,
    /// The first in a change's brackets: an object is the value from now on, and a
    /// number says how much goes off the front of an array.
    Bracketed,
}

/// Looks for `paths` in a line of JSON; an error where it is none.
pub(crate) fn find(paths: &[FieldPath], line: &[u8], mode: Mode) -> Result<Found, serde_json::Error> {
    let found = Found { seen: vec![false; paths.len()], ..Found::default() };
    let mut walk = Walk { paths, at: String::new(), found };
    let mut json = serde_json::Deserializer::from_slice(line);
    let all: Vec<usize> = (0..paths.len()).collect();
    Within { walk: &mut walk, depth: 0, open: &all, mode }.deserialize(&mut json)?;
    json.end()?;
    Ok(walk.found)
}

struct Walk<'p> {
    paths: &'p [FieldPath],
    at: String,
    found: Found,
}

/// A value that the paths in `open` lead to or through.
struct Within<'w, 'p> {
    walk: &'w mut Walk<'p>,
    depth: usize,
    open: &'w [usize],
    mode: Mode,
}

impl Within<'_, '_> {
    /// A change says that something else is here now.
    fn replaced(&mut self) {
        if self.mode == Mode::Change {
            self.walk.found.gone.push(self.walk.at.clone());
        }
    }

    fn number(mut self, value: f64) {
        if self.mode == Mode::Bracketed {
            return;
        }
        if self.open.iter().any(|path| self.walk.paths[*path].depth() > self.depth) {
            self.replaced();
        }
        // The earliest path has it, so that no field is published twice.
        let Some(path) = self.open.iter().find(|path| self.walk.paths[**path].depth() == self.depth) else { return };
        if self.walk.at.len() > LONGEST {
            self.walk.found.too_long += 1;
        } else if value.is_finite() {
            self.walk.found.fields.push((*path, self.walk.at.clone(), value));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for path in self.open {
            self.walk.found.seen[*path] |= self.walk.paths[*path].fixed() == self.depth;
        }
        let mut open = Vec::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if self.mode == Mode::DiffLine && key.0 == "patch" {
                map.next_value_seed(Within { walk: &mut *self.walk, mode: Mode::Change, ..self })?;
                continue;
            }
            open.clear();
            let on = self.open.iter().copied().filter(|path| self.walk.paths[*path].allows(self.depth, &key.0));
            open.extend(on);
            if open.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let before = self.walk.at.len();
            if before > 0 {
                self.walk.at.push('.');
            }
            self.walk.at.push_str(&key.0);
            let mode = if self.mode == Mode::Change { Mode::Change } else { Mode::Whole };
            map.next_value_seed(Within { walk: &mut *self.walk, depth: self.depth + 1, open: &open, mode })?;
            self.walk.at.truncate(before);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.mode == Mode::Change {
            // Nothing in it: gone. An object alone in it: the value from now on. Anything
            // else is a change of an array, which holds no fields.
            self.replaced();
            let (depth, open) = (self.depth, self.open);
            let numbers = self.walk.found.fields.len();
            seq.next_element_seed(Within { walk: &mut *self.walk, depth, open, mode: Mode::Bracketed })?;
            if seq.next_element::<IgnoredAny>()?.is_some() {
                self.walk.found.fields.truncate(numbers);
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures are doubles")]
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "figures are doubles")]
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        self.replaced();
        Ok(())
    }

    fn visit_str<E>(mut self, _: &str) -> Result<(), E> {
        self.replaced();
        Ok(())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.replaced();
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<FieldPath> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn numbers_at_the_paths_are_found_and_nothing_else() {
        let paths = paths(&["tick", "stability.metrics.*", "agents.*.needs.hunger", "stability.*.rate"]);
        let line = br#"{"tick":7,"other":[{"tick":9}],"stability":{"metrics":{"a":1.5,"b":-2,"c":"x","d":[3],
            "e":null,"f":true,"rate":4,"g":{"h":5}}},"agents":{"bob.1":{"needs":{"hunger":0.5}},"al":{"needs":3}}}"#;
        let found = find(&paths, line, Mode::Whole).unwrap();
        let fields: Vec<(usize, &str, f64)> = found.fields.iter().map(|(n, at, v)| (*n, at.as_str(), *v)).collect();
        assert_eq!(
            fields,
            [
                (0, "tick", 7.0),
                (1, "stability.metrics.a", 1.5),
                (1, "stability.metrics.b", -2.0),
                (1, "stability.metrics.rate", 4.0),
                (2, "agents.bob.1.needs.hunger", 0.5),
            ]
        );
        assert_eq!(found.seen, [true, true, true, true]);
        let without = find(&paths, br#"{"tick":8,"stability":{"metrics":{}}}"#, Mode::Whole).unwrap();
        assert_eq!(without.seen, [true, true, false, true], "there are no metrics any more; of agents nothing is said");
    }

    #[test]
    fn what_is_not_json_is_an_error_and_a_long_name_is_counted() {
        for bad in [&b""[..], b"{", b"{\"a\":1} x", b"\xff", b"{\"a\":nan}"] {
            assert!(find(&paths(&["a"]), bad, Mode::Whole).is_err(), "{bad:?}");
        }
        let line = format!("{{\"{}\":1}}", "k".repeat(257));
        assert_eq!(find(&paths(&["*"]), line.as_bytes(), Mode::Whole).unwrap().too_long, 1);
        assert_eq!(find(&paths(&["a.b"]), b"3", Mode::Whole).unwrap().fields, []);
    }
}
