//! The section `change`: what surrounds the rules.

use std::time::Duration;

use super::MOST;
use crate::finding::Code;
use crate::metric::Metric;
use crate::reader::Reader;
use crate::rule::MetricId;
use crate::surroundings::{Baseline, Offset, Rollback, Stated, Step, Surroundings, UndoStep, Verified};
use crate::yaml::Node;

pub(super) fn change(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Surroundings {
    let known = ["steps", "baselines", "rollback", "measured", "switched", "every", "watched", "stated"];
    reader.keys(node, "change", &known);
    let listed = |reader: &mut Reader<'_>, key: &str| -> Option<Vec<MetricId>> {
        let node = node.get(key)?;
        let names = reader.list(node, key, MOST, "write [name, name]");
        Some(names.iter().filter_map(|node| reader.metric(node, key, metrics)).collect())
    };
    let span = |reader: &mut Reader<'_>, key: &str| node.get(key).and_then(|node| reader.duration(node, key));
    Surroundings {
        steps: items(reader, node, "steps", step),
        baselines: items(reader, node, "baselines", |reader, node| baseline(reader, node, metrics)),
        rollback: node.get("rollback").map(|node| rollback(reader, node, metrics)),
        measured: listed(reader, "measured"),
        switched: listed(reader, "switched").unwrap_or_default(),
        every: span(reader, "every"),
        watched: span(reader, "watched"),
        stated: items(reader, node, "stated", |reader, node| stated(reader, node, metrics)),
    }
}

/// What a list under a key holds; nothing where there is no such key.
fn items<T>(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    mut each: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = node.get(key) else { return Vec::new() };
    let all = reader.list(node, key, MOST, "begin each with -");
    all.iter().filter_map(|node| each(reader, node)).collect()
}

fn step(reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
    reader.keys(node, "a step", &["name", "at"]);
    let name = reader.needed(node, "name", "a step").and_then(|node| reader.text(node, "name"));
    let at = node.get("at").and_then(|node| moment(reader, node, "at"));
    Some(Step { name: name?, at, place: node.place })
}

fn baseline(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Option<Baseline> {
    reader.keys(node, "a baseline", &["metrics", "from", "until"]);
    let of = items(reader, node, "metrics", |reader, node| reader.metric(node, "metrics", metrics));
    let from = reader.needed(node, "from", "a baseline").and_then(|node| moment(reader, node, "from"));
    let until = reader.needed(node, "until", "a baseline").and_then(|node| moment(reader, node, "until"));
    let (from, until) = (from?, until?);
    if until <= from {
        reader.error(Code::Value, node.place, "a baseline ends after it begins", "write from: -24h, until: 0s");
        return None;
    }
    Some(Baseline { metrics: of, from, until, place: node.place })
}

fn rollback(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Rollback {
    reader.keys(node, "rollback", &["steps", "total", "verified"]);
    Rollback {
        steps: items(reader, node, "steps", undo_step),
        total: node.get("total").and_then(|node| reader.duration(node, "total")),
        verified: items(reader, node, "verified", |reader, node| {
            let read = reader.expression(node, "verified", metrics, None)?;
            Some(Verified { condition: read.condition, place: node.place })
        }),
        place: node.place,
    }
}

fn undo_step(reader: &mut Reader<'_>, node: &Node) -> Option<UndoStep> {
    reader.keys(node, "a step of the rollback", &["name", "undoes", "within", "checked"]);
    let name = reader.needed(node, "name", "a step of the rollback").and_then(|node| reader.text(node, "name"));
    let undoes = node.get("undoes").and_then(|node| reader.text(node, "undoes"));
    let within: Option<Duration> = node.get("within").and_then(|node| reader.duration(node, "within"));
    let checked = node.get("checked").and_then(|node| reader.truth(node, "checked"));
    Some(UndoStep { name: name?, undoes, within, checked: checked.unwrap_or(false), place: node.place })
}

fn stated(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric]) -> Option<Stated> {
    reader.keys(node, "what is stated elsewhere", &["by", "says"]);
    let by = reader.needed(node, "by", "what is stated elsewhere").and_then(|node| reader.text(node, "by"));
    let says = reader.needed(node, "says", "what is stated elsewhere")?;
    let condition = reader.expression(says, "says", metrics, None)?.condition;
    Some(Stated { by: by?, condition: Some(condition), place: says.place })
}

fn moment(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Offset> {
    let text = reader.text(node, key)?;
    Offset::parse(&text).map_err(|message| reader.error(Code::Value, node.place, message, "write -24h or 2m")).ok()
}
