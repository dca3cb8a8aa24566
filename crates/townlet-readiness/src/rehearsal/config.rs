//! What a rehearsal file says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use townlet_policy::yaml::{self, Node};
use townlet_policy::{Code, Findings, Span};

use super::record::Role;
use crate::reading::Reader;

/// The most steps, and the most checks.
const MOST_STEPS: usize = 100;

/// A rollback as commands.
///
/// ```yaml
/// name: rollback
/// environment: staging
/// deadline: 5m                  # of everything; after it nothing more is started
/// pass_env: [PATH, HOME]        # PATH and HOME unless given
/// log_bytes: 1048576            # kept of each output; 1 MiB unless given
/// steps:                        # in this order; the first that fails ends the rehearsal
///   - name: flag-off
///     command: [./flag, set, telemetry, "off"]
///     directory: .              # seen from the folder of this file
///     env: { FLAG_FILE: flags.json }
///     pass_env: [TOKEN]
///     deadline: 30s
/// checks:                       # then these: what must be true after a rollback, read from elsewhere
///   - { name: no-new-samples, command: [./check, absent], deadline: 2m }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is rehearsed.
    pub name: String,
    /// Where.
    pub environment: String,
    /// Of everything together.
    pub deadline: Duration,
    /// The most bytes to keep of each output.
    pub log_bytes: usize,
    /// The steps, and behind them the checks; at least one of each.
    pub steps: Vec<StepConfig>,
}

/// A step or a check.
#[derive(Clone, Debug, PartialEq)]
pub struct StepConfig {
    /// Unique in the file, and a folder name.
    pub name: String,
    /// Whether it acts or looks.
    pub role: Role,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Its working directory, seen from the folder of the file.
    pub directory: String,
    /// Variables that the file sets.
    pub env: BTreeMap<String, String>,
    /// Variables of the caller that it sees. Nothing else is passed on.
    pub pass_env: Vec<String>,
    /// After this long it is killed, with everything that it started.
    pub deadline: Duration,
}

impl Config {
    /// Reads a rehearsal file. Every fault that can be found without guessing is, each with its place; `None` if any is
    /// an error.
    #[must_use]
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        let root = yaml::parse(text, found)?;
        let config = file(&mut Reader::new(found), &root);
        found.sort();
        if found.has_errors() { None } else { config }
    }
}

fn file(reader: &mut Reader<'_>, root: &Node) -> Option<Config> {
    let what = "a rehearsal";
    // What stands in `telemetry` is read by townlet-config.
    let known = ["name", "environment", "deadline", "pass_env", "log_bytes", "steps", "checks", "telemetry"];
    reader.keys(root, what, &known);
    let name = reader.needed(root, "name", what).and_then(|node| reader.name(node, "name"));
    let environment = reader.needed(root, "environment", what).and_then(|node| reader.name(node, "environment"));
    let deadline = reader.needed(root, "deadline", what).and_then(|node| reader.duration(node, "deadline"));
    let shared = reader.passed(root);
    let log_bytes = root.get("log_bytes").and_then(|node| reader.whole(node, "log_bytes", 1024, 64 * 1024 * 1024));
    let (mut steps, mut names) = (Vec::new(), BTreeSet::new());
    for (key, role) in [("steps", Role::Step), ("checks", Role::Check)] {
        let Some(node) = reader.needed(root, key, what) else { continue };
        if node.items().is_empty() || node.items().len() > MOST_STEPS {
            let message = format!("{key} is a list of 1 to {MOST_STEPS}, not {}", node.describe());
            let help = "a rollback that does nothing, or that nobody checks, shows nothing";
            reader.error(Code::Value, node.place, message, help);
        }
        for node in node.items().iter().take(MOST_STEPS) {
            let Some(step) = step(reader, node, role, &shared) else { continue };
            // Logs are files, and some disks do not tell capitals apart.
            if !names.insert(step.name.to_ascii_lowercase()) {
                let message = format!("a second step is called '{}'", step.name);
                reader.error(Code::Duplicate, node.place, message, "rename one");
            }
            if let Some(deadline) = deadline.filter(|deadline| step.deadline > *deadline) {
                let message = format!("{} may take {}", step.name, Span(step.deadline));
                let help = format!("all of it must be over after {}", Span(deadline));
                reader.error(Code::NeverBad, node.get("deadline").map_or(node.place, |at| at.place), message, &help);
            }
            steps.push(step);
        }
    }
    let log_bytes = log_bytes.unwrap_or(1024 * 1024) as usize;
    Some(Config { name: name?, environment: environment?, deadline: deadline?, log_bytes, steps })
}

fn step(reader: &mut Reader<'_>, node: &Node, role: Role, shared: &[String]) -> Option<StepConfig> {
    let what = role.as_str();
    reader.keys(node, what, &["name", "command", "directory", "env", "pass_env", "deadline"]);
    let name = reader.needed(node, "name", what).and_then(|node| reader.name(node, "name"));
    let command = reader.needed(node, "command", what).and_then(|node| reader.command(node, "command"));
    let directory = node.get("directory").and_then(|node| reader.text(node, "directory"));
    let env = node.get("env").map(|node| reader.env(node)).unwrap_or_default();
    let pass_env = reader.also_passed(node, shared, &env);
    let deadline = reader.needed(node, "deadline", what).and_then(|node| reader.duration(node, "deadline"));
    Some(StepConfig {
        name: name?,
        role,
        command: command?,
        directory: directory.unwrap_or_else(|| ".".to_owned()),
        env,
        pass_env,
        deadline: deadline?,
    })
}
