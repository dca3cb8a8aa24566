//! A policy file: metrics with units and directions, and the rules about them.

use std::time::Duration;

use crate::evaluate::{GapMode, Settings};
use crate::expression::{self, ErrorKind, ExpressionError};
use crate::finding::{Code, Finding, Findings, Level, Place};
use crate::metric::{Metric, Worse};
use crate::nearest::nearest;
use crate::rule::{Action, Form, MetricId, Rule, Severity};
use crate::time::{parse_duration, shorten};
use crate::unit::Unit;
use crate::yaml::{self, Node, Style, Value};

/// Metrics, rules, and how to evaluate them.
///
/// ```yaml
/// gap: hold                   # or prometheus; hold unless given
/// max_gap: 2m                 # of rules that state none; 5m unless given
/// metrics:
///   parse_p95_ms: { unit: ms, worse: up }
///   cicd_success: { unit: "%", worse: down }
/// rules:
///   - id: slow-parser
///     when: "parse_p95_ms > +6% for 10m"
///     action: rollback
///   - id: pipeline
///     metric: cicd_success    # what a bare comparison is about
///     require: ">= 99.5%"
///     action: hold
///     severity: critical      # follows the action unless given
///     dry_run: true           # false unless given
/// ```
///
/// A rule has one of `when`, `require` and `accept`, and an action, without which only `accept` can be.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What rules may be about, in the order of the file.
    pub metrics: Vec<Metric>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// How to evaluate them.
    pub settings: Settings,
}

impl Policy {
    /// Reads a policy. Every fault that can be found without guessing is, each with its place; `None` if any is an
    /// error. Keys that are not known are errors.
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        let root = yaml::parse(text, found)?;
        let mut reader = Reader { found, broken: false };
        let policy = reader.policy(&root);
        let broken = reader.broken;
        found.sort();
        // What YAML found counts too: it goes on after a key that is given twice.
        (!broken && !found.has_errors()).then_some(policy)
    }
}

/// The most metrics, and the most rules. A slip of a generator lies beyond.
const MOST: usize = 1000;

struct Reader<'a> {
    found: &'a mut Findings,
    broken: bool,
}

