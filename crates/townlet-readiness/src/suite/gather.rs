//! What a suite left beside its attempts: benchmarks, files, and the values that its thresholds look at.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::attempt::Watched;
use super::config::SuiteConfig;
use super::threshold::Given;
use crate::digest::{Digest, FileDigest};
use crate::history::Rates;
use crate::moment::seconds;
use crate::report::{Attempt, Bench, Problem, ProblemCode};
use crate::results::Estimates;

/// What the thresholds of a suite look at, in the order of its metrics.
pub(super) fn given(
    suite: &SuiteConfig,
    total: Duration,
    attempts: &[Attempt],
    benches: &[Bench],
    rates: Rates,
) -> Vec<Given> {
    let tests = attempts.last().and_then(|attempt| attempt.tests.as_ref());
    #[expect(clippy::cast_precision_loss, reason = "numbers of tests and attempts are far below 2^52")]
    let count = |number: Option<u64>| Given { value: number.map(|n| n as f64), weight: 1, baseline: None };
    let rate = |value| Given { value, weight: rates.runs, baseline: None };
    let of = |name: &str| match name {
        "duration_seconds" => Given { value: Some(seconds(total)), weight: 1, baseline: None },
        "attempts" => count(Some(attempts.len() as u64)),
        "success_rate" => rate(rates.success_rate()),
        "flake_rate" => rate(rates.flake_rate()),
        "error_budget_burn" => rate(suite.objective.and_then(|objective| rates.error_budget_burn(objective))),
        "tests" => count(tests.map(|tests| tests.total)),
        "tests_passed" => count(tests.map(|tests| tests.passed)),
        "tests_failed" => count(tests.map(|tests| tests.failed)),
        "tests_skipped" => count(tests.map(|tests| tests.skipped)),
        "tests_flaky" => count(tests.map(|tests| tests.flaky)),
        name => {
            let bench = benches.iter().find(|bench| bench.metric == name);
            bench.map_or_else(Given::default, |bench| Given { value: bench.ns, weight: 1, baseline: bench.baseline_ns })
        }
    };
    suite.metrics.iter().map(|metric| of(&metric.name)).collect()
}

pub(super) fn benches(suite: &SuiteConfig, directory: &Path, marked: &[Watched]) -> (Vec<Bench>, Vec<Problem>) {
    let (mut benches, mut problems) = (Vec::new(), Vec::new());
    for (source, watched) in suite.results.benches.iter().zip(marked) {
        let unreadable = |error: String| watched.problem(ProblemCode::ResultsUnreadable, error);
        let read = watched.read().and_then(|text| {
            let estimates = Estimates::read(&text).map_err(|error| unreadable(error.to_string()))?;
            estimates.of(source.statistic).ok_or_else(|| unreadable("it does not have the statistic".to_owned()))
        });
        // The baseline is of an earlier run, so nothing is asked of its age. Without it limits with a sign are unknown.
        let baseline = source.baseline.as_ref().map(|path| {
            let text = fs::read_to_string(directory.join(path)).map_err(|error| format!("{path}: {error}"))?;
            let estimates = Estimates::read(&text).map_err(|error| format!("{path}: {error}"))?;
            estimates.of(source.statistic).ok_or_else(|| format!("{path}: it does not have the statistic"))
        });
        let mut problem = baseline.as_ref().and_then(|read| read.as_ref().err().cloned());
        let ns = read.map_err(|found| {
            problem = Some(found.message.clone());
            problems.push(found);
        });
        benches.push(Bench {
            metric: source.metric.clone(),
            ns: ns.ok(),
            baseline_ns: baseline.and_then(Result::ok),
            problem,
        });
    }
    (benches, problems)
}

pub(super) fn artifacts(suite: &SuiteConfig, directory: &Path, problems: &mut Vec<Problem>) -> Vec<FileDigest> {
    let mut found = Vec::new();
    for path in &suite.artifacts {
        match Digest::of_file(&directory.join(path)) {
            Ok((sha256, bytes)) => found.push(FileDigest { path: path.clone(), sha256, bytes }),
            Err(error) => {
                let message = format!("{path} should have been made: {error}");
                problems.push(Problem { code: ProblemCode::ArtifactMissing, message });
            }
        }
    }
    found
}
