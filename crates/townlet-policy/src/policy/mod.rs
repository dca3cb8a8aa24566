//! A policy file: metrics with units and directions, and the rules about them.

mod change;
mod rules;

use crate::evaluate::{GapMode, Settings};
use crate::finding::Findings;
use crate::metric::Metric;
use crate::reader::Reader;
use crate::rule::Rule;
use crate::surroundings::Surroundings;
use crate::yaml::{self, Node};

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
///
/// A section `change` tells [`lint`](crate::lint()) what the rules watch. All of it may be left out.
/// ```yaml
/// change:
///   steps:                       # what turns the change on; times count from the start, T-0
///     - { name: flag on, at: 2m }
///     - { name: restart parser, at: 4m }
///   baselines:                   # what +10% is measured from; metrics: [...] narrows it
///     - { from: "-24h", until: 0s }
///   measured: [parse_p95_ms]     # metrics that somebody measures
///   switched: [parse_p95_ms]     # metrics that exist only while the change is on
///   every: 1m                    # how often a sample comes
///   watched: 48h                 # how long the rules are watched
///   rollback:
///     total: 5m
///     steps:
///       - { name: flag off, undoes: flag on, within: 30s, checked: true }
///     verified: ["cicd_success >= 97%", "parse_p95_ms absent for 5m"]
///   stated:                      # what decides as well, and stands elsewhere
///     - { by: "manifest: rollback_plan.trigger", says: "parse_p95_ms > 400ms" }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What rules may be about, in the order of the file.
    pub metrics: Vec<Metric>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// How to evaluate them.
    pub settings: Settings,
    /// What they watch. Nothing but lint looks at it.
    pub surroundings: Surroundings,
}

impl Policy {
    /// The keys of a policy.
    pub const KEYS: [&'static str; 5] = ["gap", "max_gap", "metrics", "rules", "change"];

    /// Reads a policy. Every fault that can be found without guessing is, each with its place; `None` if any is an
    /// error. Keys that are not known are errors.
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        let root = yaml::parse(text, found)?;
        let mut reader = Reader::new(found);
        reader.keys(&root, "a policy", &Self::KEYS);
        let policy = sections(&mut reader, &root);
        let broken = reader.broken;
        found.sort();
        // What YAML found counts too: it goes on after a key that is given twice.
        (!broken && !found.has_errors()).then_some(policy)
    }

    /// Reads a policy from a mapping with more keys, such as a plan. Of all but [`Policy::KEYS`] nothing is said.
    /// `None` if there are errors, which then are in `found`.
    pub fn read_sections(root: &Node, found: &mut Findings) -> Option<Self> {
        let mut reader = Reader::new(found);
        let policy = sections(&mut reader, root);
        (!reader.broken).then_some(policy)
    }
}

/// The most metrics, and the most rules. A slip of a generator lies beyond.
const MOST: usize = 1000;

fn sections(reader: &mut Reader<'_>, root: &Node) -> Policy {
    let gaps = [("hold", GapMode::Hold), ("prometheus", GapMode::Prometheus)];
    let gap = root.get("gap").and_then(|node| reader.word(node, "gap", &gaps));
    let max_gap = root.get("max_gap").and_then(|node| reader.duration(node, "max_gap"));
    let settings = Settings::default();
    let settings = Settings { gap: gap.unwrap_or(settings.gap), max_gap: max_gap.unwrap_or(settings.max_gap) };
    let metrics = reader.needed(root, "metrics", "a policy").map(|node| rules::metrics(reader, node));
    let metrics = metrics.unwrap_or_default();
    let rules = reader.needed(root, "rules", "a policy").map(|node| rules::rules(reader, node, &metrics));
    let surroundings = root.get("change").map(|node| change::change(reader, node, &metrics));
    Policy { metrics, rules: rules.unwrap_or_default(), settings, surroundings: surroundings.unwrap_or_default() }
}
