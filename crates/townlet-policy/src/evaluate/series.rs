//! The samples of one metric, as far back as a rule can ask.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    points: VecDeque<Point>,
    /// The running total of everything forgotten.
    forgotten: u64,
    last: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Time,
    /// `None` is a stale marker.
    value: Option<f64>,
    /// All weights up to and with this one, so that a window is a difference of two.
    total: u64,
}

impl Series {
    /// Adds one; where it is not later than the last, says when that was.
    pub(super) fn push(&mut self, at: Time, value: Option<f64>, weight: u64) -> Result<(), Time> {
        if let Some(last) = self.last
            && at <= last
        {
            return Err(last);
        }
        self.last = Some(at);
        let before = self.points.back().map_or(self.forgotten, |point| point.total);
        self.points.push_back(Point { at, value, total: before.saturating_add(weight) });
        Ok(())
    }

    /// Drops what is older than `horizon`.
    pub(super) fn forget(&mut self, now: Time, horizon: Duration) {
        while let Some(first) = self.points.front()
            && now.since(first.at) > horizon
        {
            self.forgotten = first.total;
            self.points.pop_front();
        }
    }

    /// How many points are not later than `now`.
    fn until(&self, now: Time) -> usize {
        self.points.partition_point(|point| point.at <= now)
    }

    /// The value and the time of the last point, unless that is a stale marker.
    pub(super) fn latest(&self, now: Time) -> Option<(Time, f64)> {
        let point = self.points.get(self.until(now).checked_sub(1)?)?;
        point.value.map(|value| (point.at, value))
    }

    /// Whether a sample lies in `window` up to now, its start excluded. A stale marker is no sample.
    pub(super) fn any_within(&self, now: Time, window: Duration) -> bool {
        let upto = self.points.range(..self.until(now)).rev();
        upto.take_while(|point| now.since(point.at) < window).any(|point| point.value.is_some())
    }

    /// The weight of the samples in `window` up to now, its start excluded.
    pub(super) fn weight_within(&self, now: Time, window: Duration) -> u64 {
        let total = |count: usize| {
            count.checked_sub(1).and_then(|i| self.points.get(i)).map_or(self.forgotten, |point| point.total)
        };
        let until = self.until(now);
        let before = self.points.partition_point(|point| point.at <= now && now.since(point.at) >= window);
        total(until).saturating_sub(total(before))
    }
}
