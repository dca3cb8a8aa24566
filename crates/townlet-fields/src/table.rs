//! The table of published payload fields, with its bound.

use std::collections::BTreeMap;

use crate::FieldPath;
use crate::walk::{self, Found, Mode};

/// A line, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// What it says of a part of the payload, it says whole.
    Whole(&'a [u8]),
    /// It says under `patch` what changed, in the notation of `townlet_schema::Patch`.
    Diff(&'a [u8]),
}

/// The newest value of each field, by stream and path.
#[derive(Debug)]
pub struct Fields {
    paths: Vec<FieldPath>,
    room: usize,
    held: usize,
    groups: BTreeMap<(String, usize), BTreeMap<String, f64>>,
}

/// What did not make it into the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Values for which there was no room.
    pub overflow: u64,
    /// Lines that are no JSON.
    pub unreadable: u64,
}

impl Fields {
    /// A table of these fields, at most `room` of them at a time.
    pub fn new(paths: Vec<FieldPath>, room: usize) -> Self {
        Self { paths, room, held: 0, groups: BTreeMap::new() }
    }

    /// False where no path was given, so that no line need be looked at.
    pub fn wanted(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Takes over what a line says. Doing it twice changes nothing.
    pub fn take(&mut self, stream: &str, line: Line<'_>) -> Left {
        let mut left = Left::default();
        if !self.wanted() {
            return left;
        }
        let (bytes, mode) = match line {
            Line::Whole(bytes) => (bytes, Mode::Whole),
            Line::Diff(bytes) => (bytes, Mode::DiffLine),
        };
        let Ok(found) = walk::find(&self.paths, bytes, mode) else {
            left.unreadable = 1;
            return left;
        };
        left.overflow = found.too_long;
        if mode == Mode::DiffLine {
            left.overflow += self.change(stream, &found);
            return left;
        }
        for path in (0..self.paths.len()).filter(|path| found.seen[*path]) {
            let now = found.fields.iter().filter(|(of, ..)| *of == path).map(|(_, at, value)| (at.as_str(), *value));
            left.overflow += self.replace(stream, path, now);
        }
        left
    }

    fn change(&mut self, stream: &str, found: &Found) -> u64 {
        for gone in &found.gone {
            for (_, fields) in self.groups.iter_mut().filter(|((of, _), _)| of == stream) {
                let before = fields.len();
                fields.retain(|at, _| {
                    at.strip_prefix(gone.as_str()).is_none_or(|rest| !(rest.is_empty() || rest.starts_with('.')))
                });
                self.held -= before - fields.len();
            }
        }
        let mut overflow = 0;
        for (path, at, value) in &found.fields {
            let fields = self.groups.entry((stream.to_owned(), *path)).or_default();
            if let Some(held) = fields.get_mut(at) {
                *held = *value;
            } else if self.held < self.room {
                fields.insert(at.clone(), *value);
                self.held += 1;
            } else {
                overflow += 1;
            }
        }
        self.groups.retain(|_, fields| !fields.is_empty());
        overflow
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
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.groups.iter().flat_map(|((stream, _), fields)| {
            fields.iter().map(move |(field, value)| (stream.as_str(), field.as_str(), *value))
        })
    }

    /// How many fields are held.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fields: &mut Fields, stream: &str, line: &str) -> Left {
        fields.take(stream, Line::Whole(format!("{line}\n").as_bytes()))
    }

    fn shown(fields: &Fields) -> Vec<(String, String, f64)> {
        fields.iter().map(|(s, f, v)| (s.to_owned(), f.to_owned(), v)).collect()
    }

