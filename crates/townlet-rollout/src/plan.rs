//! The plan of a rollout, typed.

use std::time::Duration;

use townlet_policy::evaluate::Settings;
use townlet_stats::{Count, Direction, Scale, Stated};

use crate::moment::Span;
use crate::rule::Rule;

/// A rollout that fits in here can be run; [`Plan::problems`] says whether it makes sense.
///
/// Times are offsets: no plan knows a date.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Names the plan.
    pub name: String,
    /// Where it runs, as in `deployment.environment.name`.
    pub environment: String,
    /// The flag that turns the change on.
    pub flag: String,
    /// How the flag is raised. The last step is 100 % as a rule.
    pub steps: Vec<FlagStep>,
    /// What restarts after the first step, in order, so that it takes the flag.
    pub services: Vec<Service>,
    /// What is measured, one value for each window.
    pub signals: Vec<Signal>,
    /// What must hold.
    pub rules: Vec<Rule>,
    /// What a gap in the data means to the rules.
    pub settings: Settings,
    /// The length of a window.
    pub every: Duration,
    /// How much later than its end a window may come before that is remarked.
    pub grace: Duration,
    /// What must be true before.
    pub preflight: Preflight,
    /// How long the metrics may take to show up after the restarts; a window at least.
    pub emission_within: Duration,
    /// The length of the first look, and of what a snapshot sums up.
    pub observation: Duration,
    /// When to look, counted from full exposure, in order.
    pub checkpoints: Vec<Checkpoint>,
    /// What ends waiting.
    pub limits: Limits,
    /// How it is undone.
    pub rollback: Rollback,
    /// The roles that must sign, each another person.
    pub sign_off: Vec<String>,
}

/// One raise of the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagStep {
    /// The share of the traffic, 1 to 100.
    pub percent: u8,
    /// How long the rules must hold before the next step.
    pub soak: Duration,
}

/// A service that takes the flag when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How long all of its instances may take to be ready.
    pub ready_within: Duration,
}

/// Where it is known from what a signal was before the change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BaselineSource {
    /// It is not: nothing may be compared with it.
    None,
    /// From the same minutes of earlier days, which the preflight brings.
    History,
    /// From a control beside it, and from the history of both.
    Control,
    /// From this plan. It has no time of day.
    Stated(Stated),
    /// It counts something rare, and is compared by counts ([`townlet_stats::RareDetector`]): with those of all of its
    /// history, or with what this plan says that was counted, the exposure in windows. It has no level that a limit
    /// could be measured from.
    Rare(Option<Count>),
}

/// One statistic of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The metric.
    pub metric: String,
    /// Of which the samples are this: `p95`, `mean`, `value`, `delta`.
    pub statistic: String,
    /// The unit, for people.
    pub unit: String,
    /// Which way is worse.
    pub direction: Direction,
    /// The flag switches the signal on and off, so that it can tell nothing about recovery.
    pub behind_flag: bool,
    /// It must show up in the emission check.
    pub required: bool,
    /// Its baseline.
    pub baseline: BaselineSource,
    /// How it is compared with that.
    pub scale: Scale,
}

impl Plan {
    /// How long it takes from the first step of the flag to the last checkpoint, if all goes well and nothing is slow.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let soaks = self.steps.iter().map(|step| step.soak).fold(Duration::ZERO, Duration::saturating_add);
        let last = self.checkpoints.last().map_or(Duration::ZERO, |checkpoint| checkpoint.after);
        let ready =
            self.services.iter().map(|service| service.ready_within).fold(Duration::ZERO, Duration::saturating_add);
        [soaks, self.observation, ready].into_iter().fold(last, Duration::saturating_add)
    }
}

impl Signal {
    /// Whether anything can be compared with what it was.
    #[must_use]
    pub fn has_baseline(&self) -> bool {
        self.baseline != BaselineSource::None
    }

    /// Whether there is a level that limits can be measured from, and that it can return to.
    #[must_use]
    pub fn has_level(&self) -> bool {
        matches!(self.baseline, BaselineSource::History | BaselineSource::Control | BaselineSource::Stated(_))
    }

