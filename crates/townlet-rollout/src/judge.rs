//! Windows in, verdicts out.

use townlet_policy::evaluate::{Evaluator, Reason, State as RuleState, Status};
use townlet_policy::{MetricId, Time};
use townlet_stats::{Detector, Lane, RareDetector, Rules, Sample, State as Found};

use crate::event::Tick;
use crate::moment::{Moment, Span};
use crate::plan::Plan;
use crate::reference::{Baselines, Known};
use crate::rule::{Condition, Rule};
use crate::verdict::Verdict;

/// The rules at work, and what they remember from window to window.
///
/// It has no phase: every rule is judged with every window from the first step of the flag on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    evaluator: Option<Evaluator>,
    watchers: Vec<Watcher>,
    started: Moment,
    /// What the last window had, for the words of a verdict.
    values: Vec<Option<f64>>,
    expected: Vec<Option<f64>>,
}

/// One rule.
#[derive(Clone, Debug)]
enum Watcher {
    /// The evaluator's rule of this number.
    Stated { at: usize, last: Option<Status> },
    /// A detector. One of a signal behind the flag begins with its first sample: before, there is nothing to miss.
    Worse { signal: usize, detector: Watch, begun: bool },
    /// It has no baseline: nobody can say.
    Blind,
}

/// By levels, or by counts.
#[derive(Clone, Debug)]
enum Watch {
    Level(Box<Detector>),
    Rare(Box<RareDetector>),
}

impl Watch {
    fn push(&mut self, sample: &Sample) {
        match self {
            Self::Level(detector) => detector.push(sample),
            Self::Rare(detector) => detector.push(sample),
        };
    }

    fn state(&self) -> Found {
        match self {
            Self::Level(detector) => detector.state(),
            Self::Rare(detector) => detector.state(),
        }
    }
}

impl Judge {
    /// Begins when the flag is first touched.
    pub(crate) fn start(plan: &Plan, baselines: &Baselines, at: Moment) -> Self {
        let mut stated = Vec::new();
        let watchers = plan.rules.iter().map(|rule| match &rule.condition {
            Condition::Stated(rule) => {
                stated.push((**rule).clone());
                Watcher::Stated { at: stated.len() - 1, last: None }
            }
            Condition::Worse { signal, tolerance } => match (plan.signals.get(*signal), baselines.of(*signal)) {
                (Some(known), Some(baseline)) => {
                    let detector = match baseline {
                        Known::Level(baseline) => {
                            let rules = Rules { direction: known.direction, tolerance: *tolerance };
                            Watch::Level(Box::new(Detector::new((**baseline).clone(), rules)))
                        }
                        Known::Rare(baseline) => {
                            Watch::Rare(Box::new(RareDetector::new((**baseline).clone(), *tolerance)))
                        }
                    };
                    Watcher::Worse { signal: *signal, detector, begun: !known.behind_flag }
                }
                _ => Watcher::Blind,
            },
        });
        let watchers = watchers.collect();
        // A rule about a signal that there is not is a problem of the plan; with one, nothing is started.
        let evaluator = Evaluator::new(&stated, plan.signals.len(), time(at), plan.settings).ok();
        Self { evaluator, watchers, started: at, ..Self::default() }
    }

    /// The verdict of every rule about the window that ends at `due`. Without a tick it never came.
    pub(crate) fn window(
        &mut self,
        plan: &Plan,
        due: Moment,
        tick: Option<&Tick>,
        expected: &[Option<f64>],
    ) -> Vec<Verdict> {
        let seen = tick.filter(|tick| !tick.lossy);
        self.values = (0..plan.signals.len()).map(|signal| tick.and_then(|tick| tick.value(signal))).collect();
        self.expected = expected.to_vec();
        let mut statuses = self.statuses(due, seen.is_some());
        let watchers = self.watchers.iter_mut();
        watchers
            .map(|watcher| match watcher {
                Watcher::Stated { at, last } => {
                    *last = statuses.get_mut(*at).and_then(Option::take);
                    last.as_ref().map_or(Verdict::Unknown, of_status)
                }
                Watcher::Worse { signal, detector, begun } => {
                    if let Some(tick) = seen {
                        let (value, control) = (tick.value(*signal), tick.control(*signal));
                        *begun |= value.is_some();
                        if *begun {
                            detector.push(&Sample { at_ms: due.as_ms(), value, control });
                        }
                    }
                    of_detector(detector.state(), *begun && seen.is_some())
                }
                Watcher::Blind => Verdict::Unknown,
            })
            .collect()
    }

