//! Paths of payload fields, and finding the numbers at them without a tree.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest path of a field that is published, in bytes: it becomes a label.
const LONGEST: usize = 256;

/// The most segments of a path.
const DEEPEST: usize = 16;

/// Where a numeric field stands in a line: names of object keys with `.` between
/// them, each of which may be `*` for any name, as in `stability.metrics.*`.
///
/// Objects alone are entered, not arrays; a key with a `.` in it cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(Box<[Box<str>]>);

/// Why a text is not a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPath(String);

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPath {}

impl FromStr for FieldPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let segments: Vec<Box<str>> = text.split('.').map(Into::into).collect();
        let bad = |what: &str| Err(BadPath(format!("{text:?} {what}: write names with '.' between them, '*' for any")));
        if text.len() > LONGEST || segments.len() > DEEPEST {
            return bad("is too long");
        }
        if segments.iter().any(|segment| segment.is_empty()) {
            return bad("has an empty name in it");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return bad("has a blank in it");
        }
        if segments.iter().any(|segment| &**segment != "*" && segment.contains('*')) {
            return bad("has a '*' beside other characters");
        }
        Ok(Self(segments.into()))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, segment) in self.0.iter().enumerate() {
            write!(f, "{}{segment}", if n == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl FieldPath {
    fn allows(&self, depth: usize, key: &str) -> bool {
        self.0.get(depth).is_some_and(|segment| &**segment == "*" || &**segment == key)
    }

    /// Below this depth all is there or gone: the names before it are fixed.
    fn fixed(&self) -> usize {
        let any = self.0.iter().position(|segment| &**segment == "*");
        any.unwrap_or(self.0.len() - 1)
    }
}

/// What one line holds at the paths.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Number of the path, the field, its value.
    pub(crate) fields: Vec<(usize, String, f64)>,
    /// By path: the line has the object that its fields stand in, so that a field
    /// which is not there is gone.
    pub(crate) seen: Vec<bool>,
    /// Numbers whose path is too long for a label.
    pub(crate) too_long: u64,
}

/// Looks for `paths` in a line of JSON; an error where it is none.
pub(crate) fn find(paths: &[FieldPath], line: &[u8]) -> Result<Found, serde_json::Error> {
    let found = Found { seen: vec![false; paths.len()], ..Found::default() };
    let mut walk = Walk { paths, at: String::new(), found };
    let mut json = serde_json::Deserializer::from_slice(line);
    let all: Vec<usize> = (0..paths.len()).collect();
    Within { walk: &mut walk, depth: 0, open: &all }.deserialize(&mut json)?;
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
}

impl Within<'_, '_> {
    fn number(self, value: f64) {
        // The earliest path has it, so that no field is published twice.
        let Some(path) = self.open.iter().find(|path| self.walk.paths[**path].0.len() == self.depth) else { return };
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
            map.next_value_seed(Within { walk: &mut *self.walk, depth: self.depth + 1, open: &open })?;
            self.walk.at.truncate(before);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
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
        let found = find(&paths, line).unwrap();
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
        let without = find(&paths, br#"{"tick":8,"stability":{"metrics":{}}}"#).unwrap();
        assert_eq!(without.seen, [true, true, false, true], "there are no metrics any more; of agents nothing is said");
    }

    #[test]
    fn what_is_not_json_is_an_error_and_a_long_name_is_counted() {
        for bad in [&b""[..], b"{", b"{\"a\":1} x", b"\xff", b"{\"a\":nan}"] {
            assert!(find(&paths(&["a"]), bad).is_err(), "{bad:?}");
        }
        let line = format!("{{\"{}\":1}}", "k".repeat(257));
        assert_eq!(find(&paths(&["*"]), line.as_bytes()).unwrap().too_long, 1);
        assert_eq!(find(&paths(&["a.b"]), b"3").unwrap().fields, []);
    }

    #[test]
    fn a_path_that_cannot_match_is_refused() {
        for bad in ["", ".", "a..b", "a.b*", "a b", "a\n", &"x.".repeat(40)] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad:?}");
        }
        assert_eq!("a.*.c".parse::<FieldPath>().unwrap().to_string(), "a.*.c");
    }
}
