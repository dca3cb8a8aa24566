//! The sections of a plan, one after the other.

use std::time::Duration;

use townlet_policy::reader::Reader;
use townlet_policy::yaml::Node;
use townlet_policy::{Action, Code, Policy};

use crate::plan::{
    Checkpoint, FlagStep, Limits, Plan, Preflight, ROLLBACK_LIMIT, Rollback, RollbackStep, Service, Undo,
};
use crate::rule::{Condition, Rule};

use super::signals::{self, compared};

/// The most items of a list. A slip of a generator lies beyond.
pub(super) const MOST: usize = 1000;

pub(super) fn plan(reader: &mut Reader<'_>, root: &Node, policy: &mut Policy) -> Plan {
    let every = span(reader, root, "every").unwrap_or(Duration::from_mins(1));
    let signals = signals::read(reader, root, &policy.metrics, every);
    if root.get("max_gap").is_none() {
        // A value stands in for the next window, and for no later one.
        policy.settings.max_gap = every.saturating_mul(2);
    }
    let mut rules: Vec<Rule> = policy.rules.iter().cloned().map(Rule::from).collect();
    if let Some(node) = root.get("detectors") {
        for node in reader.list(node, "detectors", MOST, "begin each with - id:") {
            rules.extend(detector(reader, node, policy, &signals));
        }
    }
    let emission = root.get("emission");
    if let Some(node) = emission {
        reader.keys(node, "emission", &["within", "optional"]);
    }
    Plan {
        name: needed_text(reader, root, "plan"),
        environment: needed_text(reader, root, "environment"),
        flag: needed_text(reader, root, "flag"),
        steps: items(reader, root, "steps", step),
        services: if root.get("restart").is_some() { items(reader, root, "restart", service) } else { Vec::new() },
        rules,
        settings: policy.settings,
        every,
        grace: span(reader, root, "grace").unwrap_or(Duration::from_secs(15)),
        preflight: preflight(reader, root),
        emission_within: emission.and_then(|node| span(reader, node, "within")).unwrap_or(Duration::from_mins(5)),
        observation: span(reader, root, "observation").unwrap_or(Duration::from_mins(5)),
        checkpoints: checkpoints(reader, root),
        limits: limits(reader, root),
        rollback: rollback(reader, root, policy),
        sign_off: items(reader, root, "sign_off", |reader, node| reader.text(node, "sign_off")),
        signals,
    }
}

fn needed_text(reader: &mut Reader<'_>, node: &Node, key: &str) -> String {
    let found = reader.needed(node, key, "a plan");
    found.and_then(|node| reader.text(node, key)).unwrap_or_default()
}

pub(super) fn span(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(|node| reader.duration(node, key))
}

/// A list that must be there.
fn items<T>(
    reader: &mut Reader<'_>,
    root: &Node,
    key: &str,
    mut each: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = reader.needed(root, key, "a plan") else { return Vec::new() };
    let all = reader.list(node, key, MOST, "begin each with -");
    all.iter().filter_map(|node| each(reader, node)).collect()
}

fn step(reader: &mut Reader<'_>, node: &Node) -> Option<FlagStep> {
    reader.keys(node, "a step", &["percent", "soak"]);
    let percent = reader.needed(node, "percent", "a step").and_then(|node| whole(reader, node, "percent", 1, 100));
    let soak = span(reader, node, "soak").unwrap_or(Duration::ZERO);
    Some(FlagStep { percent: u8::try_from(percent?).ok()?, soak })
}

fn service(reader: &mut Reader<'_>, node: &Node) -> Option<Service> {
    reader.keys(node, "a restart", &["service", "ready_within"]);
    let name = reader.needed(node, "service", "a restart").and_then(|node| reader.text(node, "service"));
    let ready_within = reader.needed(node, "ready_within", "a restart").map(|_| span(reader, node, "ready_within"));
    Some(Service { name: name?, ready_within: ready_within?? })
}

fn detector(reader: &mut Reader<'_>, node: &Node, policy: &Policy, signals: &[crate::plan::Signal]) -> Option<Rule> {
    reader.keys(node, "a detector", &["id", "metric", "tolerance", "action", "dry_run", "known_from"]);
    let name = reader.needed(node, "id", "a detector").and_then(|node| reader.text(node, "id"));
    let metric = reader.needed(node, "metric", "a detector");
    let metric = metric.and_then(|node| reader.metric(node, "metric", &policy.metrics));
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let action = reader.needed(node, "action", "a detector").and_then(|node| reader.word(node, "action", &actions));
    let dry_run = node.get("dry_run").and_then(|node| reader.truth(node, "dry_run")).unwrap_or(false);
    let known_from = span(reader, node, "known_from").unwrap_or(Duration::ZERO);
    let tolerance = match (node.get("tolerance"), metric) {
        (Some(node), Some(metric)) => {
            compared(reader, node, "tolerance", &policy.metrics, metric, signals.get(metric.0)?.scale)?
        }
        _ => 0.0,
    };
    let condition = Condition::Worse { signal: metric?.0, tolerance };
    Some(Rule { name: name?, action: Some(action?), dry_run, known_from, condition })
}

fn checkpoints(reader: &mut Reader<'_>, root: &Node) -> Vec<Checkpoint> {
    let mut all: Vec<Checkpoint> = items(reader, root, "checkpoints", |reader, node| {
        Some(Checkpoint { after: reader.duration(node, "checkpoints")?, snapshot: false })
    });
    let Some(snapshots) = root.get("snapshots") else { return all };
    for node in reader.list(snapshots, "snapshots", MOST, "write [24h, 48h]") {
        let Some(after) = reader.duration(node, "snapshots") else { continue };
        match all.iter_mut().find(|checkpoint| checkpoint.after == after) {
            Some(checkpoint) => checkpoint.snapshot = true,
            None => {
                let names: Vec<String> = all.iter().map(Checkpoint::name).collect();
                let help = format!("name one of {}", names.join(", "));
                reader.error(Code::Value, node.place, format!("there is no checkpoint at {}", node.describe()), &help);
            }
        }
    }
    all
}

