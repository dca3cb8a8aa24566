//! Typed reading of one mapping.
//!
//! Each key is named once, where it is read, with its default and bounds; the
//! catalogue of keys, the search for misplaced ones and the reference in the
//! documentation follow from that.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::context::Context;
use crate::correct::Fix;
use crate::diagnostic::{Code, quote};
use crate::keys::{KeyInfo, Unknown, join, nearest};
use crate::origin::{Given, Origin, Place};
use crate::values::names_of;
use crate::yaml::{Entry, Node, Number, Value, is_nan_or_infinite, number};

pub(crate) struct Block<'n> {
    path: String,
    place: Place,
    entries: &'n [Entry],
    known: Vec<String>,
}

impl<'n> Block<'n> {
    /// Opens the mapping that stands at `path`; anything else is an error and
    /// reads as an empty one.
    pub(crate) fn open(ctx: &mut Context<'_>, path: impl Into<String>, node: Option<&'n Node>, place: &Place) -> Self {
        let path = path.into();
        if let Some(node) = node
            && !matches!(node.value, Value::Map(_) | Value::Null)
        {
            let message = format!("{path} must be a mapping, not {}", node.describe());
            ctx.error(Code::WrongType, &node.place, &path, message);
        }
        Self { path, place: place.clone(), entries: node.map_or(&[], Node::entries), known: Vec::new() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn key(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// True where the key stands in the text, whether or not its value is any good.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|e| e.key == name && !matches!(e.node.value, Value::Null))
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|e| e.key == name)
    }

    pub(crate) fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// Announces a key and finds its entry.
    pub(crate) fn take(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        takes: impl Into<String>,
        default: impl Into<String>,
    ) -> Option<&'n Entry> {
        self.known.push(name.to_owned());
        let key = self.key(name);
        ctx.catalogue.push(KeyInfo { key: key.clone(), takes: takes.into(), default: default.into() });
        let entry = self.entry(name)?;
        ctx.places.insert(key, entry.place.clone());
        Some(entry)
    }

    /// A block within this one.
    pub(crate) fn block(&mut self, ctx: &mut Context<'_>, name: &str) -> Block<'n> {
        let entry = self.take(ctx, name, "mapping", "");
        let place = entry.map_or_else(|| self.place.clone(), |e| e.place.clone());
        Block::open(ctx, self.key(name), entry.map(|e| &e.node), &place)
    }

    /// Files every entry that nobody asked for as unknown.
    pub(crate) fn close(self, ctx: &mut Context<'_>) {
        for entry in self.entries {
            if !self.known.contains(&entry.key) {
                ctx.unknown.push(Unknown {
                    block: self.path.clone(),
                    key: entry.key.clone(),
                    place: entry.place.clone(),
                    known: self.known.clone(),
                });
            }
        }
    }

    /// The scalar of a key that has a default, so that an empty value is a slip.
    fn scalar(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        takes: &str,
        default: &str,
    ) -> Option<(&'n Entry, &'n str, bool)> {
        let entry = self.take(ctx, name, takes, default)?;
        match &entry.node.value {
            Value::Scalar { text, plain } => Some((entry, text, *plain)),
            Value::Null if default.is_empty() => None,
            _ => {
                self.wrong_type(ctx, entry, takes).help(if default.is_empty() {
                    "remove the key or give it a value".to_owned()
                } else {
                    format!("remove the key for the default, {default}")
                });
                None
            }
        }
    }

    fn wrong_type<'c>(&self, ctx: &'c mut Context<'_>, entry: &Entry, takes: &str) -> crate::context::Report<'c> {
        let key = self.key(&entry.key);
        let message = format!("{key} takes {takes}, not {}", entry.node.describe());
        ctx.error(Code::WrongType, &entry.node.place, &key, message)
    }

    pub(crate) fn opt_bool(&mut self, ctx: &mut Context<'_>, name: &str, default: &str) -> Option<Given<bool>> {
        const TAKES: &str = "true or false";
        let (entry, text, plain) = self.scalar(ctx, name, TAKES, default)?;
        let value = match text {
            "true" | "True" | "TRUE" if plain => true,
            "false" | "False" | "FALSE" if plain => false,
            _ => {
                let meant = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" | "1" => Some("true"),
                    "no" | "off" | "n" | "false" | "0" => Some("false"),
                    _ => None,
                };
                let report = self.wrong_type(ctx, entry, TAKES);
                if let Some(meant) = meant {
                    report.help(write(meant, plain)).fix(Fix::Value(meant.into()));
                }
                return None;
            }
        };
        Some(Given { value, place: entry.place.clone() })
    }

