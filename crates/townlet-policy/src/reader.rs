//! What every reader of our YAML files does alike: keys, words, texts and durations, refused at their place.
//!
//! It is public for files that hold a policy beside other things, such as plans: they read the rest of their keys by it,
//! and [`Policy::read_sections`](crate::Policy::read_sections) reads the policy.

use std::time::Duration;

use crate::expression::{self, ErrorKind, Expression, ExpressionError};
use crate::finding::{Code, Finding, Findings, Level, Place};
use crate::metric::Metric;
use crate::nearest::nearest;
use crate::rule::MetricId;
use crate::time::{parse_duration, shorten};
use crate::yaml::{Node, Style, Value};

/// Reads nodes, and puts what is wrong with them into findings.
pub struct Reader<'a> {
    /// What was found.
    pub found: &'a mut Findings,
    /// Whether an error was.
    pub broken: bool,
}

impl<'a> Reader<'a> {
    /// One that has found nothing yet.
    pub fn new(found: &'a mut Findings) -> Self {
        Self { found, broken: false }
    }

    /// Adds an error, with a remedy unless that is empty.
    pub fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: &str) {
        self.broken = true;
        let finding = Finding::new(code, Level::Error, place, message);
        self.found.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    /// Refuses everything but a mapping with known keys.
    pub fn keys(&mut self, node: &Node, what: &str, known: &[&str]) {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("{what} is a mapping, not {}", node.describe());
            self.error(Code::Value, node.place, message, &format!("its keys are {}", known.join(", ")));
        }
        for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let help = nearest(&entry.key, known.iter().copied())
                .map_or_else(|| format!("its keys are {}", known.join(", ")), |name| format!("write {name}"));
            let message = format!("{what} has no key '{}'", shorten(&entry.key));
            self.error(Code::UnknownKey, entry.place, message, &help);
        }
    }

    /// What a mapping must have under a key.
    pub fn needed<'n>(&mut self, node: &'n Node, key: &str, what: &str) -> Option<&'n Node> {
        let found = node.get(key);
        // What is no mapping has been refused already.
        if found.is_none() && matches!(node.value, Value::Map(_)) {
            self.error(Code::Missing, node.place, format!("{what} needs {key}"), "add it");
        }
        found
    }

    /// The items of a list that may not be empty, nor longer than `most`.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str, most: usize, help: &str) -> &'n [Node] {
        let items = node.items();
        if items.is_empty() || items.len() > most {
            let message = format!("{what} is a list of 1 to {most}, not {}", node.describe());
            self.error(Code::Value, node.place, message, help);
        }
        &items[..items.len().min(most)]
    }

    /// A text that is not blank.
    pub fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.text().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(Code::Value, node.place, format!("{key} is a text, not {}", node.describe()), "write one");
        }
        // With its blanks, so that columns hold.
        text.and(node.text()).map(str::to_owned)
    }

    /// One of the known words.
    pub fn word<T: Copy>(&mut self, node: &Node, key: &str, known: &[(&str, T)]) -> Option<T> {
        let meaning = known.iter().find(|(word, _)| node.text() == Some(word)).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let help = nearest(node.text().unwrap_or_default(), words.iter().copied())
                .map_or_else(|| format!("write one of {}", words.join(", ")), |word| format!("write {word}"));
            self.error(Code::Value, node.place, format!("{key} cannot be {}", node.describe()), &help);
        }
        meaning
    }

    /// `true` or `false`.
    pub fn truth(&mut self, node: &Node, key: &str) -> Option<bool> {
        self.word(node, key, &[("true", true), ("false", false)])
    }

    /// A duration above zero.
    pub fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let text = self.text(node, key)?;
        let read = parse_duration(&text)
            .and_then(|span| if span.is_zero() { Err(format!("{key} cannot be nothing")) } else { Ok(span) });
        read.map_err(|message| self.error(Code::Value, node.place, message, "write 2m, for example")).ok()
    }

    /// The metric that a node names.
    pub fn metric(&mut self, node: &Node, key: &str, metrics: &[Metric]) -> Option<MetricId> {
        let name = self.text(node, key)?;
        let id = position(&name, metrics);
        if id.is_none() {
            let what = format!("there is no metric '{}'", shorten(&name));
            self.error(Code::UnknownMetric, node.place, what, &meant(&name, metrics));
        }
        id
    }

    /// A condition and its clauses.
    pub fn expression(
        &mut self,
        node: &Node,
        key: &str,
        metrics: &[Metric],
        subject: Option<MetricId>,
    ) -> Option<Expression> {
        let text = self.text(node, key)?;
        expression::parse(&text, metrics, subject).map_err(|fault| self.fault(node, &text, fault, metrics)).ok()
    }

    /// A fault inside an expression, at its column if the text stands in the file as it was read.
    fn fault(&mut self, node: &Node, text: &str, fault: ExpressionError, metrics: &[Metric]) {
        let start = node.text_place();
        let verbatim = !matches!(node.value, Value::Scalar { style: Style::Block, .. })
            && self.found.line(start.line).is_some_and(|line| {
                let rest: String = line.chars().skip(start.column as usize - 1).collect();
                rest.starts_with(text)
            });
        let place = if verbatim { start.shifted(fault.column, fault.width) } else { node.place };
        let mut help = fault.help;
        let code = match fault.kind {
            ErrorKind::UnknownMetric => {
                let name: String = text.chars().skip(fault.column).take(fault.width).collect();
                help = Some(meant(&name, metrics));
                Code::UnknownMetric
            }
            ErrorKind::Unit => Code::Unit,
            ErrorKind::Grammar => Code::Expression,
        };
        self.error(code, place, fault.message, help.as_deref().unwrap_or_default());
    }
}

pub(crate) fn position(name: &str, metrics: &[Metric]) -> Option<MetricId> {
    metrics.iter().position(|metric| metric.name == name).map(MetricId)
}

pub(crate) fn meant(name: &str, metrics: &[Metric]) -> String {
    nearest(name, metrics.iter().map(|metric| metric.name.as_str()))
        .map_or_else(|| "declare it under metrics, with its unit".into(), |name| format!("write {name}"))
}
