//! A suites file, from YAML.

use std::collections::BTreeSet;

use townlet_policy::yaml::{self, Node, Value};
use townlet_policy::{Code, Findings, GapMode, Policy, Settings, Surroundings};

use super::config::{BenchSource, Config, Kind, Probe, ResultSources, SuiteConfig};
use super::threshold::{Threshold, metrics};
use crate::reading::{Reader, shorten, within};
use crate::results::{Statistic, leads_down};

/// The most suites. A slip of a generator lies beyond.
const MOST_SUITES: usize = 200;

pub(super) fn config(text: &str, found: &mut Findings) -> Option<Config> {
    let root = yaml::parse(text, found)?;
    let mut reader = Reader::new(found);
    let config = file(&mut reader, &root);
    found.sort();
    if found.has_errors() { None } else { Some(config) }
}

fn file(reader: &mut Reader<'_>, root: &Node) -> Config {
    // What stands in `telemetry` is read by townlet-config.
    let known = ["suites", "tools", "pass_env", "require_kinds", "history", "log_bytes", "telemetry"];
    reader.keys(root, "a suites file", &known);
    let shared = reader.passed(root);
    let history_runs = root.get("history").and_then(|node| {
        reader.keys(node, "history", &["runs"]);
        reader.needed(node, "runs", "history").and_then(|node| reader.whole(node, "runs", 1, 10_000))
    });
    let log_bytes = root.get("log_bytes").and_then(|node| reader.whole(node, "log_bytes", 1024, 64 * 1024 * 1024));
    let tools = root.get("tools").map(|node| tools(reader, node)).unwrap_or_default();
    let mut suites: Vec<SuiteConfig> = Vec::new();
    if let Some(node) = reader.needed(root, "suites", "a suites file") {
        if node.items().is_empty() || node.items().len() > MOST_SUITES {
            let what = format!("suites is a list of 1 to {MOST_SUITES} suites, not {}", node.describe());
            reader.error(Code::Value, node.place, what, "a run of nothing would pass; begin each suite with - name:");
        }
        let mut names = BTreeSet::new();
        for node in node.items().iter().take(MOST_SUITES) {
            let Some(suite) = suite(reader, node, &shared) else { continue };
            // Logs are folders, and some disks do not tell capitals apart.
            if !names.insert(suite.name.to_ascii_lowercase()) {
                let place = node.get("name").map_or(node.place, |name| name.place);
                let message = format!("a second suite is called '{}'", suite.name);
                reader.error(Code::Duplicate, place, message, "the name is who it is; the kind may repeat");
            }
            suites.push(suite);
        }
    }
    if let Some(node) = root.get("require_kinds") {
        kinds_are_covered(reader, node, &suites);
    }
    let (history_runs, log_bytes) = (history_runs.unwrap_or(20), log_bytes.unwrap_or(1024 * 1024));
    Config { suites, tools, pass_env: shared, history_runs: history_runs as usize, log_bytes: log_bytes as usize }
}

fn tools(reader: &mut Reader<'_>, node: &Node) -> Vec<Probe> {
    if !matches!(node.value, Value::Map(_)) {
        let what = format!("tools is a mapping of names to commands, not {}", node.describe());
        reader.error(Code::Value, node.place, what, "write rustc: [rustc, --version]");
    }
    let read = node.entries().iter().take(100).map(|entry| {
        let command = reader.command(&entry.node, &entry.key)?;
        Some(Probe { name: entry.key.clone(), command })
    });
    read.collect::<Vec<_>>().into_iter().flatten().collect()
}