    pub(crate) fn bool(&mut self, ctx: &mut Context<'_>, name: &str, default: bool) -> bool {
        self.opt_bool(ctx, name, if default { "true" } else { "false" }).map_or(default, |given| given.value)
    }

    pub(crate) fn opt_int(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Option<Given<u64>> {
        let takes = range("a whole number", bounds.start(), bounds.end());
        let default = default.map_or(String::new(), |n| n.to_string());
        let (entry, text, plain) = self.scalar(ctx, name, &takes, &default)?;
        match number(text) {
            Some(Number::Whole(n)) if plain => match u64::try_from(n) {
                Ok(n) if bounds.contains(&n) => Some(Given { value: n, place: entry.place.clone() }),
                _ => {
                    self.out_of_range(ctx, entry, text, &takes);
                    None
                }
            },
            found => {
                let meant = match found {
                    Some(Number::Whole(_)) => Some(text.to_owned()),
                    Some(Number::Real(n)) if n.fract() == 0.0 && n.abs() < 1e15 => Some(format!("{n:.0}")),
                    _ => without_underscores(text),
                };
                self.wrong_number(ctx, entry, &takes, meant);
                None
            }
        }
    }

    pub(crate) fn int(&mut self, ctx: &mut Context<'_>, name: &str, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        self.opt_int(ctx, name, Some(default), bounds).map_or(default, |given| given.value)
    }

    pub(crate) fn float(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        default: f64,
        bounds: RangeInclusive<f64>,
    ) -> f64 {
        self.real(ctx, name, "a number", default, bounds)
    }

    /// A time in seconds, fractions allowed.
    pub(crate) fn seconds(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        default: f64,
        bounds: RangeInclusive<f64>,
    ) -> Duration {
        // Every bound in use is finite, not negative and far below the type's range.
        Duration::try_from_secs_f64(self.real(ctx, name, "seconds", default, bounds)).unwrap_or_default()
    }

    fn real(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        what: &str,
        default: f64,
        bounds: RangeInclusive<f64>,
    ) -> f64 {
        let takes = range(what, bounds.start(), bounds.end());
        let Some((entry, text, plain)) = self.scalar(ctx, name, &takes, &default.to_string()) else { return default };
        let value = match number(text) {
            #[expect(clippy::cast_precision_loss, reason = "the bounds that follow are far below 2^53")]
            Some(Number::Whole(n)) if plain => n as f64,
            Some(Number::Real(n)) if plain => n,
            found => {
                let meant = found.map(|_| text.to_owned()).or_else(|| without_underscores(text));
                self.wrong_number(ctx, entry, &takes, meant);
                return default;
            }
        };
        if bounds.contains(&value) {
            // Minus zero prints as `-0` and means nothing else than zero.
            return if value == 0.0 { 0.0 } else { value };
        }
        self.out_of_range(ctx, entry, text, &takes);
        default
    }

    fn wrong_number(&self, ctx: &mut Context<'_>, entry: &Entry, takes: &str, meant: Option<String>) {
        let not_finite = matches!(&entry.node.value, Value::Scalar { text, plain: true } if is_nan_or_infinite(text));
        let plain = matches!(&entry.node.value, Value::Scalar { plain: true, .. });
        let report = self.wrong_type(ctx, entry, takes);
        match meant {
            Some(meant) => {
                report.help(write(&meant, plain)).fix(Fix::Value(meant));
            }
            None if not_finite => {
                report.help("there is no setting for 'without end': give a number");
            }
            None => {}
        }
    }

    fn out_of_range(&self, ctx: &mut Context<'_>, entry: &Entry, text: &str, takes: &str) {
        let key = self.key(&entry.key);
        let message = format!("{key} takes {takes}, not {}", quote(text).trim_matches('\''));
        ctx.error(Code::OutOfRange, &entry.node.place, &key, message);
    }

    /// One of some words; `None` where the key is absent or wrong.
    pub(crate) fn opt_choice<T: Copy>(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        default: &str,
        words: &[(&str, T)],
    ) -> Option<Given<T>> {
        let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let takes = format!("one of {all}");
        let (entry, text, _) = self.scalar(ctx, name, &takes, default)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(Given { value: *value, place: entry.place.clone() });
        }
        let meant = match nearest(text, words.iter().map(|(word, _)| *word)) {
            None if text == "false" => words.iter().map(|(word, _)| *word).find(|word| *word == "off"),
            meant => meant,
        };
        let key = self.key(name);
        let message = format!("{key} takes {takes}, not {}", quote(text));
        let report = ctx.error(Code::BadChoice, &entry.node.place, &key, message);
        if let Some(meant) = meant {
            report.help(format!("did you mean '{meant}'?")).fix(Fix::Value(meant.into()));
        }
        None
    }

