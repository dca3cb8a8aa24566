//! `townlet test`: does a policy do what its tests expect, and would they notice if it did something else?

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use townlet_policy::mutate::{self, Score};
use townlet_policy::suite::{Bound, Failure, Suite};
use townlet_policy::{Finding, Findings, Policy};

use crate::args::Test;
use crate::exit::Exit;
use crate::lint::{Told, beside, number, verdict, worse};
use crate::out::{remark, say};

pub(crate) fn run(args: &Test) -> anyhow::Result<Exit> {
    let mut exit = Exit::Yes;
    let (mut reports, mut tested): (Vec<Report>, Vec<Tested>) = (Vec::new(), Vec::new());
    for file in &args.files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let mut found = Findings::new(&file.display().to_string(), &text);
        let read = Suite::read(&text, &mut found);
        let policy = read.as_ref().and_then(|suite| beside(file, suite, &mut found));
        let bound = read.zip(policy).and_then(|(suite, policy)| Some((suite.bind(&policy.1, &mut found)?, policy)));
        let Some((bound, (path, policy, rules))) = bound else {
            remark!("{found}");
            exit = worse(exit, verdict(&found));
            reports.push(Report::of(file, None, &found));
            continue;
        };
        let failures = bound.run(&policy);
        exit = worse(exit, if failures.is_empty() { Exit::Yes } else { Exit::No });
        failures.into_iter().map(Failure::into).for_each(|finding: Finding| found.push(finding));
        if !args.json {
            tell(file, &bound, &found)?;
        }
        reports.push(Report::of(file, Some(&bound), &found));
        // Tests of one policy are looked at together.
        match tested.iter_mut().find(|one| one.path == path) {
            Some(one) => one.suites.push(bound),
            None => tested.push(Tested { path, policy, rules, suites: vec![bound] }),
        }
    }
    let mut mutated = Vec::new();
    for one in tested.iter().filter(|_| args.mutate) {
        let Some(score) = mutate::score(&one.policy, &one.suites) else {
            remark!("{}: changes are tried when its tests pass", one.path.display());
            continue;
        };
        let enough = score.killed() * 100.0 >= args.least;
        exit = worse(exit, if enough { Exit::Yes } else { Exit::No });
        if !args.json {
            survived(one, &score)?;
        }
        mutated.push(Mutated::of(one, &score));
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&Whole { tests: reports, mutants: mutated })?)?;
    }
    Ok(exit)
}

/// A policy with all of its tests.
struct Tested {
    path: PathBuf,
    policy: Policy,
    rules: String,
    suites: Vec<Bound>,
}

fn tell(file: &Path, bound: &Bound, found: &Findings) -> anyhow::Result<()> {
    let (tests, times) = (number(bound.tests(), "test"), number(bound.expectations(), "time"));
    let told = format!("{}: {tests} at {times}", file.display());
    if found.is_empty() {
        say!("{told}, all as expected")?;
    } else {
        say!("{found}\n\n{told}, {} not as expected", found.len())?;
    }
    Ok(())
}

fn survived(one: &Tested, score: &Score) -> anyhow::Result<()> {
    let mut found = Findings::new(&one.path.display().to_string(), &one.rules);
    for mutant in &score.survivors {
        found.push(mutant.into());
    }
    if !found.is_empty() {
        say!("{found}\n")?;
    }
    let (all, left) = (score.mutants(), score.survivors.len());
    say!(
        "{}: of {all} changes {} are noticed by its tests, {} by lint, {left} by nobody: {:.1} %",
        one.path.display(),
        score.by_tests,
        score.by_lint,
        score.killed() * 100.0
    )?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct Whole {
    tests: Vec<Report>,
    mutants: Vec<Mutated>,
}

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    tests: usize,
    expectations: usize,
    findings: Vec<Told>,
}

impl Report {
    fn of(file: &Path, bound: Option<&Bound>, found: &Findings) -> Self {
        Self {
            file: file.display().to_string(),
            tests: bound.map_or(0, Bound::tests),
            expectations: bound.map_or(0, Bound::expectations),
            findings: found.iter().map(Told::of).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Mutated {
    policy: String,
    changes: usize,
    by_tests: usize,
    by_lint: usize,
    killed: f64,
    survivors: Vec<Told>,
}

impl Mutated {
    fn of(one: &Tested, score: &Score) -> Self {
        Self {
            policy: one.path.display().to_string(),
            changes: score.mutants(),
            by_tests: score.by_tests,
            by_lint: score.by_lint,
            killed: score.killed(),
            survivors: score.survivors.iter().map(|mutant| Told::of(&Finding::from(mutant))).collect(),
        }
    }
}
