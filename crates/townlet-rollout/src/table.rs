//! Recorded series: a CSV with a column for each signal.

use std::time::Duration;

use crate::moment::{Moment, ms};
use crate::plan::Plan;
use crate::reference::{Reference, References};

/// The most windows of a history, and of a record after the flag: nearly two years of minutes. What lies beyond is a slip
/// in its times.
pub(crate) const MOST_WINDOWS: u64 = 1_000_000;

/// A row for each time, a column for each signal.
///
/// The first column is `at_ms` (milliseconds since 1970, UTC) or `at_s`; the others carry the names of signals as the
/// plan has them, and `control:` before the name for the control. An empty cell is no sample, and so is a time that is
/// missing. Columns that no signal is called after are kept, and nobody looks at them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    times: Vec<Moment>,
    columns: Vec<(String, Vec<Option<f64>>)>,
}

/// Why a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TableError {
    /// From 1.
    pub line: u64,
    /// What, and what to do.
    pub why: String,
}

impl Table {
    /// Reads one.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn read(text: &str) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let broken = |error: &csv::Error| TableError {
            line: error.position().map_or(1, csv::Position::line),
            why: error.to_string(),
        };
        let head = reader.headers().map_err(|error| broken(&error))?.clone();
        let unit = match head.get(0) {
            Some("at_ms") => 1.0,
            Some("at_s") => 1000.0,
            other => {
                let other = other.unwrap_or_default();
                let why = format!("the first column is `{other}`; it must be at_ms or at_s, the time since 1970 (UTC)");
                return Err(TableError { line: 1, why });
            }
        };
        let twice =
            |(at, name): &(usize, &str)| !name.is_empty() && head.iter().take(*at).any(|before| before == *name);
        let twice = head.iter().enumerate().find(twice);
        if let Some((_, name)) = twice {
            let why = format!("two columns are called `{name}`, and one of them would be believed by chance");
            return Err(TableError { line: 1, why });
        }
        let names = head.iter().skip(1).map(str::to_owned);
        let mut table = Self { times: Vec::new(), columns: names.map(|name| (name, Vec::new())).collect() };
        for row in reader.records() {
            let row = row.map_err(|error| broken(&error))?;
            let line = row.position().map_or(0, csv::Position::line);
            let number = |cell: &str| cell.parse::<f64>().ok().filter(|value| value.is_finite());
            let wrong = |cell: &str| TableError {
                line,
                why: format!("`{cell}` is no number; leave the cell empty for no sample"),
            };
            let cell = row.get(0).unwrap_or_default();
            let at = number(cell).filter(|at| *at >= 0.0).ok_or_else(|| wrong(cell))? * unit;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturating")]
            let at = Moment::from_ms(at.round() as u64);
            if table.times.last().is_some_and(|last| at <= *last) {
                return Err(TableError { line, why: "the times do not rise; sort the rows".into() });
            }
            table.times.push(at);
            for ((_, column), cell) in table.columns.iter_mut().zip(row.iter().skip(1)) {
                column.push(if cell.is_empty() { None } else { Some(number(cell).ok_or_else(|| wrong(cell))?) });
            }
        }
        if table.times.is_empty() {
            return Err(TableError { line: 2, why: "there are no rows".into() });
        }
        Ok(table)
    }

    /// The time of the first row.
    #[must_use]
    pub fn first(&self) -> Moment {
        self.times.first().copied().unwrap_or_default()
    }

    /// The time of the last.
    #[must_use]
    pub fn last(&self) -> Moment {
        self.times.last().copied().unwrap_or_default()
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The last value of a column within the window that ends at `due`.
    pub(crate) fn at(&self, name: &str, due: Moment, every: Duration) -> Option<f64> {
        let (_, column) = self.columns.iter().find(|(known, _)| known == name)?;
        let end = self.times.partition_point(|at| *at <= due);
        let begin = self.times.partition_point(|at| *at <= due.before(every));
        column.get(begin..end)?.iter().rev().copied().flatten().next()
    }

    /// The last value of a column within each window; `None` where there is no such column. The first window ends at
    /// `first`.
    pub(crate) fn windows(&self, name: &str, first: Moment, every: Duration, count: usize) -> Option<Vec<Option<f64>>> {
        let (_, column) = self.columns.iter().find(|(known, _)| known == name)?;
        let every = ms(every).max(1);
        let mut windows = vec![None; count];
        let begin = Moment::from_ms(first.as_ms().saturating_sub(every));
        let rows = self.times.iter().zip(column).filter(|(at, _)| **at > begin || begin.as_ms() == 0);
        for (at, value) in rows.filter(|(_, value)| value.is_some()) {
            let number = ms(at.since(first)).div_ceil(every);
            if let Some(window) = usize::try_from(number).ok().and_then(|number| windows.get_mut(number)) {
                *window = *value;
            }
        }
        Some(windows)
    }

    /// What the rows before `until` (that one included) say of each signal that has a column: at most a million windows,
    /// the latest.
    #[must_use]
    pub fn references(&self, plan: &Plan, until: Moment) -> References {
        let every = plan.every;
        let span = ms(until.since(self.first()));
        let count = usize::try_from((span / ms(every).max(1)).min(MOST_WINDOWS - 1)).unwrap_or(0) + 1;
        // Windows end at `until`, so that they are the ones that the rollout goes on with.
        let first = until.before(Duration::from_millis(ms(every).saturating_mul(count as u64 - 1)));
        let of = |signal: &crate::plan::Signal| {
            let values = self.windows(&signal.name(), first, every, count)?;
            let control = self.windows(&format!("control:{}", signal.name()), first, every, count);
            Some(Reference::new(first, every, values, control.unwrap_or_default()))
        };
        References(plan.signals.iter().map(of).collect())
    }

    /// The signals whose baseline needs a column that is not here.
    #[must_use]
    pub fn missing(&self, plan: &Plan) -> Vec<String> {
        let known = |name: &str| self.columns.iter().any(|(column, _)| column == name);
        let needed = plan.signals.iter().filter(|signal| !signal.is_stated());
        let mut missing: Vec<String> = needed.map(|signal| signal.name()).filter(|name| !known(name)).collect();
        let beside = plan.signals.iter().filter(|signal| signal.baseline == crate::plan::BaselineSource::Control);
        missing.extend(beside.map(|signal| format!("control:{}", signal.name())).filter(|name| !known(name)));
        missing
    }
}