impl Reader<'_> {
    fn policy(&mut self, root: &Node) -> Policy {
        self.keys(root, "a policy", &["gap", "max_gap", "metrics", "rules"]);
        let gaps = [("hold", GapMode::Hold), ("prometheus", GapMode::Prometheus)];
        let gap = root.get("gap").and_then(|node| self.word(node, "gap", &gaps));
        let max_gap = root.get("max_gap").and_then(|node| self.duration(node, "max_gap"));
        let settings = Settings::default();
        let settings = Settings { gap: gap.unwrap_or(settings.gap), max_gap: max_gap.unwrap_or(settings.max_gap) };
        let mut metrics = Vec::new();
        if let Some(node) = self.needed(root, "metrics", "a policy") {
            if !matches!(node.value, Value::Map(_)) || node.entries().len() > MOST {
                let what = format!("metrics is a mapping of 1 to {MOST} names, not {}", node.describe());
                self.error(Code::Value, node.place, what, "write name: { unit: ms, worse: up }");
            }
            for entry in node.entries().iter().take(MOST) {
                self.metric_name(&entry.key, entry.place);
                metrics.push(self.metric(&entry.key, &entry.node));
            }
        }
        let mut rules: Vec<Rule> = Vec::new();
        if let Some(node) = self.needed(root, "rules", "a policy") {
            if node.items().is_empty() || node.items().len() > MOST {
                let what = format!("rules is a list of 1 to {MOST} rules, not {}", node.describe());
                self.error(Code::Value, node.place, what, "begin each rule with - id:");
            }
            for node in node.items().iter().take(MOST) {
                let Some(rule) = self.rule(node, &metrics) else { continue };
                if let Some(first) = rules.iter().find(|first| first.id == rule.id) {
                    let what = format!("the rule '{}' is given twice; first at {}", shorten(&rule.id), first.place);
                    self.error(Code::Duplicate, node.get("id").map_or(node.place, |id| id.place), what, "rename one");
                }
                rules.push(rule);
            }
        }
        Policy { metrics, rules, settings }
    }

    fn metric_name(&mut self, name: &str, place: Place) {
        let probe = [Metric { name: name.to_owned(), unit: Unit::Count, worse: Worse::Both }];
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || "_:.".contains(c));
        if !letters || expression::parse(&format!("{name} absent"), &probe, None).is_err() {
            let what = format!("'{}' cannot name a metric", shorten(name));
            self.error(Code::Value, place, what, "take letters, digits, _ and inner dots, and no word of the grammar");
        }
    }

    fn metric(&mut self, name: &str, node: &Node) -> Metric {
        let what = format!("the metric '{}'", shorten(name));
        self.keys(node, &what, &["unit", "worse"]);
        let unit = self.needed(node, "unit", &what).and_then(|node| self.text(node, "unit"));
        let directions = [("up", Worse::Up), ("down", Worse::Down), ("both", Worse::Both)];
        let worse = self.needed(node, "worse", &what).and_then(|node| self.word(node, "worse", &directions));
        let unit = Unit::parse(unit.as_deref().unwrap_or_default());
        Metric { name: name.to_owned(), unit, worse: worse.unwrap_or(Worse::Both) }
    }

    fn rule(&mut self, node: &Node, metrics: &[Metric]) -> Option<Rule> {
        let forms = [("when", Form::When), ("require", Form::Require), ("accept", Form::Accept)];
        let known = ["id", "when", "require", "accept", "metric", "action", "severity", "dry_run"];
        self.keys(node, "a rule", &known);
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let id = self.needed(node, "id", "a rule").and_then(|node| self.text(node, "id"));
        let subject = node.get("metric").and_then(|node| self.subject(node, metrics));
        let mut given = forms.iter().filter_map(|(key, form)| Some((*form, *key, node.get(key)?)));
        let first = given.next();
        if let Some((_, key, second)) = given.next() {
            self.error(Code::Value, second.place, format!("{key} is a second condition"), "make it a rule of its own");
        }
        let Some((form, key, written)) = first else {
            self.error(Code::Missing, node.place, "a rule needs when, require or accept", "write when: \"m > 5\"");
            return None;
        };
        let action =
            node.get("action").and_then(|node| self.word(node, "action", &Action::ALL.map(|a| (a.as_str(), a))));
        if node.get("action").is_none() && form != Form::Accept {
            self.error(Code::Missing, node.place, "a rule needs an action", "write note, warn, hold or rollback");
        }
        let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
        let severity = node.get("severity").and_then(|node| self.word(node, "severity", &severities));
        let dry_run =
            node.get("dry_run").and_then(|node| self.word(node, "dry_run", &[("true", true), ("false", false)]));
        let text = self.text(written, key)?;
        let read = match expression::parse(&text, metrics, subject) {
            Ok(read) => read,
            Err(fault) => {
                self.expression(written, &text, fault, metrics);
                return None;
            }
        };
        Some(Rule {
            id: id?,
            form,
            condition: read.condition,
            timing: read.timing,
            severity: severity.unwrap_or(Severity::of(action)),
            action,
            dry_run: dry_run.unwrap_or(false),
            place: written.place,
        })
    }

    fn subject(&mut self, node: &Node, metrics: &[Metric]) -> Option<MetricId> {
        let name = self.text(node, "metric")?;
        let position = metrics.iter().position(|metric| metric.name == name);
        if position.is_none() {
            let what = format!("there is no metric '{}'", shorten(&name));
            self.error(Code::UnknownMetric, node.place, what, &meant(&name, metrics));
        }
        position.map(MetricId)
    }

    /// A fault inside a rule, at its column if the text stands in the file as it was read.
    fn expression(&mut self, node: &Node, text: &str, fault: ExpressionError, metrics: &[Metric]) {
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

    /// Refuses everything but a mapping with known keys.
    fn keys(&mut self, node: &Node, what: &str, known: &[&str]) {
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

    fn needed<'n>(&mut self, node: &'n Node, key: &str, what: &str) -> Option<&'n Node> {
        let found = node.get(key);
        // What is no mapping has been refused already.
        if found.is_none() && matches!(node.value, Value::Map(_)) {
            self.error(Code::Missing, node.place, format!("{what} needs {key}"), "add it");
        }
        found
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.text().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(Code::Value, node.place, format!("{key} is a text, not {}", node.describe()), "write one");
        }
        // With its blanks, so that columns hold.
        text.and(node.text()).map(str::to_owned)
    }

    fn word<T: Copy>(&mut self, node: &Node, key: &str, known: &[(&str, T)]) -> Option<T> {
        let meaning = known.iter().find(|(word, _)| node.text() == Some(word)).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let help = nearest(node.text().unwrap_or_default(), words.iter().copied())
                .map_or_else(|| format!("write one of {}", words.join(", ")), |word| format!("write {word}"));
            self.error(Code::Value, node.place, format!("{key} cannot be {}", node.describe()), &help);
        }
        meaning
    }

    fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let text = self.text(node, key)?;
        let read = parse_duration(&text).and_then(|span| {
            if span.is_zero() { Err(format!("with a {key} of nothing, nothing is ever known")) } else { Ok(span) }
        });
        read.map_err(|message| self.error(Code::Value, node.place, message, "write 2m, for example")).ok()
    }

    fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: &str) {
        self.broken = true;
        let finding = Finding::new(code, Level::Error, place, message);
        self.found.push(if help.is_empty() { finding } else { finding.help(help) });
    }
}

fn meant(name: &str, metrics: &[Metric]) -> String {
    nearest(name, metrics.iter().map(|metric| metric.name.as_str()))
        .map_or_else(|| "declare it under metrics, with its unit".into(), |name| format!("write {name}"))
}
