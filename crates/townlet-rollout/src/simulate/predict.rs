//! What a plan's rules would do, before they do it.

use std::sync::Arc;
use std::time::Duration;

use townlet_policy::Action;

use crate::judge::Judge;
use crate::moment::{Moment, Span, ms};
use crate::plan::Plan;
use crate::reference::{Baselines, References};
use crate::rule::Rule;
use crate::verdict::Verdict;

use super::{Fault, Resampled, Source, Trouble};

/// How to predict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Healthy rollouts to simulate.
    pub runs: u32,
    /// Rollouts to simulate with each fault.
    pub faulty_runs: u32,
    /// Equal seeds give equal predictions.
    pub seed: u64,
    /// How many of the healthy rollouts a rule may undo, as a share.
    pub most_false_rollbacks: f64,
    /// How many it may hold.
    pub most_false_holds: f64,
    /// How many processors to use. It changes no result.
    pub threads: usize,
}

impl Default for Options {
    /// 1,000 runs; at most 1 % undone and 10 % held.
    fn default() -> Self {
        Self { runs: 1_000, faulty_runs: 100, seed: 1, most_false_rollbacks: 0.01, most_false_holds: 0.1, threads: 1 }
    }
}

/// What to expect of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Healthy rollouts that were simulated.
    pub runs: u32,
    /// The share of them that some rule undoes.
    pub false_rollback: f64,
    /// Of each rule, in their order.
    pub rules: Vec<Forecast>,
}

/// What to expect of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Its name.
    pub rule: String,
    /// The share of healthy rollouts in which it fires.
    pub fires: f64,
    /// The share of healthy rollouts at whose end it is unknown.
    pub unknown: f64,
    /// How soon it finds each fault.
    pub found: Vec<Found>,
    /// Why nobody should rely on it; `None` where somebody may.
    pub hopeless: Option<String>,
}

/// How soon a rule finds a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Which.
    pub fault: Fault,
    /// The share of the runs in which it fires within a day, and not before the fault.
    pub share: f64,
    /// The median time from the fault to the rule's firing; `None` where it does not find half of them.
    pub delay: Option<Duration>,
}

/// Of what the delay of detection is predicted.
const FAULTS: [Fault; 6] =
    [Fault::Times(1.05), Fault::Times(1.1), Fault::Times(1.3), Fault::Times(3.0), Fault::Times(10.0), Fault::Absent];
const QUIET: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Says of each rule how often it would fire in a healthy rollout that starts at `start`, and how soon it would find
/// what is wrong. Each rule is judged as the engine judges it, over windows drawn from `history`; what others of the
/// rules do in the meantime does not count.
#[must_use]
pub fn predict(plan: &Plan, history: &References, start: Moment, options: &Options) -> Prediction {
    let trial = Trial { plan, history, baselines: Baselines::new(plan, history), start };
    let horizon = windows(plan, plan.longest());
    let healthy = spread(options.runs, options.threads, |run| trial.healthy(horizon, options.seed, run));
    let undone = healthy.iter().filter(|run| {
        let mut rules = plan.rules.iter().zip(&run.fired);
        rules.any(|(rule, fired)| rule.rolls_back() && fired.is_some())
    });
    let share = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let false_rollback = share(undone.count(), healthy.len());
    let delays: Vec<Vec<Run>> = FAULTS
        .iter()
        .map(|fault| spread(options.faulty_runs, options.threads, |run| trial.faulty(*fault, options.seed, run)))
        .collect();
    let rules = plan.rules.iter().enumerate().map(|(index, rule)| {
        let count = |of: fn(&Run, usize) -> bool| healthy.iter().filter(|run| of(run, index)).count();
        let fires = share(count(|run, index| run.fired.get(index).copied().flatten().is_some()), healthy.len());
        let unknown = share(count(|run, index| run.unknown.get(index).copied().unwrap_or(true)), healthy.len());
        let found: Vec<Found> =
            FAULTS.iter().zip(&delays).map(|(fault, runs)| found(plan, *fault, runs, index)).collect();
        let hopeless = hopeless(rule, fires, unknown, &found, options);
        Forecast { rule: rule.name.clone(), fires, unknown, found, hopeless }
    });
    Prediction { runs: options.runs, false_rollback, rules: rules.collect() }
}

/// What one simulated rollout showed.
struct Run {
    /// The window in which each rule first fired, from 0.
    fired: Vec<Option<usize>>,
    /// Which are unknown after the last window.
    unknown: Vec<bool>,
}

struct Trial<'a> {
    plan: &'a Plan,
    history: &'a References,
    baselines: Baselines,
    start: Moment,
}

