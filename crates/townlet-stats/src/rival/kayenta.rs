//! A canary analysis as Kayenta's NetflixACA judge makes it, once an hour.

use super::hours::{Hour, Hours};
use super::{Action, Course, Firing, RuleSet, mean};
use crate::judge::{Judge, Verdict};
use crate::rank::RankTest;
use crate::sample::{Direction, Sample, Scale};

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
    hours: Hours,
    failing: bool,
}

impl Kayenta {
    /// `history` is what came before the change.
    pub fn new(history: &[Sample], course: Course) -> Self {
        Self { hours: Hours::new(history, course), failing: false }
    }
}

impl RuleSet for Kayenta {
    fn name(&self) -> &'static str {
        "Kayenta-style"
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        let mut began = None;
        for hour in self.hours.push(sample) {
            let verdict = classify(&hour, self.hours.course.direction);
            began = verdict.filter(|_| !self.failing).or(began);
            self.failing = verdict.is_some();
        }
        began.map(|(rule, size)| Firing { at_ms: sample.at_ms, rule, action: Action::Rollback, size })
    }
}

/// High, Low and Nodata, with the difference of the means; `None` for Pass.
fn classify(hour: &Hour, direction: Direction) -> Option<(&'static str, Option<f64>)> {
    let present = |values: &[Option<f64>]| values.iter().flatten().copied().collect::<Vec<_>>();
    let control = hour.controls.first().map_or(&[][..], Vec::as_slice);
    let (judged, control) = (present(&hour.judged), present(control));
    let Some(test) = RankTest::of(&judged, &control, CONFIDENCE) else {
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

/// This crate's own [`Judge`], asked of the same hours, with a tolerance of 5 %: *worse* is a rollback, what is
/// inconclusive is none.
///
/// Yesterday is no control: without one an hour is worse only if it is worse than the same hour of every earlier day.
#[derive(Clone, Debug)]
pub struct HourlyJudge {
    hours: Hours,
    judge: Judge,
    failing: bool,
}

impl HourlyJudge {
    /// `history` is what came before the change, up to two weeks of it are looked at.
    pub fn new(history: &[Sample], course: Course) -> Self {
        let judge = Judge { direction: course.direction, scale: Scale::Ratio, tolerance: ALLOWED - 1.0 };
        Self { hours: Hours::new(history, course), judge, failing: false }
    }
}

impl RuleSet for HourlyJudge {
    fn name(&self) -> &'static str {
        "townlet, hourly judge"
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        let mut began = None;
        for hour in self.hours.push(sample) {
            let worse = |control: &Vec<Option<f64>>| self.judge.judge(&hour.judged, control).verdict == Verdict::Worse;
            let failing = !hour.controls.is_empty() && hour.controls.iter().all(worse);
            if failing && !self.failing {
                began = Some(size(&hour));
            }
            self.failing = failing;
        }
        began.map(|size| Firing { at_ms: sample.at_ms, rule: "worse", action: Action::Rollback, size })
    }
}

/// Against the first control.
fn size(hour: &Hour) -> Option<f64> {
    let level = mean(hour.controls.first()?.iter().flatten().copied()).filter(|level| *level != 0.0)?;
    Some(mean(hour.judged.iter().flatten().copied())? / level - 1.0)
}
