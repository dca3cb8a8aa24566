//! What a signal was before the change: the history itself, so that a log holds what was judged by.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use townlet_stats::{Baseline, BaselineError, Check, RareBaseline, Reading, Sample, Scale};

use crate::event::Tick;
use crate::moment::Moment;
use crate::plan::{BaselineSource, Plan, Signal};
use crate::rule::Condition;

/// One history for each signal of the plan, in its order; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct References(pub Vec<Option<Reference>>);

impl References {
    /// The history of a signal.
    #[must_use]
    pub fn of(&self, signal: usize) -> Option<&Reference> {
        self.0.get(signal)?.as_ref()
    }
}

/// The windows of one signal before the change, without gaps in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The end of the first window.
    #[serde(rename = "first_ms")]
    first: Moment,
    /// From one window to the next.
    every_ms: u64,
    /// A value a window; `None` where there was none.
    values: Vec<Option<f64>>,
    /// The same of the control; empty without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    control: Vec<Option<f64>>,
    #[serde(skip)]
    fitted: Fitted,
}

/// A fit takes longer than a thousand windows, and follows from the history alone.
#[derive(Clone, Debug, Default)]
struct Fitted(Arc<OnceLock<(Fit, Made)>>);

type Made = Result<Arc<Baseline>, BaselineError>;

impl PartialEq for Fitted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How a history is read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    scale: Scale,
    control: bool,
}

impl Reference {
    /// A history whose first window ends at `first`.
    #[must_use]
    pub fn new(first: Moment, every: Duration, values: Vec<Option<f64>>, control: Vec<Option<f64>>) -> Self {
        Self { first, every_ms: crate::moment::ms(every), values, control, fitted: Fitted::default() }
    }

    /// The end of its first window.
    #[must_use]
    pub fn first(&self) -> Moment {
        self.first
    }

    /// The end of its last window.
    #[must_use]
    pub fn until(&self) -> Moment {
        let steps = u64::try_from(self.values.len()).unwrap_or(u64::MAX).saturating_sub(1);
        self.first + Duration::from_millis(steps.saturating_mul(self.every_ms))
    }

    /// Windows with a value.
    #[must_use]
    pub fn samples(&self) -> u32 {
        let count = self.values.iter().flatten().filter(|value| value.is_finite()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(crate) fn every_ms(&self) -> u64 {
        self.every_ms
    }

    /// Whether its windows are those of the plan: noise of one length says nothing about another.
    pub(crate) fn fits(&self, plan: &Plan) -> bool {
        self.every_ms == crate::moment::ms(plan.every)
    }

    /// How many windows.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.values.len()).unwrap_or(u64::MAX)
    }

    /// The value and the control of a window, from 0.
    pub(crate) fn window(&self, step: u64) -> (Option<f64>, Option<f64>) {
        let of =
            |values: &[Option<f64>]| usize::try_from(step).ok().and_then(|step| values.get(step).copied().flatten());
        (of(&self.values), of(&self.control))
    }

    /// The windows as samples.
    pub fn windows(&self) -> impl Iterator<Item = Sample> {
        (0_u64..).zip(&self.values).map(|(step, value)| {
            let at_ms = self.first.as_ms().saturating_add(step.saturating_mul(self.every_ms));
            let control = usize::try_from(step).ok().and_then(|step| self.control.get(step).copied().flatten());
            Sample { at_ms, value: *value, control }
        })
    }

    /// What it leads to expect.
    pub(crate) fn fit(&self, scale: Scale, control: bool) -> Made {
        let fit = Fit { scale, control };
        let make = || {
            let reading = Reading { scale, interval_ms: self.every_ms, ..Reading::default() };
            let windows: Vec<Sample> = self.windows().collect();
            let made = if control {
                Baseline::from_control(&windows, reading)
            } else {
                Baseline::from_history(&windows, reading)
            };
            made.map(Arc::new)
        };
        let (known, made) = self.fitted.0.get_or_init(|| (fit, make()));
        // One history serves one signal of one plan; another reading of it is made anew.
        if *known == fit { made.clone() } else { make() }
    }
}

/// What is expected of a signal.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// A level.
    Level(Arc<Baseline>),
    /// So many events.
    Rare(Arc<RareBaseline>),
}

