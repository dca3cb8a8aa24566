//! The rules of the step-2 deployment checklist.

use super::{Action, Course, Firing, RuleSet, mean, value};
use crate::sample::Sample;

const MINUTE_MS: u64 = 60_000;
/// The baseline is taken from ten to fifteen minutes after the change: the checklist's T+10 and T+15.
const BASELINE_MS: std::ops::Range<u64> = 10 * MINUTE_MS..15 * MINUTE_MS;

struct Rule {
    name: &'static str,
    beyond: f64,
    for_ms: u64,
    action: Action,
}

/// In the order of what they ask for, the least first. The last can never be the first to ask for a rollback.
const RULES: [Rule; 3] = [
    Rule { name: "variance over 4 % for 30 min", beyond: 0.04, for_ms: 30 * MINUTE_MS, action: Action::Warn },
    Rule { name: "variance over 6 % for 10 min", beyond: 0.06, for_ms: 10 * MINUTE_MS, action: Action::Rollback },
    Rule { name: "variance over 7 % for 2 h", beyond: 0.07, for_ms: 120 * MINUTE_MS, action: Action::Rollback },
];

/// "Variance" beyond ±4 % for 30 minutes warns, beyond ±6 % for 10 minutes or ±7 % for 2 hours rolls back.
///
/// No document says what the variance is; here it is the value over the baseline, less 1. It has no direction: 10 %
/// faster rolls back as well. A sample without a value ends what was pending, as it would in Prometheus. The rules for
/// the failure rate are thresholds of another metric and not here.
#[derive(Clone, Debug)]
pub struct Checklist {
    name: &'static str,
    baseline: Reference,
    since: [Option<u64>; RULES.len()],
    firing: [bool; RULES.len()],
}

#[derive(Clone, Debug)]
enum Reference {
    Known(Option<f64>),
    FirstMinutes { start_ms: u64, seen: Vec<f64> },
}

impl Checklist {
    /// As written: the baseline is five minutes of what the change has already touched.
    pub fn with_first_minutes(course: Course) -> Self {
        let baseline = Reference::FirstMinutes { start_ms: course.start_ms, seen: Vec::new() };
        Self::new("checklist, 5-min baseline", baseline)
    }

    /// Repaired as far as possible: against a level from before the change. Without one it never fires.
    pub fn with_level(level: Option<f64>) -> Self {
        Self::new("checklist, 24-h baseline", Reference::Known(level))
    }

    fn new(name: &'static str, baseline: Reference) -> Self {
        Self { name, baseline, since: Default::default(), firing: Default::default() }
    }

    /// The baseline, once it is known.
    fn baseline(&mut self, sample: &Sample) -> Option<f64> {
        let Reference::FirstMinutes { start_ms, seen } = &mut self.baseline else {
            let Reference::Known(level) = self.baseline else { return None };
            return level;
        };
        let since = sample.at_ms.saturating_sub(*start_ms);
        if BASELINE_MS.contains(&since) {
            seen.extend(value(sample));
        }
        if since < BASELINE_MS.end {
            return None;
        }
        let level = mean(seen.iter().copied());
        self.baseline = Reference::Known(level);
        level
    }
}

impl RuleSet for Checklist {
    fn name(&self) -> &'static str {
        self.name
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        let level = self.baseline(sample).filter(|level| *level != 0.0)?;
        let variance = value(sample).map(|value| value / level - 1.0);
        let mut began = None;
        for ((rule, since), firing) in RULES.iter().zip(&mut self.since).zip(&mut self.firing) {
            if !variance.is_some_and(|variance| variance.abs() > rule.beyond) {
                (*since, *firing) = (None, false);
                continue;
            }
            let since = *since.get_or_insert(sample.at_ms);
            let fires = sample.at_ms.saturating_sub(since) >= rule.for_ms;
            if fires && !*firing {
                began = Some(Firing { at_ms: sample.at_ms, rule: rule.name, action: rule.action, size: variance });
            }
            *firing = fires;
        }
        began
    }
}