fn preflight(reader: &mut Reader<'_>, root: &Node) -> Preflight {
    let mut it = Preflight::default();
    let Some(node) = root.get("preflight") else { return it };
    let shares: [(&str, &mut f64); 3] =
        [("cpu_below", &mut it.cpu_below), ("memory_below", &mut it.memory_below), ("disk_below", &mut it.disk_below)];
    for (key, value) in shares {
        if let Some(share) = node.get(key).and_then(|node| share(reader, node, key)) {
            *value = share * 100.0;
        }
    }
    let spans: [(&str, &mut Duration); 4] = [
        ("rehearsal_max_age", &mut it.rehearsal_max_age),
        ("baseline_max_age", &mut it.baseline_max_age),
        ("answer_within", &mut it.answer_within),
        ("valid_for", &mut it.valid_for),
    ];
    for (key, value) in spans {
        *value = span(reader, node, key).unwrap_or(*value);
    }
    let least =
        node.get("baseline_min_samples").and_then(|node| whole(reader, node, "baseline_min_samples", 1, u32::MAX));
    it.baseline_min_samples = least.unwrap_or(it.baseline_min_samples);
    let known = [
        "cpu_below",
        "memory_below",
        "disk_below",
        "rehearsal_max_age",
        "baseline_max_age",
        "baseline_min_samples",
        "answer_within",
        "valid_for",
    ];
    reader.keys(node, "preflight", &known);
    it
}

fn limits(reader: &mut Reader<'_>, root: &Node) -> Limits {
    let mut it = Limits::default();
    let Some(node) = root.get("limits") else { return it };
    reader.keys(node, "limits", &["flag_within", "look_within", "attempts", "hold", "source_lost", "pause"]);
    let spans: [(&str, &mut Duration); 5] = [
        ("flag_within", &mut it.flag_within),
        ("look_within", &mut it.look_within),
        ("hold", &mut it.hold),
        ("source_lost", &mut it.source_lost),
        ("pause", &mut it.pause),
    ];
    for (key, value) in spans {
        *value = span(reader, node, key).unwrap_or(*value);
    }
    let attempts = node.get("attempts").and_then(|node| whole(reader, node, "attempts", 1, 10));
    it.attempts = attempts.unwrap_or(it.attempts);
    it
}

fn rollback(reader: &mut Reader<'_>, root: &Node, policy: &Policy) -> Rollback {
    let mut it = Rollback {
        steps: Vec::new(),
        recovered: Vec::new(),
        band: 0.05,
        silent: Vec::new(),
        windows: 2,
        total: ROLLBACK_LIMIT,
    };
    let Some(node) = reader.needed(root, "rollback", "a plan") else { return it };
    reader.keys(node, "rollback", &["steps", "recovered", "band", "silent", "windows", "total"]);
    if let Some(steps) = reader.needed(node, "steps", "rollback") {
        let steps = reader.list(steps, "steps", MOST, "begin with - { flag: \"off\", within: 20s }");
        it.steps = steps.iter().filter_map(|node| undo(reader, node)).collect();
    }
    for (key, named) in [("recovered", &mut it.recovered), ("silent", &mut it.silent)] {
        *named = signals::named(reader, node, key, &policy.metrics);
    }
    it.band = node.get("band").and_then(|node| share(reader, node, "band")).unwrap_or(it.band);
    it.windows = node.get("windows").and_then(|node| whole(reader, node, "windows", 1, 60)).unwrap_or(it.windows);
    it.total = span(reader, node, "total").unwrap_or(it.total);
    it
}

fn undo(reader: &mut Reader<'_>, node: &Node) -> Option<RollbackStep> {
    reader.keys(node, "a step of the rollback", &["flag", "restart", "within"]);
    let within = reader.needed(node, "within", "a step of the rollback").map(|_| span(reader, node, "within"));
    let undo = match (node.get("flag"), node.get("restart")) {
        (Some(flag), None) => reader.word(flag, "flag", &[("off", ())]).map(|()| Undo::FlagOff),
        (None, Some(service)) => reader.text(service, "restart").map(Undo::Restart),
        _ => {
            let help = "write { flag: \"off\", within: 20s } or { restart: NAME, within: 1m }";
            reader.error(Code::Missing, node.place, "a step of the rollback is either flag or restart", help);
            None
        }
    };
    Some(RollbackStep { undo: undo?, within: within?? })
}

/// A whole number within bounds.
pub(super) fn whole(reader: &mut Reader<'_>, node: &Node, key: &str, least: u32, most: u32) -> Option<u32> {
    let number = node.text().and_then(|text| text.parse::<u32>().ok()).filter(|n| (least..=most).contains(n));
    if number.is_none() {
        let what = format!("{key} is a whole number from {least} to {most}, not {}", node.describe());
        reader.error(Code::Value, node.place, what, &format!("write {least}, for example"));
    }
    number
}

/// `5%` as 0.05; above 0 and at most 1.
fn share(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<f64> {
    let number =
        node.text().and_then(|text| text.trim().strip_suffix('%')).and_then(|text| text.trim().parse::<f64>().ok());
    let share = number.map(|number| number / 100.0).filter(|share| *share > 0.0 && *share <= 1.0);
    if share.is_none() {
        let what = format!("{key} is a percentage above 0% and up to 100%, not {}", node.describe());
        reader.error(Code::Value, node.place, what, "write 5%, for example");
    }
    share
}