    #[test]
    fn a_field_that_is_gone_disappears_and_one_that_nothing_was_said_about_stays() {
        let mut fields = Fields::new(vec!["a.*".parse().unwrap(), "b".parse().unwrap()], 10);
        take(&mut fields, "s", r#"{"a":{"x":1,"y":2},"b":3}"#);
        take(&mut fields, "s", r#"{"a":{"y":4,"z":5},"b":3}"#);
        take(&mut fields, "t", r#"{"a":{"x":9}}"#);
        let expect = [("s", "a.y", 4.0), ("s", "a.z", 5.0), ("s", "b", 3.0), ("t", "a.x", 9.0)];
        assert_eq!(shown(&fields), expect.map(|(s, f, v)| (s.to_owned(), f.to_owned(), v)));
        take(&mut fields, "s", r#"{"b":6}"#);
        assert_eq!(shown(&fields)[0].2, 4.0, "the line does not speak of `a` at all");
        assert_eq!(fields.held(), 4);
    }

    #[test]
    fn beyond_the_bound_values_are_counted_and_the_published_ones_stay_the_same() {
        let mut fields = Fields::new(vec!["*".parse().unwrap()], 2);
        let left = take(&mut fields, "s", r#"{"m":1,"n":2,"o":3}"#);
        assert_eq!((left.overflow, fields.held()), (1, 2));
        assert_eq!(take(&mut fields, "s", r#"{"a":0,"m":7,"n":8,"o":9}"#).overflow, 2);
        assert_eq!(take(&mut fields, "t", r#"{"x":1}"#).overflow, 1);
        assert_eq!(fields.held(), 2);
        assert_eq!(
            shown(&fields).iter().map(|(_, f, v)| (f.as_str(), *v)).collect::<Vec<_>>(),
            [("m", 7.0), ("n", 8.0)]
        );
        let left = take(&mut fields, "s", "no json");
        assert_eq!((left.unreadable, fields.held()), (1, 2));
    }

    #[test]
    fn a_diff_changes_what_it_names_and_leaves_the_rest() {
        let mut fields = Fields::new(vec!["jobs.*.needs.*".parse().unwrap(), "tick".parse().unwrap()], 5);
        take(&mut fields, "s", r#"{"tick":1,"jobs":{"ann":{"needs":{"food":1,"rest":2}},"bob":{"needs":{"food":3}}}}"#);
        let mut diff = |patch: &str| {
            let line = format!("{{\"tick\":2,\"base_seq\":1,\"patch\":{patch}}}");
            let left = fields.take("s", Line::Diff(line.as_bytes()));
            let again = fields.take("s", Line::Diff(line.as_bytes()));
            assert_eq!(left, again, "twice is once");
            let jobs = shown(&fields).into_iter().filter(|(_, at, _)| at != "tick");
            let jobs: Vec<(String, f64)> =
                jobs.map(|(_, at, v)| (at.replace("jobs.", "").replace(".needs", ""), v)).collect();
            assert_eq!(fields.held(), jobs.len() + 1);
            (jobs, left.overflow)
        };
        let owned = |all: &[(&str, f64)]| all.iter().map(|(at, v)| ((*at).to_owned(), *v)).collect::<Vec<_>>();
        let (jobs, _) = diff(r#"{"jobs":{"ann":{"needs":{"food":1.5}}},"other":[2,{"tick":9}]}"#);
        assert_eq!(jobs, owned(&[("ann.food", 1.5), ("ann.rest", 2.0), ("bob.food", 3.0)]));
        let (jobs, _) = diff(r#"{"jobs":{"ann":{"needs":{"rest":"a word"}},"bob":{"needs":[{"sleep":4}]}}}"#);
        assert_eq!(jobs, owned(&[("ann.food", 1.5), ("bob.sleep", 4.0)]));
        let (jobs, _) = diff(r#"{"jobs":{"ann":[],"cy":[{"needs":{"food":5}}]}}"#);
        assert_eq!(jobs, owned(&[("bob.sleep", 4.0), ("cy.food", 5.0)]));
        let (jobs, overflow) = diff(r#"{"jobs":[{"dee":{"needs":{"a":1,"b":2,"c":3,"d":4,"e":5}}}]}"#);
        assert_eq!((jobs, overflow), (owned(&[("dee.a", 1.0), ("dee.b", 2.0), ("dee.c", 3.0), ("dee.d", 4.0)]), 1));
        let (jobs, _) = diff(r#"{"jobs":{"dee":{"needs":[0,{"a":7}]}}}"#);
        assert_eq!(jobs, owned(&[]), "an array has no fields");
        let (jobs, _) = diff(r#"{"jobs":{"dee":[{"needs":{"a":7}}],"eve":{"needs":{"a":[1],"b":[null,0,1,5]}}}}"#);
        assert_eq!(jobs, owned(&[("dee.a", 7.0)]));
        let (jobs, _) = diff(r#"{"jobs":{"dee":7}}"#);
        assert_eq!(jobs, owned(&[]));
    }
}