fn kinds() -> [(&'static str, Kind); 5] {
    Kind::ALL.map(|kind| (kind.as_str(), kind))
}

fn kinds_are_covered(reader: &mut Reader<'_>, node: &Node, suites: &[SuiteConfig]) {
    if node.items().is_empty() {
        reader.texts(node, "require_kinds", "[unit, integration]");
    }
    for item in node.items() {
        let Some(kind) = reader.word(item, "require_kinds", &kinds()) else { continue };
        if !suites.iter().any(|suite| suite.kind == kind && suite.blocking) {
            let message = format!("no blocking suite is of the kind {kind}, which is required");
            reader.error(Code::Missing, item.place, message, "add one, or require less");
        }
    }
}

fn suite(reader: &mut Reader<'_>, node: &Node, shared: &[String]) -> Option<SuiteConfig> {
    if let Some(old) = node.get("suite") {
        let kind = old.text().unwrap_or("unit");
        let message = "suite was both the name and the kind, and two suites of a kind judged each other";
        reader.error(Code::UnknownKey, old.place, message, &format!("write name: and kind: {}", shorten(kind)));
        return None;
    }
    let known = [
        "name",
        "kind",
        "description",
        "command",
        "directory",
        "env",
        "pass_env",
        "blocking",
        "retries",
        "timeout",
        "results",
        "artifacts",
        "thresholds",
    ];
    reader.keys(node, "a suite", &known);
    let name = reader.needed(node, "name", "a suite").and_then(|node| reader.name(node, "name"));
    let kind = reader.needed(node, "kind", "a suite").and_then(|node| reader.word(node, "kind", &kinds()));
    let command = reader.needed(node, "command", "a suite").and_then(|node| reader.command(node, "command"));
    let description = node.get("description").and_then(|node| reader.text(node, "description"));
    let directory = node.get("directory").and_then(|node| reader.text(node, "directory"));
    let env = node.get("env").map(|node| reader.env(node)).unwrap_or_default();
    let pass_env = reader.also_passed(node, shared, &env);
    let flags = [("true", true), ("false", false)];
    let blocking = node.get("blocking").and_then(|node| reader.word(node, "blocking", &flags)).unwrap_or(true);
    let retries = node.get("retries").and_then(|node| reader.whole(node, "retries", 0, 20)).unwrap_or(0);
    let timeout = node.get("timeout").and_then(|node| reader.duration(node, "timeout"));
    let results = node.get("results").map(|node| results(reader, node)).unwrap_or_default();
    let artifacts = node.get("artifacts").and_then(|node| reader.texts(node, "artifacts", "[target/coverage.json]"));
    let benches: Vec<String> = results.benches.iter().map(|bench| bench.metric.clone()).collect();
    let metrics = metrics(results.junit.is_some(), &benches);
    let mut suite = SuiteConfig {
        name: name?,
        kind: kind?,
        description,
        command: command?,
        directory: directory.unwrap_or_else(|| ".".to_owned()),
        env,
        pass_env,
        blocking,
        retries,
        timeout,
        results,
        artifacts: artifacts.unwrap_or_default(),
        metrics,
        thresholds: Vec::new(),
        objective: None,
    };
    if let Some(node) = node.get("thresholds") {
        thresholds(reader, node, &mut suite);
    }
    Some(suite)
}

fn results(reader: &mut Reader<'_>, node: &Node) -> ResultSources {
    reader.keys(node, "results", &["junit", "criterion"]);
    let junit = node.get("junit").and_then(|node| reader.text(node, "junit"));
    let mut benches = Vec::new();
    if let Some(node) = node.get("criterion") {
        reader.keys(node, "criterion", &["folder", "baseline", "benches"]);
        let folder = reader.needed(node, "folder", "criterion").and_then(|node| reader.text(node, "folder"));
        let baseline = node.get("baseline").and_then(|node| {
            let name = reader.name(node, "baseline")?;
            if OVERWRITTEN.contains(&name.as_str()) {
                let message = format!("Criterion writes '{name}' anew in every run, so a change against it is none");
                let help = "keep one with cargo bench -- --save-baseline main, and write main";
                reader.error(Code::NeverBad, node.place, message, help);
            }
            Some(name)
        });
        if let Some(node) = reader.needed(node, "benches", "criterion") {
            if node.entries().is_empty() {
                let what = format!("benches is a mapping of metrics to benchmarks, not {}", node.describe());
                reader.error(Code::Value, node.place, what, "write benches: { emit: { id: emit/owned } }");
            }
            for entry in node.entries().iter().take(1000) {
                let read = bench(reader, &entry.key, &entry.node, folder.as_deref(), baseline.as_deref());
                let metric = metrics(true, &[]);
                if read.is_some() && !is_metric(&entry.key, &metric) {
                    let message = format!("'{}' cannot name a metric", shorten(&entry.key));
                    let help = "take letters, digits and _, no word of the grammar, and no metric that a suite has";
                    reader.error(Code::Value, entry.place, message, help);
                }
                benches.extend(read);
            }
        }
    }
    ResultSources { junit, benches }
}

/// Folders that Criterion writes anew in every run: a limit measured from them would never fire.
const OVERWRITTEN: [&str; 3] = ["base", "new", "change"];

fn is_metric(name: &str, taken: &[townlet_policy::Metric]) -> bool {
    let probe = metrics(false, &[name.to_owned()]);
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    letters
        && taken.iter().all(|metric| metric.name != name)
        && townlet_policy::expression::parse(&format!("{name} > 0"), &probe, None).is_ok()
}

fn bench(
    reader: &mut Reader<'_>,
    metric: &str,
    node: &Node,
    folder: Option<&str>,
    baseline: Option<&str>,
) -> Option<BenchSource> {
    reader.keys(node, "a benchmark", &["id", "statistic"]);
    let node_id = reader.needed(node, "id", "a benchmark")?;
    let id = reader.text(node_id, "id")?;
    if !leads_down(&id) {
        let message = format!("'{}' is no folder below that of Criterion", shorten(&id));
        reader.error(Code::Value, node_id.place, message, "write it as the folder is called, emit/owned");
        return None;
    }
    let statistics = [("mean", Statistic::Mean), ("median", Statistic::Median), ("slope", Statistic::Slope)];
    let statistic = node.get("statistic").and_then(|node| reader.word(node, "statistic", &statistics));
    let file = |baseline: &str| Some(format!("{}/{id}/{baseline}/estimates.json", folder?.trim_end_matches('/')));
    Some(BenchSource {
        metric: metric.to_owned(),
        path: file("new")?,
        baseline: baseline.and_then(file),
        statistic: statistic.unwrap_or_default(),
    })
}

/// What the keys of the predecessor mean in the grammar.
const SHORT: [(&str, &str); 4] = [
    ("max_duration_seconds", "duration_seconds <="),
    ("max_flake_rate", "flake_rate <="),
    ("min_success_rate", "success_rate >="),
    ("max_error_budget_burn", "error_budget_burn <="),
];

fn thresholds(reader: &mut Reader<'_>, node: &Node, suite: &mut SuiteConfig) {
    let known: Vec<&str> = SHORT.iter().map(|(key, _)| *key).chain(["require"]).collect();
    reader.keys(node, "thresholds", &known);
    let before = reader.found().len();
    for (key, condition) in SHORT {
        let Some(node) = node.get(key) else { continue };
        let Some(limit) =
            node.text().and_then(|text| text.parse::<f64>().ok()).filter(|limit| (0.0..=1e9).contains(limit))
        else {
            reader.error(Code::Value, node.place, format!("{key} is a number from 0 on, not {}", node.describe()), "");
            continue;
        };
        if key == "min_success_rate" {
            suite.objective = Some(limit);
        }
        // The condition is ours, so the columns of its faults are not those of the file.
        threshold(reader, suite, key, &format!("{condition} {limit}"), node, false);
    }
    for node in node.get("require").map(Node::items).unwrap_or_default() {
        let Some(text) = reader.text(node, "require") else { continue };
        threshold(reader, suite, "require", &text, node, true);
    }
    if let Some(node) = node.get("require").filter(|node| node.items().is_empty()) {
        reader.texts(node, "require", "[\"tests >= 100\"]");
    }
    let uses_budget = |threshold: &Threshold| threshold.text.contains("error_budget_burn");
    let budget = suite.objective.is_some_and(|objective| objective < 1.0);
    if !budget && suite.thresholds.iter().any(uses_budget) {
        let message = "an error budget is what min_success_rate leaves, and here it leaves nothing or is not given";
        reader.error(Code::NeverBad, node.place, message, "add min_success_rate below 1");
    }
    if reader.found().len() == before {
        let rules = suite.thresholds.iter().map(|threshold| threshold.rule.clone()).collect();
        let settings = Settings { gap: GapMode::Hold, ..Settings::default() };
        let surroundings = Surroundings::default();
        townlet_policy::lint(&Policy { metrics: suite.metrics.clone(), rules, settings, surroundings }, reader.found());
    }
}

fn threshold(reader: &mut Reader<'_>, suite: &mut SuiteConfig, key: &str, text: &str, node: &Node, verbatim: bool) {
    let attempts = f64::from(suite.retries) + 1.0;
    let longest = suite.timeout.map(|timeout| timeout.as_secs_f64() * attempts);
    let most = |metric: &str| match metric {
        "duration_seconds" => longest,
        "attempts" => Some(attempts),
        _ => None,
    };
    match Threshold::read(key, text, &suite.metrics, node.place, most) {
        Ok(threshold) => {
            let about = |name: &str| {
                let metrics = threshold.rule.condition.metrics();
                metrics.iter().any(|id| suite.metrics.get(id.0).is_some_and(|metric| metric.name == name))
            };
            let signed = threshold.rule.condition.tests().iter().any(|test| is_relative(&test.check));
            let with_baseline =
                suite.results.benches.iter().any(|bench| bench.baseline.is_some() && about(&bench.metric));
            if signed && !with_baseline {
                let message = "a limit with a sign is measured from a baseline, and this metric has none";
                reader.error(
                    Code::Unit,
                    node.place,
                    message,
                    "name the baseline of criterion, or compare with a value",
                );
                return;
            }
            suite.thresholds.push(threshold);
        }
        Err(refused) => {
            let place = if verbatim { within(node, refused.column, refused.width) } else { node.place };
            let message = if verbatim { refused.message } else { format!("{key}: {}", refused.message) };
            reader.error(refused.code, place, message, &refused.help);
        }
    }
}

fn is_relative(check: &townlet_policy::Check) -> bool {
    use townlet_policy::{Basis, Check};
    match check {
        Check::Compare { limit, .. } => limit.basis != Basis::Value,
        Check::In { low, high } => low.basis != Basis::Value || high.basis != Basis::Value,
        _ => false,
    }
}
