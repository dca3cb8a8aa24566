//! The result as text and as JSON.

use std::fmt;

use serde::Serialize;

use crate::budgets::{Bound, Figure, Verdict};
use crate::measure::Rounds;
use crate::scale::Scale;

/// Everything that a run has found.
#[derive(Debug)]
pub struct Report {
    /// How much was measured.
    pub scale: Scale,
    /// What one reading of the clock costs, ns; taken off single calls.
    pub clock_ns: f64,
    /// The comparisons by name.
    pub comparisons: Vec<(&'static str, Rounds)>,
    /// The budgets with what was measured.
    pub verdicts: Vec<Verdict>,
    /// How long all of it took, seconds.
    pub took_s: f64,
}

impl Report {
    /// Budgets that are missed beyond the tolerance.
    pub fn misses(&self) -> usize {
        self.verdicts.iter().filter(|v| v.is_miss()).count()
    }

    /// The report as JSON, with every round's sample.
    ///
    /// # Errors
    /// None that a report can cause; serde asks for it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let comparisons = self
            .comparisons
            .iter()
            .map(|(name, rounds)| JsonComparison {
                name,
                contenders: rounds
                    .contenders()
                    .map(|(contender, samples)| JsonContender {
                        name: contender,
                        median: metrics(rounds)
                            .into_iter()
                            .filter_map(|metric| Some((metric, rounds.median(contender, metric)?)))
                            .collect(),
                        rounds: samples,
                    })
                    .collect(),
            })
            .collect();
        let budgets = self
            .verdicts
            .iter()
            .map(|v| JsonBudget {
                comparison: v.budget.comparison,
                figure: v.budget.text,
                bound: if v.budget.bound == Bound::AtMost { "at most" } else { "at least" },
                limit: v.budget.limit,
                measured: v.measured,
                within_tolerance: v.passes(),
                enforced: v.budget.enforced,
            })
            .collect();
        serde_json::to_string_pretty(&JsonReport {
            rounds: self.scale.rounds,
            tolerance: crate::budgets::TOLERANCE,
            clock_ns: self.clock_ns,
            took_s: self.took_s,
            misses: self.misses(),
            budgets,
            comparisons,
        })
    }
}

#[derive(Serialize)]
struct JsonReport<'a> {
    rounds: usize,
    tolerance: f64,
    clock_ns: f64,
    took_s: f64,
    misses: usize,
    budgets: Vec<JsonBudget>,
    comparisons: Vec<JsonComparison<'a>>,
}

#[derive(Serialize)]
struct JsonBudget {
    comparison: &'static str,
    figure: &'static str,
    bound: &'static str,
    limit: f64,
    measured: Option<f64>,
    within_tolerance: Option<bool>,
    enforced: bool,
}

#[derive(Serialize)]
struct JsonComparison<'a> {
    name: &'a str,
    contenders: Vec<JsonContender<'a>>,
}

#[derive(Serialize)]
struct JsonContender<'a> {
    name: &'a str,
    median: std::collections::BTreeMap<&'static str, f64>,
    rounds: &'a [crate::measure::Sample],
}

/// The metrics that the contenders of a comparison have, sorted.
fn metrics(rounds: &Rounds) -> Vec<&'static str> {
    let mut names: Vec<_> =
        rounds.contenders().flat_map(|(_, samples)| samples.iter().flat_map(|s| s.keys().copied())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, rounds) in &self.comparisons {
            write_comparison(f, name, rounds)?;
        }
        writeln!(f, "budgets (tolerance {:.0} %)", crate::budgets::TOLERANCE * 100.0)?;
        let mut heading = "";
        for verdict in &self.verdicts {
            if verdict.budget.comparison != heading {
                heading = verdict.budget.comparison;
                writeln!(f, "  {heading}")?;
            }
            writeln!(f, "    {}", Line(verdict))?;
        }
        writeln!(
            f,
            "{} of {} budgets missed; medians of {} rounds; {:.0} s; reading the clock takes {:.0} ns",
            self.misses(),
            self.verdicts.len(),
            self.scale.rounds,
            self.took_s,
            self.clock_ns
        )
    }
}

fn write_comparison(f: &mut fmt::Formatter<'_>, name: &str, rounds: &Rounds) -> fmt::Result {
    let metrics = metrics(rounds);
    write!(f, "{name:<32}")?;
    for metric in &metrics {
        write!(f, "{metric:>17}")?;
    }
    writeln!(f)?;
    for (contender, _) in rounds.contenders() {
        write!(f, "  {contender:<30}")?;
        for metric in &metrics {
            match rounds.median(contender, metric) {
                Some(value) => write!(f, "{:>17}", Value(value))?,
                None => write!(f, "{:>17}", "-")?,
            }
        }
        writeln!(f)?;
    }
    writeln!(f)
}

/// A number with as many digits as it deserves.
struct Value(f64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0.abs() >= 1_000.0 {
            0
        } else if self.0.abs() >= 10.0 {
            1
        } else {
            2
        };
        f.pad(&format!("{:.digits$}", self.0))
    }
}

/// One budget on one line.
struct Line<'a>(&'a Verdict);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let budget = &self.0.budget;
        let word = match self.0.passes() {
            None => "not run",
            Some(true) => "pass",
            Some(false) if budget.enforced => "MISS",
            Some(false) => "above",
        };
        let word = if word == "above" && budget.bound == Bound::AtLeast { "below" } else { word };
        let sign = if budget.bound == Bound::AtMost { "<=" } else { ">=" };
        let unit = if matches!(budget.figure, Figure::Ratio(..)) { "x" } else { "" };
        let measured = self.0.measured.map_or_else(|| "-".to_owned(), |m| format!("{}{unit}", Value(m)));
        write!(f, "{word:<8}{measured:>12} {sign} {:<9} {}", format!("{}{unit}", Value(budget.limit)), budget.text)
    }
}