    /// Whether the preflight has to bring its history.
    #[must_use]
    pub fn needs_history(&self) -> bool {
        matches!(self.baseline, BaselineSource::History | BaselineSource::Control | BaselineSource::Rare(None))
    }

    /// Whether this plan says what it was.
    pub(crate) fn is_stated(&self) -> bool {
        matches!(self.baseline, BaselineSource::Stated(_) | BaselineSource::Rare(Some(_)))
    }

    /// Its name in rules: `parse_duration_ms.p95`, or the metric alone where the statistic is `value`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.statistic == "value" { self.metric.clone() } else { format!("{}.{}", self.metric, self.statistic) }
    }
}

/// Limits of the preflight. The defaults are those of the step 2 checklist.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preflight {
    /// CPU in use must be below, in percent.
    pub cpu_below: f64,
    /// Memory in use must be below, in percent.
    pub memory_below: f64,
    /// Disk in use must be below, in percent.
    pub disk_below: f64,
    /// How old the last rehearsal may be.
    pub rehearsal_max_age: Duration,
    /// How long before now the baseline may end.
    pub baseline_max_age: Duration,
    /// How many samples each signal's baseline needs.
    pub baseline_min_samples: u32,
    /// How long a check may take.
    pub answer_within: Duration,
    /// How long the answers hold: a start after that needs another preflight.
    pub valid_for: Duration,
}

impl Default for Preflight {
    fn default() -> Self {
        Self {
            cpu_below: 70.0,
            memory_below: 75.0,
            disk_below: 80.0,
            rehearsal_max_age: Duration::from_hours(30 * 24),
            baseline_max_age: Duration::from_hours(1),
            baseline_min_samples: 1_440,
            answer_within: Duration::from_mins(1),
            valid_for: Duration::from_mins(30),
        }
    }
}

/// A moment to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// After full exposure.
    pub after: Duration,
    /// Whether a validation snapshot is kept.
    pub snapshot: bool,
}

impl Checkpoint {
    /// Its name: `15m`, `12h`.
    #[must_use]
    pub fn name(&self) -> String {
        Span(self.after).to_string()
    }
}

/// What ends waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The flag must read as set within.
    pub flag_within: Duration,
    /// How long a look may take that settles an intent without a result.
    pub look_within: Duration,
    /// How often an intent, and a look, are tried.
    pub attempts: u32,
    /// A rollout that holds for longer is undone.
    pub hold: Duration,
    /// Without a window for so long, the engine pauses.
    pub source_lost: Duration,
    /// A rollout that is paused for longer is undone.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flag_within: Duration::from_secs(30),
            look_within: Duration::from_secs(15),
            attempts: 2,
            hold: Duration::from_hours(2),
            source_lost: Duration::from_mins(5),
            pause: Duration::from_mins(30),
        }
    }
}

/// One step of the rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackStep {
    /// What.
    pub undo: Undo,
    /// When it is looked at whether it is in effect, if no answer came. The next step begins when that is known or
    /// given up, whatever became of this one.
    pub within: Duration,
}

/// What a step of the rollback does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undo {
    /// Sets the flag to 0.
    FlagOff,
    /// Restarts a service.
    Restart(String),
}

/// How a rollout is undone, and how that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// In order.
    pub steps: Vec<RollbackStep>,
    /// Signals that must be back in the band: indices into the plan's signals, none of them behind the flag.
    pub recovered: Vec<usize>,
    /// How far from the baseline they may be on the worse side, as a share of it.
    pub band: f64,
    /// Signals of which there must be no new sample.
    pub silent: Vec<usize>,
    /// For how many windows in a row, all of them after the steps.
    pub windows: u32,
    /// Everything together; after it the rollback has failed.
    pub total: Duration,
}

/// The longest a rollback may take.
pub const ROLLBACK_LIMIT: Duration = Duration::from_mins(5);
