//! The assumptions behind a verdict, each measured.

use std::fmt;

/// What a small shift can only be judged by if it holds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Assumption {
    /// Enough earlier days (or, of a control, hours) to know the noise by predicting each from the others.
    History,
    /// The history has few holes.
    HistoryCoverage,
    /// What the noise model leaves unexplained is small: the variance of blocks of innovations, as a multiple of what
    /// independent ones would give.
    Independence,
    /// That multiple does not go on growing with the length of the blocks: the noise forgets.
    Forgetting,
    /// Days are alike enough that a shift can be told from a day.
    DaysAlike,
    /// Bursts of the history are short: so many samples a large shift has to outlast them to be told from one.
    Bursts,
    /// The day at hand is of a kind that the history has: 1 if so.
    KnownDay,
    /// The samples since the start have few holes.
    LiveCoverage,
    /// Innovations since the start are as independent as those of the history: their correlation with the one before.
    LiveIndependence,
    /// Something rare is: so many events a window.
    Rare,
    /// What is counted has no fractions: the share of the windows without one.
    WholeCounts,
    /// Rare events do not bring each other along: the variance of the hourly counts, as a multiple of what independent
    /// events would give. Up to the limit each counts for less.
    Clumping,
    /// Of two sets of values, the smaller one is large enough.
    Values,
    /// Of two sets of values, neither has many holes.
    ValuesCoverage,
    /// A value says little about the next: the greater autocorrelation of two sets of values. Up to the limit an
    /// interval is widened by it.
    Autocorrelation,
    /// Two sets of values differ by where they lie and not by how wide they are: the ratio of their spreads.
    Shape,
}

/// One assumption, what was found and what is the limit. Displayed as one line of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// What is assumed.
    pub assumption: Assumption,
    /// What was measured.
    pub found: f64,
    /// The limit: a least value for what should be large (history, values, coverage, whole counts, a known day), else a greatest.
    pub limit: f64,
    /// Whether it holds. Where it does not, small shifts are inconclusive.
    pub holds: bool,
}

impl Check {
    pub(crate) fn at_least(assumption: Assumption, found: f64, limit: f64) -> Self {
        Self { assumption, found, limit, holds: found >= limit }
    }

    pub(crate) fn at_most(assumption: Assumption, found: f64, limit: f64) -> Self {
        Self { assumption, found, limit, holds: found <= limit }
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::History => "days of history",
            Self::HistoryCoverage => "share of the history present",
            Self::Independence => "variance of blocks of innovations over that of independent ones",
            Self::Forgetting => "growth of that from one hour to four",
            Self::DaysAlike => "how far a day may stray from the others",
            Self::Bursts => "samples that a large shift takes to be told from a burst",
            Self::KnownDay => "whether the history has a day of this kind",
            Self::LiveCoverage => "share of the samples since the start present",
            Self::LiveIndependence => "autocorrelation of innovations since the start",
            Self::Rare => "events a window",
            Self::WholeCounts => "share of the windows whose count is whole",
            Self::Clumping => "variance of hourly counts over that of independent events",
            Self::Values => "values on the side with fewer",
            Self::ValuesCoverage => "share of the values present, on the side with fewer",
            Self::Autocorrelation => "autocorrelation of the values",
            Self::Shape => "spread of one side over that of the other",
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = matches!(
            self.assumption,
            Assumption::History
                | Assumption::HistoryCoverage
                | Assumption::KnownDay
                | Assumption::LiveCoverage
                | Assumption::WholeCounts
                | Assumption::Values
                | Assumption::ValuesCoverage
        );
        let word = if least { "at least" } else { "at most" };
        let verdict = if self.holds { "holds" } else { "FAILS" };
        write!(f, "{}: {:.3} ({word} {}): {verdict}", self.assumption, self.found, self.limit)
    }
}
