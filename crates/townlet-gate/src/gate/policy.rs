//! The policies that a gate asks: files of `townlet-policy`, or the short form of the predecessor.

use townlet_policy::yaml::{Node, Value};
use townlet_policy::{
    Action, Check, Code, Condition, Finding, Findings, Form, GapMode, Level, Limit, Metric, MetricId, Op, Policy, Rule,
    Settings, Severity, Surroundings, Unit, Worse, expression,
};

use crate::fields::{Reader, shown, tree};

/// Reads the policies of a gate: a file of `townlet-policy`, or
///
/// ```yaml
/// max_gap: 1h                      # how old a sample may be; 5m unless given
/// policies:
///   readiness_passed: true
///   performance_p95_ms: < 200
///   error_rate: < 0.01
///   open_critical_incidents: 0
///   readiness_waiver_expired: false
/// ```
///
/// where each line is a metric that must fulfil its limit. Units follow from the end of the name (`_ms`, `_seconds`,
/// `_bytes`, `_percent`, `_rate`, `_ratio`; otherwise a count), and the bad direction from the comparison.
///
/// A gate asks at one moment, and what is unknown is no pass. So `gap: prometheus` and `unless no-data` are refused:
/// both let a rule pass of which nothing is known. So are rules that no value can break, and ids that name other
/// conditions of a gate.
///
/// # Errors
/// Every fault with its line.
pub fn read_policy(text: &str, file: &str) -> Result<Policy, Findings> {
    let mut found = Findings::new(file, text);
    let short = tree(text, &mut Findings::new(file, text)).filter(|root| root.get("policies").is_some());
    let policy = match short {
        Some(root) => {
            let policy = Short { reader: Reader { found: &mut found } }.policy(&root);
            // The traps of YAML lie where a tree can be had in spite of them.
            tree(text, &mut found);
            Some(policy)
        }
        None => Policy::read(text, &mut found),
    };
    if let Some(policy) = &policy {
        refuse_open_doors(policy, &mut Reader { found: &mut found });
        refuse_open_doors_by_proof(policy, &mut found);
    }
    found.sort();
    match policy {
        Some(policy) if !found.has_errors() => Ok(policy),
        _ => Err(found),
    }
}

/// Conditions of a gate that are no rule.
pub(super) const RESERVED: [&str; 8] =
    ["manifest", "author", "environment", "window", "artifacts", "rollback_plan", "readiness", "rehearsal"];

fn refuse_open_doors(policy: &Policy, reader: &mut Reader<'_>) {
    if policy.settings.gap == GapMode::Prometheus {
        let place = policy.rules.first().map_or(townlet_policy::Place::TOP, |rule| rule.place);
        let message = "gap: prometheus lets a rule pass of which nothing is known, and a gate does not";
        reader.fault(
            Code::Value,
            townlet_policy::Place { line: 1, ..place },
            message,
            "take it out, or write gap: hold",
        );
    }
    for rule in &policy.rules {
        if rule.timing.unless_no_data {
            let message = format!("'{}' is excused where data are missing, and a gate excuses nobody", shown(&rule.id));
            reader.fault(Code::Value, rule.place, message, "take unless no-data out");
        }
        if RESERVED.contains(&rule.id.as_str())
            || ["approval:", "attestation:"].iter().any(|start| rule.id.starts_with(start))
        {
            let message = format!("'{}' names another condition of the gate", shown(&rule.id));
            reader.fault(Code::Value, rule.place, message, "give the rule another id");
        }
    }
}

/// A rule that nothing can break asks for nothing, and looks as if it did: `error_rate: < 5` where 5 % was meant.
fn refuse_open_doors_by_proof(policy: &Policy, found: &mut Findings) {
    for rule in policy.rules.iter().filter(|rule| rule.form == Form::Accept || rule.acts() >= Some(Action::Hold)) {
        let alone = Policy {
            metrics: policy.metrics.clone(),
            rules: vec![rule.clone()],
            settings: policy.settings,
            surroundings: Surroundings::default(),
        };
        let mut told = Findings::new("", "");
        townlet_policy::lint(&alone, &mut told);
        let never = told.iter().filter(|one| one.code == Code::NeverBad);
        for one in never {
            let help = "look at the limit and at its unit: a ratio is never above 1, 5% is 0.05";
            found.push(Finding::new(Code::NeverBad, Level::Error, rule.place, one.message.clone()).help(help));
        }
    }
}

struct Short<'a> {
    reader: Reader<'a>,
}

impl Short<'_> {
    fn policy(&mut self, root: &Node) -> Policy {
        self.reader.keys(root, "a gate's policies", &["max_gap", "policies"]);
        let mut settings = Settings::default();
        if let Some(gap) = root.get("max_gap").and_then(|node| self.reader.duration(node, "max_gap")) {
            settings.max_gap = gap;
        }
        let (mut metrics, mut rules) = (Vec::new(), Vec::new());
        if let Some(node) = root.get("policies") {
            if !matches!(node.value, Value::Map(_)) || node.entries().is_empty() {
                let message = format!("policies is a mapping of at least one, not {}", node.describe());
                self.reader.fault(Code::Value, node.place, message, "write performance_p95_ms: < 200");
            }
            for entry in node.entries() {
                let metric = Metric { name: entry.key.clone(), unit: unit_of(&entry.key), worse: Worse::Both };
                if let Some((metric, rule)) = self.rule(metric, metrics.len(), &entry.node) {
                    metrics.push(metric);
                    rules.push(rule);
                }
            }
        }
        Policy { metrics, rules, settings, surroundings: Surroundings::default() }
    }

    fn rule(&mut self, mut metric: Metric, at: usize, node: &Node) -> Option<(Metric, Rule)> {
        let limit = self.reader.text(node, &metric.name)?;
        if matches!(limit.as_str(), "true" | "false") {
            metric.unit = Unit::Bool;
        }
        // Positions in the list of metrics are those of the list that they will stand in.
        let mut known = vec![Metric { name: String::new(), unit: Unit::Count, worse: Worse::Both }; at];
        known.push(metric.clone());
        let read = match expression::parse(&limit, &known, Some(MetricId(at))) {
            Ok(read) => read,
            Err(fault) => {
                let place = node.text_place().shifted(fault.column, fault.width);
                let help = fault.help.unwrap_or_default();
                let message = format!("{}: {}", shown(&metric.name), fault.message);
                self.reader.fault(Code::Expression, place, message, &help);
                return None;
            }
        };
        metric.worse = worse(&read.condition);
        let rule = Rule {
            id: metric.name.clone(),
            form: Form::Accept,
            condition: read.condition,
            timing: read.timing,
            severity: Severity::of(None),
            action: None,
            dry_run: false,
            place: node.place,
        };
        Some((metric, rule))
    }
}

fn unit_of(name: &str) -> Unit {
    let ends =
        [("_ms", "ms"), ("_seconds", "s"), ("_bytes", "B"), ("_percent", "%"), ("_rate", "ratio"), ("_ratio", "ratio")];
    ends.iter().find(|(end, _)| name.ends_with(end)).map_or(Unit::Count, |(_, unit)| Unit::parse(unit))
}

fn worse(condition: &Condition) -> Worse {
    match condition {
        Condition::Test(townlet_policy::Test {
            check: Check::Compare { op, limit: Limit { two_sided: false, .. } },
            ..
        }) => match op {
            Op::Lt | Op::Le => Worse::Up,
            Op::Gt | Op::Ge => Worse::Down,
            Op::Eq | Op::Ne => Worse::Both,
        },
        _ => Worse::Both,
    }
}
