//! The sections `metrics` and `rules`.

use super::MOST;
use crate::expression;
use crate::finding::{Code, Place};
use crate::metric::{Metric, Worse};
use crate::reader::Reader;
use crate::rule::{Action, Form, Rule, Severity};
use crate::time::shorten;
use crate::unit::Unit;
use crate::yaml::{Node, Value};

pub(super) fn metrics(reader: &mut Reader<'_>, node: &Node) -> Vec<Metric> {
    if !matches!(node.value, Value::Map(_)) || node.entries().is_empty() || node.entries().len() > MOST {
        let what = format!("metrics is a mapping of 1 to {MOST} names, not {}", node.describe());
        reader.error(Code::Value, node.place, what, "write name: { unit: ms, worse: up }");
    }
    let entries = node.entries().iter().take(MOST);
    entries
        .map(|entry| {
            metric_name(reader, &entry.key, entry.place);
            metric(reader, &entry.key, &entry.node)
        })
        .collect()
}

fn metric_name(reader: &mut Reader<'_>, name: &str, place: Place) {
    let probe = [Metric { name: name.to_owned(), unit: Unit::Count, worse: Worse::Both }];
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || "_:.".contains(c));
    if !letters || expression::parse(&format!("{name} absent"), &probe, None).is_err() {
        let what = format!("'{}' cannot name a metric", shorten(name));
        reader.error(Code::Value, place, what, "take letters, digits, _ and inner dots, and no word of the grammar");
    }
}

fn metric(reader: &mut Reader<'_>, name: &str, node: &Node) -> Metric {
    let what = format!("the metric '{}'", shorten(name));
    reader.keys(node, &what, &["unit", "worse"]);
    let unit = reader.needed(node, "unit", &what).and_then(|node| reader.text(node, "unit"));
    let directions = Worse::ALL.map(|worse| (worse.as_str(), worse));
    let worse = reader.needed(node, "worse", &what).and_then(|node| reader.word(node, "worse", &directions));
    let unit = Unit::parse(unit.as_deref().unwrap_or_default());
    Metric { name: name.to_owned(), unit, worse: worse.unwrap_or(Worse::Both) }
}

pub(super) fn rules(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    // `performance_p95_ms: < 200` names neither an action nor a time, and is what people write first.
    if let Some(entry) = node.entries().first() {
        let what = format!("rules is a list, and '{}' is a key", shorten(&entry.key));
        let help = format!("write - {{ id: {0}, require: \"{0} < 200 for 5m\", action: hold }}", shorten(&entry.key));
        reader.error(Code::Value, entry.place, what, &help);
        return rules;
    }
    for node in reader.list(node, "rules", MOST, "begin each rule with - id:") {
        let Some(rule) = rule(reader, node, metrics) else { continue };
        if let Some(first) = rules.iter().find(|first| first.id == rule.id) {
            let what = format!("the rule '{}' is given twice; first at {}", shorten(&rule.id), first.place);
            reader.error(Code::Duplicate, node.get("id").map_or(node.place, |id| id.place), what, "rename one");
        }
        rules.push(rule);
    }
    rules
}

fn rule(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Option<Rule> {
    let forms = [("when", Form::When), ("require", Form::Require), ("accept", Form::Accept)];
    let known = ["id", "when", "require", "accept", "metric", "action", "severity", "dry_run"];
    reader.keys(node, "a rule", &known);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let id = reader.needed(node, "id", "a rule").and_then(|node| reader.text(node, "id"));
    let subject = node.get("metric").and_then(|node| reader.metric(node, "metric", metrics));
    let mut given = forms.iter().filter_map(|(key, form)| Some((*form, *key, node.get(key)?)));
    let first = given.next();
    if let Some((_, key, second)) = given.next() {
        reader.error(Code::Value, second.place, format!("{key} is a second condition"), "make it a rule of its own");
    }
    let Some((form, key, written)) = first else {
        reader.error(Code::Missing, node.place, "a rule needs when, require or accept", "write when: \"m > 5\"");
        return None;
    };
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let action = node.get("action").and_then(|node| reader.word(node, "action", &actions));
    if node.get("action").is_none() && form != Form::Accept {
        reader.error(Code::Missing, node.place, "a rule needs an action", "write note, warn, hold or rollback");
    }
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let severity = node.get("severity").and_then(|node| reader.word(node, "severity", &severities));
    let dry_run = node.get("dry_run").and_then(|node| reader.truth(node, "dry_run"));
    let read = reader.expression(written, key, metrics, subject)?;
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
