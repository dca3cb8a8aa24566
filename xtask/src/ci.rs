//! `cargo xtask ci`: the steps that a change must pass, each timed.
//!
//! The order is by cost: what fails in seconds comes first. A failed step does not stop the others, so one run names
//! every fault. The tests, the schema example and the smoke binary come from one build (see [`Build::Tests`]).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::artifacts::{Artifacts, Build};
use crate::tidy::model::{Member, Workspace};
use crate::{corpus, fuzz, process, prove, release, samples, schema, smoke, success, tidy};

/// Above this the run fails: a suite that people stop waiting for is a suite that people stop running.
const BUDGET: Duration = Duration::from_secs(45 * 60);

/// With `CI=true` all is compiled from nothing, on a machine that others slow down. What it is measured by is the time
/// without that; this bound is for what hangs, below the 90 minutes after which CI ends the run without a summary.
const COLD_BUDGET: Duration = Duration::from_secs(75 * 60);

/// For each fuzz target, after its seeds; `cargo xtask fuzz` takes longer.
const FUZZ_SECONDS: u64 = 5;

struct Step {
    name: &'static str,
    took: Duration,
    fault: Option<String>,
}

#[derive(Default)]
struct Record(Vec<Step>);

impl Record {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        eprintln!("\n=== {name}");
        let started = Instant::now();
        let fault = work().err().map(|error| format!("{error:#}"));
        if let Some(fault) = &fault {
            eprintln!("=== {name}: FAILED: {fault}");
        }
        self.0.push(Step { name, took: started.elapsed(), fault });
    }

    /// The steps as tests, in the form that test runners agree on.
    fn junit(&self) -> String {
        let failures = self.0.iter().filter(|step| step.fault.is_some()).count();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        text.push_str(&format!("<testsuite name=\"ci\" tests=\"{}\" failures=\"{failures}\">\n", self.0.len()));
        for step in &self.0 {
            let (name, seconds) = (attribute(step.name), step.took.as_secs_f64());
            text.push_str(&format!("<testcase classname=\"ci\" name=\"{name}\" time=\"{seconds:.3}\""));
            match &step.fault {
                None => text.push_str("/>\n"),
                Some(fault) => text.push_str(&format!("><failure message=\"{}\"/></testcase>\n", attribute(fault))),
            }
        }
        text + "</testsuite>\n</testsuites>\n"
    }

    /// The table of steps, then the line that says how it ended.
    fn summary(&self, budget: Duration) -> (String, bool) {
        let mut text = String::from("\nseconds  step\n");
        for step in &self.0 {
            let verdict = step.fault.as_ref().map_or(String::new(), |fault| format!("  FAILED: {fault}"));
            text.push_str(&format!("{:>7.1}  {}{verdict}\n", step.took.as_secs_f64(), step.name));
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        let late = total > budget;
        if late {
            text.push_str(&format!("over budget: {} s is the limit\n", budget.as_secs()));
        }
        let failed = self.0.iter().filter(|step| step.fault.is_some()).count() + usize::from(late);
        let passed = self.0.iter().filter(|step| step.fault.is_none()).count();
        text.push_str(&format!("ci: {passed} passed, {failed} failed, {:.0} s in all\n", total.as_secs_f64()));
        (text, failed == 0)
    }
}

