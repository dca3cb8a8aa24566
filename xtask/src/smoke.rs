//! `cargo xtask smoke`: the release checklist for telemetry transports, run by a machine.
//!
//! Every check states what it saw. The folder then holds what the checklist asks to archive: the config diff, the
//! report as text and JSON, the transport snapshot, the sample stream, and the log of every run.

mod checks;
mod configs;
mod ground;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use self::ground::Ground;
use crate::townlet::Townlet;

/// A suite that is run before every deployment has to be short.
const BUDGET: Duration = Duration::from_secs(180);

/// How a check ended, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", content = "evidence", rename_all = "snake_case")]
enum Verdict {
    Passed(String),
    Failed(String),
    /// Only on a developer's machine; with `CI=true` it counts as failed.
    Skipped(String),
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    asks: &'static str,
    #[serde(flatten)]
    verdict: Verdict,
    seconds: f64,
}

#[derive(Serialize)]
struct SmokeReport {
    townlet: String,
    checks: Vec<Line>,
    passed: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
}

/// Runs the suite with that binary and writes its artefacts to `out`, which is emptied first.
pub(crate) fn run(root: &Path, townlet: &Path, out: &Path) -> Result<()> {
    let out = if out.is_absolute() { out.to_owned() } else { root.join(out) };
    let started = Instant::now();
    let townlet = Townlet::at(townlet);
    let version = townlet.version()?;
    let mut ground = Ground::new(root, townlet, &out)?;
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");

    let mut lines = Vec::new();
    for (name, asks, check) in checks::ALL {
        let begun = Instant::now();
        let verdict = check(&mut ground).unwrap_or_else(|error| Verdict::Failed(format!("{error:#}")));
        let verdict = strict(verdict, in_ci);
        let line = Line { name, asks, verdict, seconds: begun.elapsed().as_secs_f64() };
        println!("{}", line.text());
        lines.push(line);
    }
    drop(ground);

    let report = SmokeReport::new(version, lines, started.elapsed());
    std::fs::write(out.join("smoke_report.txt"), report.text()).context("cannot write smoke_report.txt")?;
    std::fs::write(out.join("smoke_report.json"), serde_json::to_vec_pretty(&report)?)?;
    print!("{}", report.summary());
    println!("smoke: artefacts in {}", out.display());
    ensure!(report.failed == 0, "{} smoke checks failed", report.failed);
    Ok(())
}

/// A check that could not run proves nothing: where nobody reads the notice, it fails.
fn strict(verdict: Verdict, in_ci: bool) -> Verdict {
    match verdict {
        Verdict::Skipped(why) if in_ci => Verdict::Failed(format!("skipped in CI: {why}")),
        other => other,
    }
}

impl Line {
    fn text(&self) -> String {
        let (word, evidence) = match &self.verdict {
            Verdict::Passed(evidence) => ("ok", evidence),
            Verdict::Failed(evidence) => ("FAILED", evidence),
            Verdict::Skipped(evidence) => ("SKIPPED", evidence),
        };
        format!("{word:<8}{:<28}{evidence} ({:.1} s)", self.name, self.seconds)
    }
}

impl SmokeReport {
    fn new(townlet: String, mut checks: Vec<Line>, took: Duration) -> Self {
        if took > BUDGET {
            let verdict = Verdict::Failed(format!("the suite took {:.0} s", took.as_secs_f64()));
            checks.push(Line { name: "budget", asks: "under 180 s", verdict, seconds: 0.0 });
        }
        let count = |wanted: fn(&Verdict) -> bool| checks.iter().filter(|line| wanted(&line.verdict)).count();
        let passed = count(|verdict| matches!(verdict, Verdict::Passed(_)));
        let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let skipped = count(|verdict| matches!(verdict, Verdict::Skipped(_)));
        Self { townlet, checks, passed, failed, skipped, seconds: took.as_secs_f64() }
    }

    fn summary(&self) -> String {
        let Self { passed, failed, skipped, seconds, .. } = self;
        format!("smoke: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0} s in all\n")
    }

    fn text(&self) -> String {
        let asked = |line: &Line| format!("{}\n        {}\n", line.text(), line.asks);
        let lines: String = self.checks.iter().map(asked).collect();
        format!("Smoke report of {}\n\n{lines}\n{}", self.townlet, self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verdict: Verdict) -> Line {
        Line { name: "stream", asks: "a stream parses", verdict, seconds: 0.5 }
    }

    #[test]
    fn a_skipped_check_is_a_failure_in_ci_only() {
        let skipped = Verdict::Skipped("no openssl".into());
        assert_eq!(strict(skipped.clone(), false), skipped);
        assert_eq!(strict(skipped, true), Verdict::Failed("skipped in CI: no openssl".into()));
        let passed = Verdict::Passed("3 lines".into());
        assert_eq!(strict(passed.clone(), true), passed);
    }

    #[test]
    fn one_miss_and_one_late_run_are_both_failures() {
        let checks = vec![line(Verdict::Passed("120 records".into())), line(Verdict::Failed("residual 1".into()))];
        let report = SmokeReport::new("townlet 0.1.0".into(), checks, Duration::from_secs(3));
        assert_eq!((report.passed, report.failed, report.skipped), (1, 1, 0));
        assert!(
            report.text().contains("FAILED  stream                      residual 1 (0.5 s)\n        a stream parses")
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["checks"][1]["verdict"], "failed");
        assert_eq!(json["checks"][1]["evidence"], "residual 1");
        let late = SmokeReport::new("townlet 0.1.0".into(), vec![], Duration::from_secs(181));
        assert_eq!(late.failed, 1);
    }
}