    fn statuses(&mut self, due: Moment, seen: bool) -> Vec<Option<Status>> {
        let Some(evaluator) = &mut self.evaluator else { return Vec::new() };
        let at = time(due);
        let mut take = || {
            if !seen {
                evaluator.unwatched(at);
            }
            for (index, (value, expected)) in self.values.iter().zip(&self.expected).enumerate() {
                evaluator.baseline(MetricId(index), *expected)?;
                match value {
                    Some(value) => evaluator.sample(MetricId(index), at, *value, 1)?,
                    // Nobody looked, or what was seen cannot be relied on: no earlier value stands in for this window.
                    None if !seen => evaluator.stale(MetricId(index), at)?,
                    None => {}
                }
            }
            evaluator.evaluate(at)
        };
        // Windows come in their order, so none is refused; if one were, nobody could say.
        take().unwrap_or_default().into_iter().map(Some).collect()
    }

    /// Why a rule says what it says of the last window.
    pub(crate) fn why(&self, plan: &Plan, rule: usize) -> String {
        let (Some(watcher), Some(rule)) = (self.watchers.get(rule), plan.rules.get(rule)) else { return String::new() };
        match watcher {
            Watcher::Stated { last, .. } => self.why_stated(plan, rule, last.as_ref()),
            Watcher::Worse { begun: false, .. } => "no sample yet".into(),
            Watcher::Worse { detector: Watch::Rare(detector), .. } if detector.evidence().is_some() => {
                self.why_rare(detector)
            }
            Watcher::Worse { detector, .. } => self.why_worse(detector.state()),
            Watcher::Blind => "there is no baseline".into(),
        }
    }

    fn why_stated(&self, plan: &Plan, rule: &Rule, status: Option<&Status>) -> String {
        let Some(status) = status else { return String::new() };
        let name = |metric: MetricId| plan.signals.get(metric.0).map_or_else(String::new, |signal| signal.name());
        if !status.why.is_empty() {
            let mut why: Vec<String> =
                status.why.iter().map(|reason| of_reason(*reason, &name(reason.metric()))).collect();
            why.dedup();
            return why.join(", ");
        }
        let of = |signal: usize| {
            let (known, value) = (plan.signals.get(signal)?, self.values.get(signal).copied().flatten()?);
            let expected = self.expected.get(signal).copied().flatten();
            let beside = expected.map_or_else(String::new, |expected| format!(" (expected {})", Short(expected)));
            Some(format!("{} {}{beside}", known.name(), Short(value)))
        };
        rule.signals().into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
    }

    fn why_rare(&self, detector: &RareDetector) -> String {
        let (Some(found), Found::Detected { since_ms, .. }) = (detector.evidence(), detector.state()) else {
            return String::new();
        };
        let (now, before) = (found.seen, detector.baseline().seen());
        let (since, chance) = (Span(Moment::from_ms(since_ms).since(self.started)), found.chance);
        format!(
            "{} in {} windows since T+{since}, {} in {} before: chance {chance:.0e}",
            now.events, now.exposure, before.events, before.exposure
        )
    }

    fn why_worse(&self, state: Found) -> String {
        let after = |ms: u64| format!("T+{}", Span(Moment::from_ms(ms).since(self.started)));
        match state {
            Found::Suspect { since_ms } => format!("suspected since {}", after(since_ms)),
            Found::Detected { since_ms, lane, size, .. } => {
                let lane = match lane {
                    Lane::Sequential => "small shift",
                    Lane::Catastrophe => "catastrophe",
                    Lane::Absence => "absent",
                    Lane::Rare => "more of it",
                };
                let size = size.map_or_else(String::new, |size| format!(" of {:+.3}", size));
                format!("{lane}{size} since {}", after(since_ms))
            }
            Found::Inconclusive { why } => why.to_string(),
            _ => String::new(),
        }
    }
}

/// A number with as many digits as people compare.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.0.abs() >= 1000.0 { 0 } else { 2 };
        write!(f, "{:.digits$}", self.0)
    }
}

fn time(at: Moment) -> Time {
    Time::from_ms(at.as_ms())
}

fn of_status(status: &Status) -> Verdict {
    match status.state {
        RuleState::Inactive => Verdict::Pass,
        RuleState::Pending { .. } => Verdict::Pending,
        RuleState::Firing { .. } => Verdict::Firing,
        RuleState::Unknown { .. } => Verdict::Unknown,
        RuleState::Excused { .. } => Verdict::Excused,
    }
}

fn of_detector(state: Found, told: bool) -> Verdict {
    match state {
        Found::Detected { .. } => Verdict::Firing,
        _ if !told => Verdict::Unknown,
        Found::Quiet => Verdict::Pass,
        Found::Suspect { .. } => Verdict::Pending,
        _ => Verdict::Unknown,
    }
}

fn of_reason(reason: Reason, metric: &str) -> String {
    match reason {
        Reason::NoData(_) => format!("no data of {metric}"),
        Reason::TooFewSamples { have, need, .. } => format!("{have} of {need} samples of {metric}"),
        Reason::NoBaseline(_) => format!("no baseline of {metric}"),
        Reason::NotANumber(_) => format!("{metric} is not a number"),
        Reason::WatchedTooShort(_) => format!("{metric} is watched for too short a time"),
        _ => format!("{metric} cannot be told"),
    }
}
