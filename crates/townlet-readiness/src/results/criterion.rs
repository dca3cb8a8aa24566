//! The `estimates.json` of Criterion.
//!
//! Source: `Estimates` of `criterion` 0.5 to 0.7, written to `<target>/criterion/<id>/<baseline>/estimates.json`; times
//! are nanoseconds.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::ResultsError;

/// The estimates of one benchmark, in nanoseconds. The file is Criterion's, so what else it holds is left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// The mean.
    pub mean: Estimate,
    /// The median.
    pub median: Estimate,
    /// The slope of the regression; only where iterations varied.
    pub slope: Option<Estimate>,
    /// The standard deviation.
    pub std_dev: Estimate,
}

/// One estimate. The file has its confidence interval too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate itself, in nanoseconds.
    pub point_estimate: f64,
    /// Its standard error, in nanoseconds.
    pub standard_error: f64,
}

/// Which of the estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The mean.
    #[default]
    Mean,
    /// The median, which outliers do not move.
    Median,
    /// The slope.
    Slope,
}

impl Estimates {
    /// Reads an `estimates.json`.
    ///
    /// # Errors
    /// [`ResultsError`] if it is something else, or holds a time below zero.
    pub fn read(text: &str) -> Result<Self, ResultsError> {
        let read: Self = serde_json::from_str(text)
            .map_err(|error| ResultsError::new(format!("it is no estimates.json of Criterion: {error}")))?;
        let all = [Some(read.mean), Some(read.median), read.slope, Some(read.std_dev)];
        if let Some(wrong) = all.iter().flatten().find(|one| one.point_estimate.is_nan() || one.point_estimate < 0.0) {
            return Err(ResultsError::new(format!("a time of {} ns cannot be", wrong.point_estimate)));
        }
        Ok(read)
    }

    /// One of them, if it is there.
    #[must_use]
    pub fn of(&self, statistic: Statistic) -> Option<f64> {
        let one = match statistic {
            Statistic::Mean => Some(self.mean),
            Statistic::Median => Some(self.median),
            Statistic::Slope => self.slope,
        };
        one.map(|one| one.point_estimate)
    }
}

/// Whether a path leads down from where it begins, and nowhere else.
pub(crate) fn leads_down(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