/// Runs every step and prints the seconds of each.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut record = Record::default();
    let cargo = |words: &[&str]| process::run(process::cargo(root).args(words));
    let mut artifacts = None;

    release::forget(root)?;
    record.step("format", || {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    });
    record.step("tidy", || tidy::run(root));
    record.step("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    record.step("each crate alone", || each_crate_alone(root));
    record.step("build of the tests", || {
        artifacts = Some(Artifacts::build(root, Build::Tests)?);
        Ok(())
    });
    record.step("tests", || match process::cargo(root).args(["nextest", "--version"]).output() {
        Ok(answer) if answer.status.success() => cargo(&["nextest", "run", "--workspace"]),
        _ => cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--examples"]),
    });
    record.step("doc tests", || cargo(&["test", "--workspace", "--doc"]));
    record.step("documentation", || {
        process::run(process::cargo(root).env("RUSTDOCFLAGS", "-D warnings").args([
            "doc",
            "--workspace",
            "--no-deps",
            "--locked",
        ]))
    });
    let built = || artifacts.as_ref().context("not run: the build of the tests failed");
    record.step("schema", || schema::run(root, built()?, false));
    record.step("samples", || samples::check(root, built()?.townlet()?));
    record.step("smoke", || smoke::run(root, built()?.townlet()?, Path::new("smoke-out")));

    record.step("corpus", || corpus::check(root, built()?.corpus()?));
    record.step("promises", || prove::check(root, built()?.prove()?));

    record.step("planted mistakes", || {
        cargo(&["test", "-p", "townlet-lab", "--features", "planted", "--test", "it", "every_planted_mistake"])
    });
    record.step("fuzz", || fuzz::run(root, fuzz::Fuzz::all(FUZZ_SECONDS)));
    // The last, because it judges all that came before.
    let steps = record.junit();
    record.step("release", || release::run(root, built()?.townlet()?, &steps));

    let cold = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let (summary, green) = record.summary(if cold { COLD_BUDGET } else { BUDGET });
    print!("{summary}");
    success::keep(root, green, record.0.iter().map(|step| step.took).sum());
    ensure!(green, "not every step passed");
    Ok(())
}

/// A text as the value of an XML attribute. What no XML can hold becomes a blank.
fn attribute(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    });
    escaped.collect()
}

/// A workspace build unifies features and so hides what one crate forgot to ask for; a user adds one crate.
fn each_crate_alone(root: &Path) -> Result<()> {
    let mut faults = Vec::new();
    for member in Workspace::load(root)?.members.iter().filter(|member| !member.is_xtask()) {
        for features in feature_sets(member) {
            let mut command = process::cargo(root);
            command.args(["check", "--quiet", "--package", &member.name, "--no-default-features"]);
            if let Some(feature) = &features {
                command.args(["--features", feature]);
            }
            if process::run(&mut command).is_err() {
                faults.push(format!("{} with {}", member.name, features.as_deref().unwrap_or("no features")));
            }
        }
    }
    if !faults.is_empty() {
        bail!("does not build alone: {}", faults.join(", "));
    }
    Ok(())
}

/// No feature, then each feature by itself.
fn feature_sets(member: &Member) -> Vec<Option<String>> {
    let each = member.features.iter().filter(|name| *name != "default").cloned().map(Some);
    std::iter::once(None).chain(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(faults: &[Option<&str>]) -> Record {
        let step =
            |fault: &Option<&str>| Step { name: "step", took: Duration::from_secs(2), fault: fault.map(str::to_owned) };
        Record(faults.iter().map(step).collect())
    }

    #[test]
    fn one_failed_step_fails_the_run_and_is_named() {
        let (text, green) = record(&[None, Some("two findings"), None]).summary(BUDGET);
        assert!(!green);
        assert!(text.contains("2.0  step  FAILED: two findings"), "{text}");
        assert!(text.ends_with("ci: 2 passed, 1 failed, 6 s in all\n"), "{text}");
    }

    #[test]
    fn a_slow_run_fails_though_every_step_passed() {
        let (text, green) = record(&[None, None]).summary(Duration::from_secs(3));
        assert!(!green);
        assert!(text.contains("over budget: 3 s"), "{text}");
        assert!(record(&[None, None]).summary(Duration::from_secs(4)).1);
    }

    #[test]
    fn the_steps_are_tests_whatever_a_fault_says() {
        let text = record(&[None, Some("1 < 2 & \"3\"\nand more")]).junit();
        assert!(text.contains("<testsuite name=\"ci\" tests=\"2\" failures=\"1\">"), "{text}");
        assert!(text.contains("name=\"step\" time=\"2.000\"/>\n"), "{text}");
        assert!(text.contains("<failure message=\"1 &lt; 2 &amp; &quot;3&quot; and more\"/></testcase>"), "{text}");
    }

    #[test]
    fn a_crate_is_checked_bare_and_with_each_feature() {
        let mut member = Member::named("townlet-x", Some(1));
        member.features = vec!["default".into(), "fast".into()];
        assert_eq!(feature_sets(&member), [None, Some("fast".to_owned())]);
    }
}
