//! Strict reading of YAML and JSON: unknown keys are errors, with their line and the nearest name.

use std::collections::BTreeMap;
use std::time::Duration;

use townlet_policy::yaml::{self, Node, Value};
use townlet_policy::{Code, Finding, Findings, Level, Place, nearest, parse_duration};

use townlet_registry::{Digest, Time};

/// Reads a text into a tree. JSON is read as the YAML that it is.
pub(crate) fn tree(text: &str, found: &mut Findings) -> Option<Node> {
    if text.trim_start().starts_with('{') {
        yaml::parse(&joined_surrogates(text), found)
    } else {
        yaml::parse(text, found)
    }
}

/// JSON writes a character beyond the first 65,536 as two escapes, which YAML does not know.
fn joined_surrogates(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut rest) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices("\\u") {
        let escaped = text[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
        if at < rest || escaped {
            continue;
        }
        if let (Some(high), Some(low)) = (unit(at), unit(at + 6))
            && let Some(Ok(joined)) = char::decode_utf16([high, low]).next()
            && joined.len_utf16() == 2
        {
            out.push_str(&text[rest..at]);
            out.push(joined);
            rest = at + 12;
        }
    }
    out.push_str(&text[rest..]);
    out
}

/// Collects faults while fields are taken out of a tree.
pub(crate) struct Reader<'a> {
    pub(crate) found: &'a mut Findings,
}

impl Reader<'_> {
    pub(crate) fn fault(&mut self, code: Code, place: Place, message: impl Into<String>, help: &str) {
        let finding = Finding::new(code, Level::Error, place, message);
        self.found.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    /// Refuses everything but a mapping with known keys.
    pub(crate) fn keys(&mut self, node: &Node, what: &str, known: &[&str]) {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("{what} is a mapping, not {}", node.describe());
            self.fault(Code::Value, node.place, message, &format!("its keys are {}", known.join(", ")));
        }
        for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = nearest(&entry.key, known.iter().copied())
                .map_or_else(|| format!("its keys are {}", known.join(", ")), |name| format!("write {name}"));
            self.fault(Code::UnknownKey, entry.place, format!("{what} has no key '{}'", shown(&entry.key)), &help);
        }
    }

    pub(crate) fn needed<'n>(&mut self, node: &'n Node, key: &str, what: &str) -> Option<&'n Node> {
        let found = node.get(key).filter(|found| !matches!(found.value, Value::Null));
        // What is no mapping has been refused already.
        if found.is_none() && matches!(node.value, Value::Map(_)) {
            let place = node.get(key).map_or(node.place, |there| there.place);
            self.fault(Code::Missing, place, format!("{what} needs {key}"), "add it");
        }
        found
    }

    /// A text with something in it.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            let what = if node.text().is_some() { "an empty one".into() } else { node.describe() };
            self.fault(Code::Value, node.place, format!("{key} is a text, not {what}"), "write one");
        }
        text
    }

    pub(crate) fn needed_text(&mut self, node: &Node, key: &str, what: &str) -> Option<String> {
        self.needed(node, key, what).and_then(|found| self.text(found, key))
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            _ => {
                self.fault(Code::Value, node.place, format!("{key} is a list, not {}", node.describe()), "write [ … ]");
                &[]
            }
        }
    }

    pub(crate) fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for item in self.list(node, key) {
            let Some(text) = self.text(item, key) else { continue };
            if all.contains(&text) {
                self.fault(Code::Duplicate, item.place, format!("'{}' stands in {key} twice", shown(&text)), "once");
            }
            all.push(text);
        }
        all
    }

    pub(crate) fn moment(&mut self, node: &Node, key: &str) -> Option<Time> {
        let text = self.text(node, key)?;
        let help = "write 2025-10-02T12:00:00Z: a time without Z or an offset is another one in each office";
        text.parse().map_err(|why| self.fault(Code::Value, node.place, format!("{key}: {why}"), help)).ok()
    }

    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let text = self.text(node, key)?;
        let read = parse_duration(&text).and_then(|span| {
            if span.is_zero() { Err(format!("{key} of nothing lets nothing pass")) } else { Ok(span) }
        });
        read.map_err(|why| self.fault(Code::Value, node.place, why, "write 30d, for example")).ok()
    }

    pub(crate) fn digest(&mut self, node: &Node, key: &str) -> Option<Digest> {
        let text = self.text(node, key)?;
        // With or without the name of the function, as sha256sum prints it.
        let read = Digest::from_hex(text.strip_prefix(Digest::PREFIX).unwrap_or(&text)).ok();
        if read.is_none() {
            let what = format!("{key} is sha256: and 64 lower-case hex digits, not '{}'", shown(&text));
            self.fault(Code::Value, node.place, what, "take it from sha256sum, or give a path and let it be computed");
        }
        read
    }

    pub(crate) fn map(&mut self, node: &Node, key: &str) -> BTreeMap<String, String> {
        if !matches!(node.value, Value::Map(_)) {
            self.fault(Code::Value, node.place, format!("{key} is a mapping of texts, not {}", node.describe()), "");
        }
        let entries = node.entries().iter();
        entries.filter_map(|entry| Some((entry.key.clone(), self.text(&entry.node, &entry.key)?))).collect()
    }
}

/// Input for a message: cut, and harmless on a terminal.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::joined_surrogates;

    #[test]
    fn two_escapes_of_one_character_become_it_and_nothing_else_changes() {
        for (written, read) in [
            (r#"{"a":"\ud83d\ude00"}"#, "{\"a\":\"😀\"}"),
            (r"\\ud83d\ude00 \u00e9", r"\\ud83d\ude00 \u00e9"),
            (r"\ud83d\ud83d\ude00", "\\ud83d😀"),
            (r"\u12", r"\u12"),
            ("é\\ud83dé", "é\\ud83dé"),
        ] {
            assert_eq!(joined_surrogates(written), read);
        }
    }
}
