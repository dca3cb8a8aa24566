//! What came of the whole corpus, as text and as JSON.

use std::fmt;

use serde::Serialize;

use super::score::{Run, Scored};
use super::trace::{Change, Kind};

/// The share of healthy traces that may be rolled back.
const FALSE_ROLLBACKS: f64 = 0.01;
/// Minutes until +10 % at a noise of 2 % is found, at the median; and what is aimed at.
const DELAY: u64 = 119;
const DELAY_GOAL: u64 = 59;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Of {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
}

impl Of {
    fn add(&mut self, counts: bool) {
        self.count += usize::from(counts);
        self.of += 1;
    }

    fn share(self) -> f64 {
        self.count as f64 / self.of.max(1) as f64
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 0 { f.pad("-") } else { f.pad(&format!("{}/{}", self.count, self.of)) }
    }
}

/// One detector's row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub detector: &'static str,
    /// Rollbacks of traces on which nothing changed, by kind in the order of [`Kind::ALL`].
    pub unchanged: [Of; 8],
    /// Rollbacks of traces that the change made better.
    pub better: Of,
    /// Rollbacks of worse traces before they were.
    pub early: Of,
    /// Shifts below 10 % that were found.
    pub small: Of,
    /// +10 % at a noise of 2 % that was found.
    pub ten: Of,
    /// The median of how many minutes that took; `None` where less than half was found.
    pub ten_minutes: Option<u64>,
    /// The same by kind, of whatever noise: that of low traffic is 5 and 8 %.
    pub ten_by_kind: [Option<u64>; 8],
    /// Shifts of 20 to 100 % that were found.
    pub large: Of,
    /// The median of how many minutes that took.
    pub large_minutes: Option<u64>,
    /// 3× and more that was found within two samples.
    pub triple: Of,
    /// Of healthy traces: the share of the samples that could not be judged, by kind. Only of this product's detector.
    pub inconclusive: Option<[f64; 8]>,
}

impl Row {
    fn of(detector: &'static str, scored: &[Scored]) -> Self {
        let runs: Vec<(&Scored, &Run)> = scored
            .iter()
            .filter_map(|scored| Some((scored, scored.runs.iter().find(|run| run.detector == detector)?)))
            .collect();
        let mut row = Self {
            detector,
            unchanged: Default::default(),
            better: Of::default(),
            early: Of::default(),
            small: Of::default(),
            ten: Of::default(),
            ten_minutes: None,
            ten_by_kind: [None; 8],
            large: Of::default(),
            large_minutes: None,
            triple: Of::default(),
            inconclusive: None,
        };
        let (mut ten, mut promised, mut large) = (Vec::new(), Vec::new(), Vec::new());
        for (scored, run) in &runs {
            let Change::Worse { by, from } = scored.change else {
                let healthy = match scored.change {
                    Change::None => &mut row.unchanged[position(scored.kind)],
                    _ => &mut row.better,
                };
                healthy.add(run.rollback.is_some());
                continue;
            };
            row.early.add(run.rollback.is_some_and(|minute| minute < from));
            let delay = run.rollback.and_then(|minute| minute.checked_sub(from));
            if let Some(in_time) = scored.is_in_time(run) {
                row.triple.add(in_time);
            } else if by < 0.1 {
                row.small.add(delay.is_some());
            } else if by > 0.1 {
                row.large.add(delay.is_some());
                large.push(delay);
            } else {
                ten.push((scored.kind, delay));
                if scored.noise <= 0.02 {
                    row.ten.add(delay.is_some());
                    promised.push(delay);
                }
            }
        }
        row.ten_minutes = median(promised);
        row.ten_by_kind =
            Kind::ALL.map(|kind| median(ten.iter().filter(|(of, _)| *of == kind).map(|(_, delay)| *delay).collect()));
        row.large_minutes = median(large);
        row.inconclusive = inconclusive(&runs);
        row
    }

    /// Rollbacks of traces that nothing was wrong with.
    pub fn false_rollbacks(&self) -> Of {
        let all = self.unchanged.iter().chain([&self.better]);
        all.fold(Of::default(), |sum, one| Of { count: sum.count + one.count, of: sum.of + one.of })
    }
}

fn position(kind: Kind) -> usize {
    Kind::ALL.iter().position(|one| *one == kind).unwrap_or(0)
}

fn inconclusive(runs: &[(&Scored, &Run)]) -> Option<[f64; 8]> {
    runs.first()?.1.inconclusive?;
    Some(Kind::ALL.map(|kind| {
        let healthy =
            runs.iter().filter(|(scored, _)| scored.kind == kind && !matches!(scored.change, Change::Worse { .. }));
        let shares: Vec<f64> = healthy.filter_map(|(_, run)| run.inconclusive).collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }))
}

/// The median of delays, of which those never found are the longest: the later one of two middles.
fn median(mut delays: Vec<Option<u64>>) -> Option<u64> {
    delays.sort_unstable_by_key(|delay| delay.unwrap_or(u64::MAX));
    delays.get(delays.len() / 2).copied().flatten()
}

