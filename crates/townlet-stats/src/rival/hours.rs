//! A series cut into hours, each beside its control.

use super::{Course, DAY_MS, value};
use crate::sample::Sample;

const HOUR_MS: u64 = 3_600_000;
/// So many earlier days are looked at where there is no control.
const EARLIER: u64 = 14;

/// One hour, values in the order of time; `None` where one is missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Hour {
    pub(super) judged: Vec<Option<f64>>,
    /// What stands beside it: the control, or the same hour of each day before the change, the last one first.
    pub(super) controls: Vec<Vec<Option<f64>>>,
}

/// Collects hours.
#[derive(Clone, Debug)]
pub(super) struct Hours {
    pub(super) course: Course,
    history: Vec<(u64, f64)>,
    number: u64,
    judged: Vec<Sample>,
}

impl Hours {
    pub(super) fn new(history: &[Sample], course: Course) -> Self {
        let mut history: Vec<(u64, f64)> =
            history.iter().filter_map(|sample| Some((sample.at_ms, value(sample)?))).collect();
        history.sort_unstable_by_key(|(at, _)| *at);
        Self { course, history, number: 0, judged: Vec::new() }
    }

    /// The hours that are complete with this sample: one whose last sample never came, and its own.
    pub(super) fn push(&mut self, sample: &Sample) -> impl Iterator<Item = Hour> + use<> {
        let number = self.course.window(sample.at_ms, HOUR_MS);
        let late = (number > self.number).then(|| self.complete());
        self.number = self.number.max(number);
        self.judged.push(*sample);
        let own = self.course.ends_window(sample.at_ms, HOUR_MS).then(|| {
            self.number += 1;
            self.complete()
        });
        late.into_iter().chain(own)
    }

    fn complete(&mut self) -> Hour {
        let samples = std::mem::take(&mut self.judged);
        let all = (HOUR_MS / self.course.interval_ms.max(1)) as usize;
        // What was never scraped is missing as well.
        let whole = |mut values: Vec<Option<f64>>| {
            values.resize(all.max(values.len()), None);
            values
        };
        let control = |sample: &Sample| sample.control.filter(|value| value.is_finite());
        let controls = if samples.iter().any(|sample| control(sample).is_some()) {
            vec![whole(samples.iter().map(control).collect())]
        } else {
            let day = |days: u64| whole(samples.iter().map(|sample| self.days_before(sample.at_ms, days)).collect());
            (0..EARLIER).map(day).take_while(|day| day.iter().any(Option::is_some)).collect()
        };
        Hour { judged: whole(samples.iter().map(value).collect()), controls }
    }

    /// The value at the same time of the day that is so many days before the last one before the change.
    fn days_before(&self, at_ms: u64, days: u64) -> Option<f64> {
        let back = self.course.window(at_ms, DAY_MS) + 1 + days;
        let at = at_ms.checked_sub(back * DAY_MS)?;
        let index = self.history.partition_point(|(time, _)| *time < at);
        self.history.get(index).filter(|(time, _)| time - at < self.course.interval_ms.max(1)).map(|(_, value)| *value)
    }
}
