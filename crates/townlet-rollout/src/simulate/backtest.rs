//! A plan over a record: what it would have done, and what the rules of others would have.

use std::time::Duration;

use townlet_stats::{Sample, Stated, rival};

use crate::event::Tick;
use crate::judge::Judge;
use crate::log::Recorder;
use crate::moment::{Moment, ms};
use crate::note::Note;
use crate::phase::{Cause, Phase};
use crate::plan::{BaselineSource, Plan};
use crate::reference::{Baselines, Reference, References};
use crate::table::{MOST_WINDOWS, Table};
use crate::verdict::Verdict;

use super::{Simulation, Source};

/// What a plan would have done.
#[derive(Clone, Debug)]
pub struct Backtest<'p> {
    /// How it would have ended.
    pub ending: Ending,
    /// The first firing of each of the plan's rules, in their order, as if none had ended the rollout.
    pub rules: Vec<Option<Fired>>,
    /// The first rollback of each rule set of others, over all signals.
    pub rivals: Vec<Rival>,
    /// The log up to the ending.
    pub run: Recorder<'p>,
}

/// How a recorded rollout would have ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ending {
    /// The preflight would not have let it begin.
    Blocked {
        /// All of them.
        reasons: Vec<String>,
    },
    /// It would have been undone. What the record says after that is of another world.
    RolledBack {
        /// When.
        at: Moment,
        /// Why.
        cause: Cause,
    },
    /// It would have been signed.
    Succeeded {
        /// When.
        at: Moment,
    },
    /// The record ends before it does.
    Unfinished {
        /// Where it stood.
        phase: Phase,
    },
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// The end of the window.
    pub at: Moment,
    /// By what.
    pub why: String,
}

/// What a rule set of others would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// Its name.
    pub name: &'static str,
    /// Its first rollback; `None` where it would have let everything pass.
    pub fired: Option<Fired>,
}

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// Signals without a column.
    #[error("the record has no column {}; name the columns as the plan names its metrics", .0.join(", "))]
    Missing(Vec<String>),
    /// The flag was raised before the record begins, or after it ends.
    #[error("the flag was raised at {go} ms, and the record is from {first} to {last} ms")]
    Outside {
        /// When.
        go: u64,
        /// The first row.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The record goes on for longer than anybody watches.
    #[error("the record goes on for {windows} windows after the flag, at most {most}: look for a slip in its times")]
    TooLong {
        /// How long.
        windows: u64,
        /// How long it may.
        most: u64,
    },
}

/// Runs a plan over a record in which the flag was raised at `go`; what is before that is the history. Every actuator
/// obeys at once, and everybody signs.
///
/// # Errors
/// [`BacktestError`].
pub fn backtest<'p>(plan: &'p Plan, text: &str, table: &Table, go: Moment) -> Result<Backtest<'p>, BacktestError> {
    let missing = table.missing(plan);
    if !missing.is_empty() {
        return Err(BacktestError::Missing(missing));
    }
    if go <= table.first() || go >= table.last() {
        let (first, last) = (table.first().as_ms(), table.last().as_ms());
        return Err(BacktestError::Outside { go: go.as_ms(), first, last });
    }
    let windows = ms(table.last().since(go)) / ms(plan.every).max(1);
    if windows > MOST_WINDOWS {
        return Err(BacktestError::TooLong { windows, most: MOST_WINDOWS });
    }
    let history = table.references(plan, go);
    let mut needed = history.clone();
    for (reference, _) in needed.0.iter_mut().zip(&plan.signals).filter(|(_, signal)| !signal.needs_history()) {
        *reference = None;
    }
    let source = Recorded { plan, table };
    let mut run = Simulation::new(plan, Recorder::new(plan, text, "backtest"), needed, source, go);
    let ending = loop {
        let state = run.recorder().state();
        match state.phase() {
            Phase::RollingBack { .. } | Phase::RolledBack | Phase::RollbackFailed => {
                let cause = state.cause().cloned();
                break cause.map_or(Ending::Unfinished { phase: state.phase() }, |cause| Ending::RolledBack {
                    at: state.now(),
                    cause,
                });
            }
            Phase::Succeeded => break Ending::Succeeded { at: state.now() },
            // A signature comes after the last window that is asked for, so windows may run out before it.
            phase if state.next_due().is_some_and(|due| due > table.last()) => break Ending::Unfinished { phase },
            _ => {}
        }
        if !run.step() {
            let phase = run.recorder().state().phase();
            break blocked(run.recorder()).map_or(Ending::Unfinished { phase }, |reasons| Ending::Blocked { reasons });
        }
    };
    let rules = first_firings(plan, &history, table, go);
    let rivals = rivals(plan, &history, table, go);
    Ok(Backtest { ending, rules, rivals, run: run.recorder().clone() })
}