impl Trial<'_> {
    fn healthy(&self, windows: usize, seed: u64, run: u32) -> Run {
        let source = Resampled::new(self.plan, self.history, self.start, mixed(seed, run));
        self.watch(source, windows, self.start)
    }

    fn faulty(&self, fault: Fault, seed: u64, run: u32) -> Run {
        // Faults begin at any time of the day.
        let start = self.start + Duration::from_mins(u64::from(run) * 37 % 1_440);
        let trouble = Trouble { fault, signals: Vec::new(), from: start + QUIET };
        let source = Resampled::new(self.plan, self.history, start, mixed(seed ^ 0xfa17, run)).with(Arc::new(trouble));
        self.watch(source, windows(self.plan, QUIET + DAY), start)
    }

    /// The rules alone, without the engine: one that fires does not end the run for the others.
    fn watch(&self, mut source: Resampled<'_>, windows: usize, start: Moment) -> Run {
        let mut judge = Judge::start(self.plan, &self.baselines, start);
        let mut fired = vec![None; self.plan.rules.len()];
        let mut verdicts = Vec::new();
        let mut due = start;
        for window in 0..windows {
            due = due + self.plan.every;
            let tick = source.window(due, 100);
            let expected = self.baselines.expected(due, Some(&tick));
            verdicts = judge.window(self.plan, due, Some(&tick), &expected);
            for (fired, verdict) in fired.iter_mut().zip(&verdicts) {
                if *verdict == Verdict::Firing {
                    fired.get_or_insert(window);
                }
            }
            if fired.iter().all(Option::is_some) {
                break;
            }
        }
        Run { fired, unknown: verdicts.iter().map(|verdict| *verdict == Verdict::Unknown).collect() }
    }
}

fn found(plan: &Plan, fault: Fault, runs: &[Run], rule: usize) -> Found {
    let quiet = windows(plan, QUIET);
    let every = ms(plan.every);
    // In minutes of virtual time, those that fired before the fault left out.
    let fired = |run: &Run| run.fired.get(rule).copied().flatten();
    let mut delays: Vec<usize> =
        runs.iter().filter_map(fired).filter_map(|at| (at + 1).checked_sub(quiet)).filter(|n| *n > 0).collect();
    delays.sort_unstable();
    let half = runs.len().div_ceil(2);
    let median = delays.get(half.saturating_sub(1)).map(|windows| u64::try_from(*windows).unwrap_or(u64::MAX));
    let share = if runs.is_empty() { 0.0 } else { delays.len() as f64 / runs.len() as f64 };
    Found { fault, share, delay: median.map(|windows| Duration::from_millis(windows.saturating_mul(every))) }
}

fn hopeless(rule: &Rule, fires: f64, unknown: f64, found: &[Found], options: &Options) -> Option<String> {
    if rule.dry_run || rule.action.is_some_and(|action| action < Action::Hold) {
        return None;
    }
    let (most, what) =
        if rule.rolls_back() { (options.most_false_rollbacks, "undoes") } else { (options.most_false_holds, "holds") };
    // Of so many runs, a share this far above the limit is no accident (two standard errors).
    let doubt = 2.0 * (most * (1.0 - most) / f64::from(options.runs.max(1))).sqrt();
    if fires > most + doubt {
        return Some(format!("it {what} {:.1} % of healthy rollouts; at most {:.1} %", fires * 100.0, most * 100.0));
    }
    if unknown > 0.5 {
        return Some(format!("it is unknown at the end of {:.0} % of healthy rollouts", unknown * 100.0));
    }
    let gross =
        |found: &&Found| matches!(found.fault, Fault::Times(times) if times >= 3.0) || found.fault == Fault::Absent;
    if options.faulty_runs > 0 && found.iter().filter(gross).all(|found| found.delay.is_none()) {
        return Some(format!("within {} it finds neither ten times as much nor an absence", Span(DAY)));
    }
    None
}

fn windows(plan: &Plan, span: Duration) -> usize {
    usize::try_from(ms(span) / ms(plan.every).max(1)).unwrap_or(usize::MAX)
}

/// A seed for each run, so that the number of threads changes nothing.
fn mixed(seed: u64, run: u32) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(run))
}

/// Makes runs on several threads, in the order of their numbers.
fn spread<F: Fn(u32) -> Run + Sync>(runs: u32, threads: usize, make: F) -> Vec<Run> {
    let threads = u32::try_from(threads.max(1)).unwrap_or(1).min(runs.max(1));
    let share = runs.div_ceil(threads);
    std::thread::scope(|scope| {
        let make = &make;
        let parts = (0..threads).map(|part| {
            let mine = part * share..runs.min((part + 1) * share);
            scope.spawn(move || mine.map(make).collect::<Vec<Run>>())
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}
