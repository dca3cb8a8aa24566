//! `rollout`: rollouts of 48 hours in virtual time, engine, judgement and log.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use townlet_policy::Findings;
use townlet_rollout::simulate::{Resampled, Simulation};
use townlet_rollout::{EventKind, Moment, Phase, Plan, PlanFile, Recorder, Reference, References};

use super::{Finding, Run};
use crate::dice::Dice;

const METRICS: usize = 10;
/// Of minutes, in 48 hours.
const WINDOWS: usize = 2_880;
const MINUTE: Duration = Duration::from_secs(60);
/// Of history.
const DAYS: u64 = 7;
/// 2025-01-22, 22:00 UTC.
const GO: Moment = Moment::from_ms(1_737_583_200_000);
const THREADS: u32 = 2;

const MOST_ALONE_MS: f64 = 100.0;
const MOST_THOUSAND_S: f64 = 60.0;

/// A limit and a detector for each metric.
fn plan() -> String {
    let mut text = String::from(
        "plan: rollout\nenvironment: production\nflag: parser\nevery: 1m\n\
         steps: [{ percent: 25, soak: 10m }, { percent: 100 }]\n\
         restart: [{ service: parser-service, ready_within: 1m }]\n\
         checkpoints: [15m, 30m, 45m, 60m, 75m, 90m, 12h, 24h, 36h, 48h]\nsnapshots: [24h, 48h]\n\
         sign_off: [qa, devops]\nswitched: [m0, m1, m2, m3]\n\
         rollback:\n  steps: [{ flag: \"off\", within: 20s }, { restart: parser-service, within: 1m }]\n  \
         recovered: [m9]\n  silent: [m0, m1, m2, m3]\n",
    );
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("metrics:"));
    (0..METRICS).for_each(|n| line(format_args!("  m{n}: {{ unit: ms, worse: up }}")));
    let names: Vec<String> = (0..METRICS).map(|n| format!("m{n}")).collect();
    line(format_args!("baselines: {{ history: [{}] }}", names.join(", ")));
    line(format_args!("rules:"));
    for n in 0..METRICS {
        line(format_args!("  - {{ id: limit-{n}, when: \"m{n} > +30% for 5m keep 5m\", action: rollback }}"));
    }
    line(format_args!("detectors:"));
    for n in 0..METRICS {
        line(format_args!("  - {{ id: shift-{n}, metric: m{n}, tolerance: 5%, action: rollback }}"));
    }
    text
}

/// A week of each metric that ends a minute before the rollout: noise of 2 % with a memory, and day and night.
fn history(dice: &mut Dice) -> References {
    let minutes = DAYS * 1_440;
    let first = Moment::from_ms(GO.as_ms() - minutes * 60_000);
    let metric = |mut dice: Dice| {
        let mut deviation = dice.normal();
        let values = (0..minutes).map(|minute| {
            deviation = 0.5 * deviation + 0.75_f64.sqrt() * dice.normal();
            let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
            Some(50.0 * (1.0 + 0.1 * day) * (1.0 + 0.02 * deviation))
        });
        Some(Reference::new(first, MINUTE, values.collect(), Vec::new()))
    };
    References((0..METRICS).map(|_| metric(dice.fork())).collect())
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let text = plan();
    let mut found = Findings::new("rollout.yaml", &text);
    let file = PlanFile::read(&text, &mut found).ok_or_else(|| anyhow!("{found}"))?;
    let scene = Scene { plan: &file.plan, text: &text, history: history(&mut Dice::new(run.seed)), seed: run.seed };
    let mut finding = Finding::default();
    finding.note("metrics", file.plan.signals.len() as u64);
    finding.note("rules", file.plan.rules.len() as u64);

    // The first one reads the history, which those after it share.
    let first = scene.timed(0)?;
    let mut alone = Vec::new();
    let count = run.effort.pick(1, 3, 21, 51);
    for number in 1..=count {
        alone.push(scene.timed(number)?);
    }
    alone.sort_unstable_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
    let median = alone.get(alone.len() / 2).context("no rollout was timed")?.milliseconds;
    let slowest = alone.last().context("no rollout was timed")?.milliseconds;
    finding.note("windows", alone.iter().map(|one| one.windows).min().unwrap_or(0) as u64);
    finding.note("first_ms", first.milliseconds);
    finding.note("alone_p50_ms", median);
    finding.note("alone_max_ms", slowest);

    let runs = run.effort.pick(2, 10, 300, 1_000);
    let began = Instant::now();
    let undone = scene.many(runs)?;
    let seconds = began.elapsed().as_secs_f64();
    let thousand = seconds * 1_000.0 / f64::from(runs);
    finding.note("runs", runs);
    finding.note("threads", THREADS);
    finding.note("seconds", seconds);
    finding.note("seconds_a_thousand", thousand);
    finding.note("undone_by_mistake", undone);
    finding.require_time(run.effort, median <= MOST_ALONE_MS, || {
        format!("a rollout takes {median:.1} ms, above {MOST_ALONE_MS}")
    });
    finding.require_time(run.effort, thousand <= MOST_THOUSAND_S, || {
        format!("1,000 rollouts take {thousand:.1} s, above {MOST_THOUSAND_S}")
    });
    Ok(finding)
}

struct Scene<'a> {
    plan: &'a Plan,
    text: &'a str,
    history: References,
    seed: u64,
}

/// One rollout that went its whole way.
struct Timed {
    milliseconds: f64,
    windows: usize,
}

impl Scene<'_> {
    fn rollout(&self, number: u32) -> Recorder<'_> {
        let source = Resampled::new(self.plan, &self.history, GO, self.seed.wrapping_add(number.into()));
        let run = Recorder::new(self.plan, self.text, "measured");
        Simulation::new(self.plan, run, self.history.clone(), source, GO).run()
    }

    /// Times one. A rollout that ends early would flatter the figure, so another one is taken for it.
    fn timed(&self, number: u32) -> anyhow::Result<Timed> {
        for again in 0..10 {
            let began = Instant::now();
            let run = self.rollout(number + again * 1_000_000);
            let milliseconds = began.elapsed().as_secs_f64() * 1e3;
            if run.state().phase() == Phase::Succeeded {
                let windows = run.entries().iter().filter(|entry| matches!(entry.event.kind, EventKind::Tick(_)));
                let windows = windows.count();
                ensure!(windows >= WINDOWS, "a rollout of 48 hours had {windows} windows");
                return Ok(Timed { milliseconds, windows });
            }
        }
        Err(anyhow!("ten healthy rollouts in a row did not succeed"))
    }

    /// Runs so many on several threads; how many were undone, of which one in a hundred may be.
    fn many(&self, runs: u32) -> anyhow::Result<u32> {
        let share = runs.div_ceil(THREADS);
        std::thread::scope(|scope| {
            let part = |part: u32| {
                let mine = part * share..runs.min((part + 1) * share);
                let undone = mine.filter(|number| self.rollout(2_000 + number).state().phase() != Phase::Succeeded);
                undone.count() as u32
            };
            let parts: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || part(n))).collect();
            parts.into_iter().try_fold(0, |sum, part| {
                part.join().map(|undone| sum + undone).map_err(|_| anyhow!("a thread of rollouts panicked"))
            })
        })
    }
}
