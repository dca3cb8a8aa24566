//! An analysis as Argo Rollouts runs it.

use super::{Action, Course, Firing, RuleSet, mean, value};
use crate::sample::{Direction, Sample};

const INTERVAL_MS: u64 = 5 * 60_000;
/// `failureLimit`: more measurements than this may not fail, over the whole analysis.
const FAILURES: u32 = 3;
/// `consecutiveErrorLimit`, by default: more measurements than this in a row may not be without a value.
const ERRORS: u32 = 4;
/// The condition of the measurement: no more than 6 % worse than the level.
const TOLERANCE: f64 = 0.06;

/// A measurement every five minutes, of the mean since the one before: it fails where that is over 6 % worse than the
/// level of the 24 hours before the change. The fourth failure ends the analysis, however long ago the others were,
/// and so does the fifth measurement in a row without a value (`failureLimit: 3`, `consecutiveErrorLimit: 4`).
#[derive(Clone, Debug)]
pub struct Argo {
    level: Option<f64>,
    course: Course,
    window: u64,
    seen: Vec<f64>,
    failures: u32,
    errors: u32,
    ended: bool,
}

impl Argo {
    /// Against a level from before the change. Without one each measurement is an error, as a query is that divides
    /// by nothing.
    pub fn new(level: Option<f64>, course: Course) -> Self {
        Self { level, course, window: 0, seen: Vec::new(), failures: 0, errors: 0, ended: false }
    }

    fn measure(&mut self, at_ms: u64) -> Option<Firing> {
        let measured = mean(self.seen.drain(..));
        let size = measured.zip(self.level.filter(|level| *level != 0.0)).map(|(value, level)| value / level - 1.0);
        let rule = match size {
            Some(size) => {
                self.errors = 0;
                let worse = match self.course.direction {
                    Direction::LowerIsBetter => size > TOLERANCE,
                    Direction::HigherIsBetter => size < -TOLERANCE,
                    Direction::Band => size.abs() > TOLERANCE,
                };
                self.failures += u32::from(worse);
                (self.failures > FAILURES).then_some("failureLimit 3")
            }
            None => {
                self.errors += 1;
                (self.errors > ERRORS).then_some("consecutiveErrorLimit 4")
            }
        }?;
        self.ended = true;
        Some(Firing { at_ms, rule, action: Action::Rollback, size })
    }
}

impl RuleSet for Argo {
    fn name(&self) -> &'static str {
        "Argo-style"
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        if self.ended {
            return None;
        }
        let (window, at_ms) = (self.course.window(sample.at_ms, INTERVAL_MS), sample.at_ms);
        // Measurements whose window had no sample at all are errors; no more are needed than end it.
        let late = (self.window..window).take(ERRORS as usize + 2).find_map(|_| self.measure(at_ms));
        self.window = self.window.max(window);
        if late.is_some() {
            return late;
        }
        self.seen.extend(value(sample));
        if !self.course.ends_window(at_ms, INTERVAL_MS) {
            return None;
        }
        self.window += 1;
        self.measure(at_ms)
    }
}