fn blocked(run: &Recorder<'_>) -> Option<Vec<String>> {
    let notes = run.entries().iter().rev().flat_map(|entry| &entry.notes);
    let mut reasons = notes.filter_map(|note| match note {
        Note::Blocked { reasons } => Some(reasons.clone()),
        _ => None,
    });
    reasons.next()
}

/// Windows as they were recorded, whatever the flag is.
struct Recorded<'a> {
    plan: &'a Plan,
    table: &'a Table,
}

impl Source for Recorded<'_> {
    fn window(&mut self, due: Moment, _: u8) -> Tick {
        let of = |name: &str| self.table.at(name, due, self.plan.every);
        let values = self.plan.signals.iter().map(|signal| of(&signal.name())).collect();
        let beside: Vec<Option<f64>> =
            self.plan.signals.iter().map(|signal| of(&format!("control:{}", signal.name()))).collect();
        let control = if beside.iter().any(Option::is_some) { beside } else { Vec::new() };
        Tick { due, values, control, lossy: false }
    }
}

fn dues(plan: &Plan, table: &Table, go: Moment) -> impl Iterator<Item = Moment> {
    let (every, last) = (plan.every.max(Duration::from_millis(1)), table.last());
    std::iter::successors(Some(go + every), move |due| Some(*due + every)).take_while(move |due| *due <= last)
}

fn first_firings(plan: &Plan, history: &References, table: &Table, go: Moment) -> Vec<Option<Fired>> {
    let baselines = Baselines::new(plan, history);
    let mut judge = Judge::start(plan, &baselines, go);
    let mut source = Recorded { plan, table };
    let mut fired: Vec<Option<Fired>> = vec![None; plan.rules.len()];
    for due in dues(plan, table, go) {
        let tick = source.window(due, 100);
        let expected = baselines.expected(due, Some(&tick));
        let verdicts = judge.window(plan, due, Some(&tick), &expected);
        for (index, (first, verdict)) in fired.iter_mut().zip(verdicts).enumerate() {
            if first.is_none() && verdict == Verdict::Firing {
                *first = Some(Fired { at: due, why: judge.why(plan, index) });
            }
        }
    }
    fired
}

fn rivals(plan: &Plan, history: &References, table: &Table, go: Moment) -> Vec<Rival> {
    let mut all: Vec<Rival> = Vec::new();
    let mut source = Recorded { plan, table };
    let ticks: Vec<Tick> = dues(plan, table, go).map(|due| source.window(due, 100)).collect();
    for (index, signal) in plan.signals.iter().enumerate() {
        let before = match (history.of(index), signal.baseline) {
            (_, BaselineSource::Stated(stated)) => day_of(plan, stated, go),
            (Some(reference), BaselineSource::History | BaselineSource::Control) => reference.clone(),
            _ => continue,
        };
        let before: Vec<Sample> = before.windows().collect();
        let course = rival::Course { start_ms: go.as_ms(), interval_ms: ms(plan.every), direction: signal.direction };
        let sample =
            |tick: &Tick| Sample { at_ms: tick.due.as_ms(), value: tick.value(index), control: tick.control(index) };
        let samples: Vec<Sample> = ticks.iter().map(sample).collect();
        for mut rules in rival::all(&before, course) {
            let first = rival::first_rollback(rules.as_mut(), &samples).map(|firing| {
                let size = firing.size.map_or_else(String::new, |size| format!(" ({:+.1} %)", size * 100.0));
                Fired { at: Moment::from_ms(firing.at_ms), why: format!("{}: {}{size}", signal.name(), firing.rule) }
            });
            let known = all.iter().position(|known| known.name == rules.name());
            let known = known.unwrap_or_else(|| {
                all.push(Rival { name: rules.name(), fired: None });
                all.len() - 1
            });
            if let (Some(rival), Some(first)) = (all.get_mut(known), first)
                && rival.fired.as_ref().is_none_or(|fired| first.at < fired.at)
            {
                rival.fired = Some(first);
            }
        }
    }
    all
}

/// What is stated, as a day of history: the rules of others know nothing else.
fn day_of(plan: &Plan, stated: Stated, go: Moment) -> Reference {
    let every = ms(plan.every).max(1);
    let count = 86_400_000 / every;
    let first = go.before(Duration::from_millis(every.saturating_mul(count.saturating_sub(1))));
    let values = (0..count).map(|_| Some(stated.level)).collect();
    Reference::new(first, plan.every, values, Vec::new())
}
