//! A canary analysis as Kayenta's NetflixACA judge makes it, once an hour.

use super::{Action, Course, DAY_MS, Firing, RuleSet, mean, value};
use crate::rank::RankTest;
use crate::sample::{Direction, Sample};

const HOUR_MS: u64 = 3_600_000;
const CONFIDENCE: f64 = 0.98;
/// The interval of the shift has to begin beyond this share of the shift itself.
const TOLERANCE: f64 = 0.25;
/// `effectSize.allowedIncrease`: the means have to differ by this factor as well. Kayenta's own default is 1.
const ALLOWED: f64 = 1.05;

/// Every hour the samples of that hour against those of the control, by ranks: *High* where the 98 % interval of the
/// shift begins above a quarter of the shift and the mean is at least 5 % greater. Hours know nothing of each other.
///
/// Without a control the same hour of the last day before the change stands in for it. An hour without any value on
/// either side is *Nodata*, which alone scores 0. Kayenta adds random noise to constant series; here they are compared
/// as they are, so that the same series gives the same answer.
#[derive(Clone, Debug)]
pub struct Kayenta {
    course: Course,
    /// The last day before the change, by the time of day.
    before: Vec<(u64, f64)>,
    hour: u64,
    judged: Vec<f64>,
    control: Vec<f64>,
    failing: bool,
}

impl Kayenta {
    /// `history` is what came before the change.
    pub fn new(history: &[Sample], course: Course) -> Self {
        let end = history.last().map_or(0, |sample| sample.at_ms);
        let last_day = history.iter().filter(|sample| end.saturating_sub(sample.at_ms) < DAY_MS);
        let mut before: Vec<(u64, f64)> =
            last_day.filter_map(|sample| Some((sample.at_ms % DAY_MS, value(sample)?))).collect();
        before.sort_unstable_by_key(|(at, _)| *at);
        Self { course, before, hour: 0, judged: Vec::new(), control: Vec::new(), failing: false }
    }

    fn of_the_day_before(&self, at_ms: u64) -> Option<f64> {
        let at = at_ms % DAY_MS;
        let index = self.before.partition_point(|(time, _)| *time < at);
        self.before.get(index).filter(|(time, _)| time - at < self.course.interval_ms.max(1)).map(|(_, value)| *value)
    }

    fn judge(&mut self, at_ms: u64) -> Option<Firing> {
        let (judged, control) = (std::mem::take(&mut self.judged), std::mem::take(&mut self.control));
        let verdict = classify(&judged, &control, self.course.direction);
        let began = verdict.filter(|_| !self.failing);
        self.failing = verdict.is_some();
        began.map(|(rule, size)| Firing { at_ms, rule, action: Action::Rollback, size })
    }
}

/// High, Low and Nodata, with the difference of the means; `None` for Pass.
fn classify(judged: &[f64], control: &[f64], direction: Direction) -> Option<(&'static str, Option<f64>)> {
    let Some(test) = RankTest::of(judged, control, CONFIDENCE) else {
        return Some(("Nodata", None));
    };
    // As published: where the control's mean is 0 there is no ratio and the effect counts as none.
    let level = mean(control.iter().copied())?;
    let ratio = if level == 0.0 { 1.0 } else { mean(judged.iter().copied())? / level };
    let bound = TOLERANCE * test.shift.abs();
    let high = test.low > bound && ratio >= ALLOWED && direction != Direction::HigherIsBetter;
    let low = test.high < -bound && ratio <= 1.0 / ALLOWED && direction != Direction::LowerIsBetter;
    match (high, low) {
        (true, _) => Some(("High", Some(ratio - 1.0))),
        (_, true) => Some(("Low", Some(ratio - 1.0))),
        _ => None,
    }
}

impl RuleSet for Kayenta {
    fn name(&self) -> &'static str {
        "Kayenta-style"
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        let hour = self.course.window(sample.at_ms, HOUR_MS);
        let mut began = None;
        if hour > self.hour {
            // The hour's last sample never came.
            began = self.judge(sample.at_ms);
            self.hour = hour;
        }
        self.judged.extend(value(sample));
        let control = sample.control.or_else(|| self.of_the_day_before(sample.at_ms));
        self.control.extend(control.filter(|value| value.is_finite()));
        if self.course.ends_window(sample.at_ms, HOUR_MS) {
            began = self.judge(sample.at_ms).or(began);
            self.hour += 1;
        }
        began
    }
}
