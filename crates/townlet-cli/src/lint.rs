//! `townlet lint`: what cannot work in a policy, before it has to.

use std::path::{Path, PathBuf};

use serde::Serialize;
use townlet_policy::suite::Suite;
use townlet_policy::{Finding, Findings, Level, Policy, yaml};
use townlet_rollout::PlanFile;

use crate::args::Lint;
use crate::exit::Exit;
use crate::out::{remark, say};

pub(crate) fn run(args: &Lint) -> anyhow::Result<Exit> {
    let mut exit = Exit::Yes;
    let mut reports = Vec::new();
    for file in &args.files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                remark!("townlet: {}: {error}", file.display());
                exit = worse(exit, Exit::Unavailable);
                continue;
            }
        };
        let found = look(file, &text);
        exit = worse(exit, verdict(&found));
        if args.json {
            reports.push(Report { file: file.display().to_string(), findings: found.iter().map(Told::of).collect() });
        } else if found.is_empty() {
            say!("{}: no findings", file.display())?;
        } else {
            say!("{found}\n\n{}: {}", file.display(), counted(&found))?;
        }
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&reports)?)?;
    }
    Ok(exit)
}

/// Everything that is wrong with a file, whichever kind it is of.
fn look(file: &Path, text: &str) -> Findings {
    let name = file.display().to_string();
    let mut found = Findings::new(&name, text);
    // What cannot be parsed is no test file, and is said by the reader that follows.
    let root = yaml::parse(text, &mut Findings::new(&name, text));
    let has = |key| root.as_ref().is_some_and(|root| root.get(key).is_some());
    if has("tests") {
        if let Some(suite) = Suite::read(text, &mut found)
            && let Some(policy) = beside(file, &suite, &mut found)
        {
            suite.bind(&policy.1, &mut found);
        }
    } else if has("plan") {
        if let Some(file) = PlanFile::read(text, &mut found) {
            file.lint(&mut found);
        }
    } else if let Some(policy) = Policy::read(text, &mut found) {
        townlet_policy::lint(&policy, &mut found);
    }
    found
}

/// The policy that a test file names, or that of the plan that it names, with its path and its text. What is wrong with
/// it is told of that file.
pub(crate) fn beside(file: &Path, suite: &Suite, found: &mut Findings) -> Option<(PathBuf, Policy, String)> {
    let path = file.parent().unwrap_or(Path::new("")).join(suite.policy.trim());
    let refuse = |message: String| {
        Finding::new(townlet_policy::Code::Value, Level::Error, suite.place, message)
            .help("name the file beside this one")
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            found.push(refuse(format!("{}: {error}", path.display())));
            return None;
        }
    };
    let name = path.display().to_string();
    let mut of_policy = Findings::new(&name, &text);
    let is_plan = yaml::parse(&text, &mut Findings::new(&name, &text)).is_some_and(|root| root.get("plan").is_some());
    let policy = if is_plan {
        PlanFile::read(&text, &mut of_policy).map(|file| file.policy)
    } else {
        Policy::read(&text, &mut of_policy)
    };
    if policy.is_none() {
        remark!("{of_policy}");
        found.push(refuse(format!("{} has no rules that can be tested", path.display())));
    }
    Some((path, policy?, text))
}

/// The exit code of what was found.
pub(crate) fn verdict(found: &Findings) -> Exit {
    match found.worst() {
        None | Some(Level::Note) => Exit::Yes,
        Some(Level::Warning) => Exit::No,
        Some(Level::Error) => Exit::Usage,
    }
}

/// The one that a script must hear of.
pub(crate) fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Yes => 0,
        Exit::No => 1,
        Exit::Usage => 2,
        Exit::Unavailable => 3,
        Exit::WaiverRequired => 4,
        Exit::Rejected => 5,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// `1 test`, `2 tests`.
pub(crate) fn number(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

fn counted(found: &Findings) -> String {
    let all = |level| found.iter().filter(|one| one.level == level).count();
    match (all(Level::Error), all(Level::Warning)) {
        (0, warnings) => number(warnings, "warning"),
        (errors, 0) => number(errors, "error"),
        (errors, warnings) => format!("{}, {}", number(errors, "error"), number(warnings, "warning")),
    }
}

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    findings: Vec<Told>,
}

/// A finding as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    code: &'static str,
    level: &'static str,
    line: u32,
    column: u32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Told {
    pub(crate) fn of(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str(),
            level: finding.level.as_str(),
            line: finding.place.line,
            column: finding.place.column,
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}
