//! Shows a trace to every detector.

use townlet_stats::rival::{self, Course, HourlyJudge, RuleSet};
use townlet_stats::{Baseline, Detector, Reading, Rules, State};

use super::trace::{Change, Kind, Trace};

/// What one detector did on one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which detector.
    pub detector: &'static str,
    /// The first rollback that it asked for, in minutes after the change.
    pub rollback: Option<u64>,
    /// The rule that asked for it.
    pub rule: Option<&'static str>,
    /// Of this product's detector: the share of the samples after which it said that it could not judge.
    pub inconclusive: Option<f64>,
    /// The last reason that it gave for that.
    pub why: Option<String>,
}

/// A trace's label, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Which one of the corpus.
    pub number: usize,
    /// What it is like.
    pub kind: Kind,
    /// What happened to it.
    pub change: Change,
    /// The standard deviation of a sample over its level.
    pub noise: f64,
    /// Minutes after the change of the first two values from the shift on.
    pub shifted: Vec<u64>,
    /// One for each detector.
    pub runs: Vec<Run>,
}

/// 3×, less the error of a number that was computed.
const TRIPLE: f64 = 2.0 - 1e-9;

impl Scored {
    /// Whether a run found 3× within two samples; `None` where the shift is smaller.
    pub fn is_in_time(&self, run: &Run) -> Option<bool> {
        let Change::Worse { by, from } = self.change else { return None };
        let second = self.shifted.get(1).copied().unwrap_or(u64::MAX);
        (by >= TRIPLE).then(|| run.rollback.is_some_and(|minute| (from..=second).contains(&minute)))
    }
}

/// Shows the trace to every detector.
///
/// # Errors
/// Where the history of a trace makes no baseline at all.
pub fn score(trace: &Trace) -> anyhow::Result<Scored> {
    let course = Course { start_ms: trace.start_ms, interval_ms: 60_000, direction: trace.direction };
    let minute = |at_ms: u64| at_ms.saturating_sub(trace.start_ms) / 60_000;
    let reading = Reading::default();
    let with_control = trace.history.iter().any(|sample| sample.control.is_some());
    let baseline = if with_control {
        Baseline::from_control(&trace.history, reading)?
    } else {
        Baseline::from_history(&trace.history, reading)?
    };
    let mut runs = vec![ours(Detector::new(baseline, Rules::new(trace.direction)), trace, minute)];
    let judge: Box<dyn RuleSet> = Box::new(HourlyJudge::new(&trace.history, course));
    for mut rules in std::iter::once(judge).chain(rival::all(&trace.history, course)) {
        let found = rival::first_rollback(rules.as_mut(), &trace.watch);
        runs.push(Run {
            detector: rules.name(),
            rollback: found.map(|firing| minute(firing.at_ms)),
            rule: found.map(|firing| firing.rule),
            inconclusive: None,
            why: None,
        });
    }
    let shifted = match trace.change {
        Change::Worse { from, .. } => {
            let present = trace.watch.iter().filter(|sample| sample.value.is_some());
            present.map(|sample| minute(sample.at_ms)).filter(|minute| *minute >= from).take(2).collect()
        }
        _ => Vec::new(),
    };
    Ok(Scored { number: trace.number, kind: trace.kind, change: trace.change, noise: trace.noise, shifted, runs })
}

fn ours(mut detector: Detector, trace: &Trace, minute: impl Fn(u64) -> u64) -> Run {
    let (mut found, mut unsure, mut seen, mut why) = (None, 0_u32, 0_u32, None);
    for sample in &trace.watch {
        let firing = RuleSet::push(&mut detector, sample);
        seen += 1;
        if let State::Inconclusive { why: check } = detector.state() {
            unsure += 1;
            why = Some(check);
        }
        if firing.is_some() {
            found = firing;
            break;
        }
    }
    Run {
        detector: detector.name(),
        rollback: found.map(|firing| minute(firing.at_ms)),
        rule: found.map(|firing| firing.rule),
        inconclusive: Some(f64::from(unsure) / f64::from(seen.max(1))),
        why: why.map(|check| check.to_string()),
    }
}
