//! YAML nodes to values, with a finding at its place for everything that does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use townlet_policy::yaml::{Node, Style, Value};
use townlet_policy::{Code, Finding, Findings, Level, Place, nearest, parse_duration};

/// What a command sees of the caller's environment unless the file says otherwise: what it takes to find programs.
const PASSED: [&str; 2] = ["PATH", "HOME"];

/// Reads one file; collects what is wrong with it.
pub(crate) struct Reader<'f> {
    found: &'f mut Findings,
}

impl<'f> Reader<'f> {
    pub(crate) fn new(found: &'f mut Findings) -> Self {
        Self { found }
    }

    pub(crate) fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: &str) {
        let finding = Finding::new(code, Level::Error, place, message);
        self.found.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    pub(crate) fn found(&mut self) -> &mut Findings {
        self.found
    }

    /// Refuses everything but a mapping with known keys.
    pub(crate) fn keys(&mut self, node: &Node, what: &str, known: &[&str]) {
        let all = format!("its keys are {}", known.join(", "));
        if !matches!(node.value, Value::Map(_)) {
            self.error(Code::Value, node.place, format!("{what} is a mapping, not {}", node.describe()), &all);
        }
        for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help =
                nearest(&entry.key, known.iter().copied()).map_or_else(|| all.clone(), |name| format!("write {name}"));
            let message = format!("{what} has no key '{}'", shorten(&entry.key));
            self.error(Code::UnknownKey, entry.place, message, &help);
        }
    }

    pub(crate) fn needed<'n>(&mut self, node: &'n Node, key: &str, what: &str) -> Option<&'n Node> {
        let found = node.get(key);
        // What is no mapping has been refused already.
        if found.is_none() && matches!(node.value, Value::Map(_)) {
            self.error(Code::Missing, node.place, format!("{what} needs {key}"), "add it");
        }
        found
    }

    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.text().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
        if text.is_none() {
            self.error(Code::Value, node.place, format!("{key} is a text, not {}", node.describe()), "write one");
        }
        text.map(str::to_owned)
    }

    pub(crate) fn word<T: Copy>(&mut self, node: &Node, key: &str, known: &[(&str, T)]) -> Option<T> {
        let meaning = known.iter().find(|(word, _)| node.text() == Some(word)).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let help = nearest(node.text().unwrap_or_default(), words.iter().copied())
                .map_or_else(|| format!("write one of {}", words.join(", ")), |word| format!("write {word}"));
            self.error(Code::Value, node.place, format!("{key} cannot be {}", node.describe()), &help);
        }
        meaning
    }

    /// `30s`, `15m`, or a number of seconds.
    pub(crate) fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let text = self.text(node, key)?;
        let read = match text.parse::<u32>() {
            Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
            Err(_) => parse_duration(&text),
        };
        match read {
            Ok(span) if !span.is_zero() => Some(span),
            Ok(_) => {
                self.error(Code::Value, node.place, format!("{key} is nothing at all"), "write 30s or 15m");
                None
            }
            Err(message) => {
                self.error(Code::Value, node.place, format!("{key}: {message}"), "write 30s, 15m or 900 for seconds");
                None
            }
        }
    }

    pub(crate) fn whole(&mut self, node: &Node, key: &str, least: u32, most: u32) -> Option<u32> {
        let number = node.text().and_then(|text| text.parse::<u32>().ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("{key} is a whole number from {least} to {most}, not {}", node.describe());
            self.error(Code::Value, node.place, message, "");
        }
        number
    }

    /// A list of texts with at least one.
    pub(crate) fn texts(&mut self, node: &Node, key: &str, example: &str) -> Option<Vec<String>> {
        if node.items().is_empty() {
            let message = format!("{key} is a list of texts, not {}", node.describe());
            self.error(Code::Value, node.place, message, &format!("write {key}: {example}"));
            return None;
        }
        node.items().iter().map(|item| self.text(item, key)).collect()
    }

    /// A program and its arguments.
    pub(crate) fn command(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        if let Some(text) = node.text() {
            let words: Vec<&str> = text.split_whitespace().collect();
            let help = format!("no shell reads it; write {key}: [{}]", words.join(", "));
            self.error(Code::Value, node.place, format!("{key} is a list, not one text"), &help);
            return None;
        }
        self.texts(node, key, "[cargo, test]")
    }

    /// A name that can be a folder everywhere.
    pub(crate) fn name(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = self.text(node, key)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if text.len() <= 64 && text.chars().all(fits) && !text.starts_with('.') && !text.ends_with('.') {
            return Some(text);
        }
        let message = format!("{key} cannot be '{}'", shorten(&text));
        self.error(Code::Value, node.place, message, "take at most 64 letters, digits, -, _ and inner dots");
        None
    }

    /// Names of environment variables.
    fn variables(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            return Some(Vec::new());
        }
        let names = self.texts(node, key, "[PATH, HOME]")?;
        let wrong = node.items().iter().zip(&names).find(|(_, name)| !is_variable(name));
        if let Some((item, name)) = wrong {
            self.variable(name, item.place);
            return None;
        }
        Some(names)
    }

    /// `env:`, what a file sets.
    pub(crate) fn env(&mut self, node: &Node) -> BTreeMap<String, String> {
        if !matches!(node.value, Value::Map(_)) {
            let what = format!("env is a mapping of variables to texts, not {}", node.describe());
            self.error(Code::Value, node.place, what, "write env: { RUST_BACKTRACE: \"1\" }");
        }
        let mut env = BTreeMap::new();
        for entry in node.entries() {
            if !is_variable(&entry.key) {
                self.variable(&entry.key, entry.place);
            }
            // An empty text is a value, nothing at all is a slip.
            match entry.node.text().filter(|text| !text.contains('\0')) {
                Some(value) => drop(env.insert(entry.key.clone(), value.to_owned())),
                None => {
                    let message = format!("{} is a text, not {}", shorten(&entry.key), entry.node.describe());
                    self.error(Code::Value, entry.node.place, message, "write \"\" for an empty one");
                }
            }
        }
        env
    }

    /// `pass_env:` of a whole file.
    pub(crate) fn passed(&mut self, root: &Node) -> Vec<String> {
        let given = root.get("pass_env").and_then(|node| self.variables(node, "pass_env"));
        given.unwrap_or_else(|| PASSED.map(str::to_owned).to_vec())
    }

    /// `pass_env:` of one command, with that of the file, without what the command is given.
    pub(crate) fn also_passed(&mut self, node: &Node, all: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
        let own = node.get("pass_env").and_then(|node| self.variables(node, "pass_env")).unwrap_or_default();
        let names: BTreeSet<String> = all.iter().cloned().chain(own).filter(|name| !env.contains_key(name)).collect();
        names.into_iter().collect()
    }

    fn variable(&mut self, name: &str, place: Place) {
        let message = format!("'{}' cannot name an environment variable", shorten(name));
        self.error(Code::Value, place, message, "take letters, digits and _, no digit first");
    }
}

/// Whether a text can name an environment variable on every system.
fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.len() <= 255 && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The place of a part of a text, in characters from its start.
pub(crate) fn within(node: &Node, column: usize, width: usize) -> Place {
    match node.value {
        Value::Scalar { style: Style::Block, .. } => node.place,
        _ => node.text_place().shifted(column, width),
    }
}

/// User text for a message: cut, and harmless on a terminal.
pub(crate) fn shorten(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