impl Known {
    /// What was assumed, and whether it holds.
    pub(crate) fn checks(&self) -> &[Check] {
        match self {
            Self::Level(baseline) => baseline.checks(),
            Self::Rare(baseline) => baseline.checks(),
        }
    }
}

/// What detectors assume of the baseline of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumed {
    /// The name of the signal.
    pub signal: String,
    /// Each assumption, and whether it holds: none of a baseline that is stated. `Err` says why there is no baseline.
    pub checks: Result<Vec<Check>, String>,
}

impl Plan {
    /// What the detectors of this plan assume of these histories: one entry for each signal that they read. Where
    /// something does not hold a rollout is not begun, and a small shift is never found.
    #[must_use]
    pub fn assumed(&self, references: &References) -> Vec<Assumed> {
        let signals = self.signals.iter().enumerate().filter(|(index, _)| self.is_detected(*index));
        signals
            .map(|(index, signal)| {
                let checks = match baseline(self, signal, references.of(index)) {
                    None => Err("there is no history of windows as long as those of the plan".to_owned()),
                    Some(Err(why)) => Err(why.to_string()),
                    Some(Ok(known)) => Ok(known.checks().to_vec()),
                };
                Assumed { signal: signal.name(), checks }
            })
            .collect()
    }

    /// Whether a detector judges by it, and not on trial.
    pub(crate) fn is_detected(&self, signal: usize) -> bool {
        let by = |condition: &Condition| matches!(condition, Condition::Worse { signal: read, .. } if *read == signal);
        self.rules.iter().any(|rule| !rule.dry_run && by(&rule.condition))
    }
}

/// What is expected of each signal; `None` where nothing is, or nobody knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baselines(Vec<Option<Known>>);

impl Baselines {
    pub(crate) fn new(plan: &Plan, references: &References) -> Self {
        let signals = plan.signals.iter().enumerate();
        Self(signals.map(|(index, signal)| baseline(plan, signal, references.of(index))?.ok()).collect())
    }

    pub(crate) fn of(&self, signal: usize) -> Option<&Known> {
        self.0.get(signal)?.as_ref()
    }

    /// The expected value of every signal in a window.
    pub(crate) fn expected(&self, due: Moment, tick: Option<&Tick>) -> Vec<Option<f64>> {
        let signals = self.0.iter().enumerate();
        let expected = signals.map(|(index, known)| match known.as_ref()? {
            Known::Level(baseline) => baseline.expected(due.as_ms(), tick.and_then(|tick| tick.control(index))),
            Known::Rare(baseline) => Some(baseline.rate()),
        });
        expected.map(|value| value.filter(|value| value.is_finite())).collect()
    }
}

/// The baseline of a signal, by its source; `None` where the plan wants none, or the history is not there.
pub(crate) fn baseline(
    plan: &Plan,
    signal: &Signal,
    reference: Option<&Reference>,
) -> Option<Result<Known, BaselineError>> {
    let interval_ms = crate::moment::ms(plan.every).max(1);
    let reference = reference.filter(|reference| reference.fits(plan));
    match signal.baseline {
        BaselineSource::None => None,
        BaselineSource::Stated(stated) => {
            let reading = Reading { scale: signal.scale, interval_ms, ..Reading::default() };
            Some(Baseline::stated(stated, reading).map(Arc::new).map(Known::Level))
        }
        BaselineSource::History | BaselineSource::Control => {
            let control = signal.baseline == BaselineSource::Control;
            reference.map(|reference| reference.fit(signal.scale, control).map(Known::Level))
        }
        BaselineSource::Rare(Some(seen)) => {
            Some(RareBaseline::stated(seen, interval_ms).map(Arc::new).map(Known::Rare))
        }
        BaselineSource::Rare(None) => {
            let counts: Vec<Sample> = reference?.windows().collect();
            Some(RareBaseline::from_history(&counts, interval_ms).map(Arc::new).map(Known::Rare))
        }
    }
}