    pub(crate) fn choice<T: Copy>(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        default: (&str, T),
        words: &[(&str, T)],
    ) -> T {
        self.opt_choice(ctx, name, default.0, words).map_or(default.1, |given| given.value)
    }

    /// Text, blank or not. A bare number is text only from the environment or
    /// `--set`, where there is no way to quote.
    pub(crate) fn opt_text(&mut self, ctx: &mut Context<'_>, name: &str, takes: &str) -> Option<Given<String>> {
        let (entry, text, plain) = self.scalar(ctx, name, takes, "")?;
        let reads_otherwise = plain && (number(text).is_some() || matches!(text, "true" | "false"));
        if reads_otherwise && matches!(entry.node.place.origin, Origin::File { .. }) {
            let quoted = format!("\"{text}\"");
            self.wrong_type(ctx, entry, takes).help(format!("write {quoted} if that is meant"));
            return None;
        }
        Some(Given { value: text.to_owned(), place: entry.place.clone() })
    }

    /// A list of words; a single word is not silently a list.
    pub(crate) fn opt_names(&mut self, ctx: &mut Context<'_>, name: &str, default: &str) -> Option<Given<Vec<String>>> {
        let entry = self.take(ctx, name, "a list of names", default).filter(|_| self.has(name))?;
        let names = names_of(ctx, &self.key(name), &entry.node)?;
        Some(Given { value: names, place: entry.place.clone() })
    }

    /// A mapping from names to whatever `read` makes of each value.
    pub(crate) fn map_of<T>(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        takes: &str,
        mut read: impl FnMut(&mut Context<'_>, &str, &Entry) -> Option<T>,
    ) -> Option<Given<BTreeMap<String, T>>> {
        let entry = self.take(ctx, name, takes, "")?;
        let key = self.key(name);
        match &entry.node.value {
            Value::Null => None,
            Value::Map(entries) => {
                let mut map = BTreeMap::new();
                for item in entries {
                    let item_key = join(&key, &item.key);
                    ctx.places.insert(item_key.clone(), item.place.clone());
                    if let Some(value) = read(ctx, &item_key, item) {
                        map.insert(item.key.clone(), value);
                    }
                }
                Some(Given { value: map, place: entry.place.clone() })
            }
            _ => {
                self.wrong_type(ctx, entry, takes);
                None
            }
        }
    }
}

fn write(meant: &str, plain: bool) -> String {
    if plain { format!("write {meant}") } else { format!("write {meant}, without quotes") }
}

fn range<T: std::fmt::Display>(what: &str, low: &T, high: &T) -> String {
    format!("{what} from {low} to {high}")
}

fn without_underscores(text: &str) -> Option<String> {
    let bare = text.replace('_', "");
    (bare != text && number(&bare).is_some()).then_some(bare)
}
