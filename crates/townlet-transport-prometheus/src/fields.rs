//! The table of published payload fields, with its bound.

use std::collections::BTreeMap;

use townlet_transport::Frame;

use crate::path::{self, FieldPath};

/// The newest value of each field, by stream and path.
#[derive(Debug)]
pub(crate) struct Fields {
    paths: Vec<FieldPath>,
    room: usize,
    held: usize,
    groups: BTreeMap<(String, usize), BTreeMap<String, f64>>,
}

/// What did not make it into the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Values for which there was no room.
    pub(crate) overflow: u64,
    /// Lines that are no JSON.
    pub(crate) unreadable: u64,
}

impl Fields {
    pub(crate) fn new(paths: Vec<FieldPath>, room: usize) -> Self {
        Self { paths, room, held: 0, groups: BTreeMap::new() }
    }

    pub(crate) fn wanted(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Takes over what a batch says. Doing it twice changes nothing.
    pub(crate) fn take(&mut self, batch: &[Frame]) -> Left {
        let mut left = Left::default();
        if !self.wanted() {
            return left;
        }
        for frame in batch {
            let Ok(found) = path::find(&self.paths, frame.line()) else {
                left.unreadable += 1;
                continue;
            };
            left.overflow += found.too_long;
            for path in (0..self.paths.len()).filter(|path| found.seen[*path]) {
                let now =
                    found.fields.iter().filter(|(of, ..)| *of == path).map(|(_, at, value)| (at.as_str(), *value));
                left.overflow += self.replace(frame.label().stream(), path, now);
            }
        }
        left
    }

    /// What is not in `now` is gone. What was there before has room first, so that
    /// the choice does not change from line to line.
    fn replace<'f>(&mut self, stream: &str, path: usize, now: impl Iterator<Item = (&'f str, f64)> + Clone) -> u64 {
        let key = (stream.to_owned(), path);
        let before = self.groups.remove(&key).unwrap_or_default();
        self.held -= before.len();
        let mut kept = BTreeMap::new();
        let mut overflow = 0;
        let known = now.clone().filter(|(at, _)| before.contains_key(*at));
        let new = now.filter(|(at, _)| !before.contains_key(*at));
        for (at, value) in known.chain(new) {
            if kept.contains_key(at) || self.held + kept.len() < self.room {
                kept.insert(at.to_owned(), value);
            } else {
                overflow += 1;
            }
        }
        self.held += kept.len();
        if !kept.is_empty() {
            self.groups.insert(key, kept);
        }
        overflow
    }

    /// Stream, field, value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.groups.iter().flat_map(|((stream, _), fields)| {
            fields.iter().map(move |(field, value)| (stream.as_str(), field.as_str(), *value))
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use townlet_transport::Label;

    use super::*;

    fn frame(stream: &str, line: &str) -> Frame {
        Frame::new(Label::new("run", stream), "snapshot", 1, 1, format!("{line}\n"))
    }

    fn shown(fields: &Fields) -> Vec<(String, String, f64)> {
        fields.iter().map(|(s, f, v)| (s.to_owned(), f.to_owned(), v)).collect()
    }

    #[test]
    fn a_field_that_is_gone_disappears_and_one_that_nothing_was_said_about_stays() {
        let mut fields = Fields::new(vec!["a.*".parse().unwrap(), "b".parse().unwrap()], 10);
        fields.take(&[frame("s", r#"{"a":{"x":1,"y":2},"b":3}"#)]);
        fields.take(&[frame("s", r#"{"a":{"y":4,"z":5},"b":3}"#), frame("t", r#"{"a":{"x":9}}"#)]);
        let expect = [("s", "a.y", 4.0), ("s", "a.z", 5.0), ("s", "b", 3.0), ("t", "a.x", 9.0)];
        assert_eq!(shown(&fields), expect.map(|(s, f, v)| (s.to_owned(), f.to_owned(), v)));
        fields.take(&[frame("s", r#"{"b":6}"#)]);
        assert_eq!(shown(&fields)[0].2, 4.0, "the line does not speak of `a` at all");
        assert_eq!(fields.held(), 4);
    }

    #[test]
    fn beyond_the_bound_values_are_counted_and_the_published_ones_stay_the_same() {
        let mut fields = Fields::new(vec!["*".parse().unwrap()], 2);
        let left = fields.take(&[frame("s", r#"{"m":1,"n":2,"o":3}"#)]);
        assert_eq!((left.overflow, fields.held()), (1, 2));
        let left = fields.take(&[frame("s", r#"{"a":0,"m":7,"n":8,"o":9}"#), frame("t", r#"{"x":1}"#)]);
        assert_eq!((left.overflow, fields.held()), (3, 2));
        assert_eq!(
            shown(&fields).iter().map(|(_, f, v)| (f.as_str(), *v)).collect::<Vec<_>>(),
            [("m", 7.0), ("n", 8.0)]
        );
        let left = fields.take(&[frame("s", "no json")]);
        assert_eq!((left.unreadable, fields.held()), (1, 2));
    }
}