/// What was promised of this product's detector, and whether it was kept.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What was promised.
    pub promise: String,
    /// What was measured.
    pub measured: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// Every detector on every trace.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Where the corpus begins.
    pub seed: u64,
    /// How many traces.
    pub traces: usize,
    /// The kinds, in the order of the columns.
    pub kinds: [&'static str; 8],
    /// One for each detector, this product's first.
    pub rows: Vec<Row>,
    /// The promises.
    pub verdicts: Vec<Verdict>,
}

impl Table {
    /// Of traces that were scored; the first detector of the first one is the one that is held to its promises.
    pub fn new(seed: u64, scored: &[Scored]) -> Self {
        let detectors = scored.first().map(|first| first.runs.iter().map(|run| run.detector)).into_iter().flatten();
        let rows: Vec<Row> = detectors.map(|detector| Row::of(detector, scored)).collect();
        let verdicts = rows.first().map(verdicts).unwrap_or_default();
        Self { seed, traces: scored.len(), kinds: Kind::ALL.map(Kind::name), rows, verdicts }
    }

    /// Whether every promise was kept. Without a trace none was.
    pub fn kept(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|verdict| verdict.kept)
    }
}

fn verdicts(ours: &Row) -> Vec<Verdict> {
    let wrong = ours.false_rollbacks();
    let minutes = ours.ten_minutes.map_or("never".to_owned(), |minutes| format!("{minutes} min"));
    let goal = if ours.ten_minutes.is_some_and(|minutes| minutes <= DELAY_GOAL) { "reached" } else { "missed" };
    vec![
        Verdict {
            promise: format!("rolls back at most {} % of what nothing is wrong with", 100.0 * FALSE_ROLLBACKS),
            measured: format!("{wrong}, {:.2} %", 100.0 * wrong.share()),
            // There are no parts of a trace: of fifty, one is the least that there can be.
            kept: wrong.of > 0 && wrong.count as f64 <= (FALSE_ROLLBACKS * wrong.of as f64).ceil(),
        },
        Verdict {
            promise: format!("finds +10 % at a noise of 2 % within {DELAY} min at the median (goal: {DELAY_GOAL})"),
            measured: format!("{minutes}, {} found, goal {goal}", ours.ten),
            kept: ours.ten_minutes.is_some_and(|minutes| minutes <= DELAY),
        },
        Verdict {
            promise: "finds 3× within two samples".to_owned(),
            measured: ours.triple.to_string(),
            kept: ours.triple.of > 0 && ours.triple.count == ours.triple.of,
        },
    ]
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = |minutes: Option<u64>| minutes.map_or("-".to_owned(), |minutes| minutes.to_string());
        writeln!(f, "{} traces of 48 hours, seed {}\n", self.traces, self.seed)?;
        writeln!(f, "Rollbacks of what nothing is wrong with")?;
        write!(f, "| {:<25} |", "detector")?;
        self.kinds.iter().try_for_each(|kind| write!(f, " {kind} |"))?;
        writeln!(f, " better | all | before the shift |")?;
        writeln!(f, "|{}", "---|".repeat(self.kinds.len() + 4))?;
        for row in &self.rows {
            write!(f, "| {:<25} |", row.detector)?;
            row.unchanged.iter().zip(self.kinds).try_for_each(|(of, kind)| write!(f, " {of:>0$} |", kind.len()))?;
            writeln!(f, " {:>6} | {:>5.1} % | {} |", row.better, 100.0 * row.false_rollbacks().share(), row.early)?;
        }
        writeln!(f, "\nShifts found, and the median of the minutes it took")?;
        writeln!(f, "| {:<25} | 3-7 % | 10 %, noise 2 % | min | 20-100 % | min | 3×, 4× in two samples |", "detector")?;
        writeln!(f, "|{}", "---|".repeat(7))?;
        for row in &self.rows {
            writeln!(
                f,
                "| {:<25} | {} | {} | {} | {} | {} | {} |",
                row.detector,
                row.small,
                row.ten,
                minutes(row.ten_minutes),
                row.large,
                minutes(row.large_minutes),
                row.triple
            )?;
        }
        if let Some((ours, shares)) = self.rows.first().and_then(|row| Some((row, row.inconclusive?))) {
            writeln!(
                f,
                "\n{} by kind: minutes to +10 %, and the share of healthy time it could not judge",
                ours.detector
            )?;
            for ((kind, delay), share) in self.kinds.iter().zip(ours.ten_by_kind).zip(shares) {
                writeln!(f, "  {kind:<16} {:>5} min  {:>5.1} %", minutes(delay), 100.0 * share)?;
            }
        }
        writeln!(f)?;
        for verdict in &self.verdicts {
            let word = if verdict.kept { "kept  " } else { "MISSED" };
            writeln!(f, "{word} {}: {}", verdict.promise, verdict.measured)?;
        }
        Ok(())
    }
}
