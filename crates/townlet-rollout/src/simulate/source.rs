//! Windows of a metric as its history had them.

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use townlet_stats::{Direction, Scale, Stated};

use crate::event::Tick;
use crate::moment::{Moment, ms};
use crate::plan::{BaselineSource, Plan, Signal};
use crate::reference::{Reference, References};

use super::Source;

const DAY_MS: u64 = 86_400_000;
/// Windows that follow each other in the history do so in a simulation, for so long: noise keeps its memory.
const BLOCK: Duration = Duration::from_hours(2);
/// From so many days on, a weekday is drawn from the same weekdays.
const WEEKS_FROM: u64 = 14;

/// What is wrong with a simulated rollout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// So many times as much (so many times less, where less is worse). What is 0 grows by one less than that a window.
    Times(f64),
    /// No samples.
    Absent,
}

/// A fault of a simulated rollout. It is in proportion to the traffic that gets the change.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What.
    pub fault: Fault,
    /// Of which signals; of all where there are none.
    pub signals: Vec<usize>,
    /// From the first window that ends after.
    pub from: Moment,
}

/// Windows drawn from history: at the same time of day, two hours in a row of one day for all signals alike. A signal
/// without a history, whose baseline is stated, has normal noise about that, or independent events at that rate; one
/// with neither has no samples.
#[derive(Clone, Debug)]
pub struct Resampled<'a> {
    signals: &'a [Signal],
    models: Vec<Model<'a>>,
    random: ChaCha8Rng,
    start: Moment,
    block: Option<(u64, Draw)>,
    trouble: Option<Arc<Trouble>>,
}

#[derive(Clone, Debug)]
enum Model<'a> {
    History(&'a Reference),
    Stated {
        stated: Stated,
        deviation: f64,
    },
    /// Events a window.
    Rare(f64),
    Nothing,
}

/// Where a block comes from.
#[derive(Clone, Copy, Debug)]
enum Draw {
    DaysBack(u64),
    /// The history has not a day: from anywhere.
    Anywhere(u64),
}

impl<'a> Resampled<'a> {
    /// Windows after `start`, the end of the history or later.
    #[must_use]
    pub fn new(plan: &'a Plan, history: &'a References, start: Moment, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let signals = plan.signals.iter().enumerate();
        let models = signals.map(|(index, signal)| match (history.of(index), signal.baseline) {
            (Some(reference), _) if reference.samples() > 0 => Model::History(reference),
            (_, BaselineSource::Stated(stated)) => Model::Stated { stated, deviation: normal(&mut random) },
            (_, BaselineSource::Rare(Some(seen))) => Model::Rare(seen.events as f64 / seen.exposure.max(1.0)),
            _ => Model::Nothing,
        });
        let models = models.collect();
        Self { signals: &plan.signals, models, random, start, block: None, trouble: None }
    }

    /// The same with something wrong.
    #[must_use]
    pub fn with(mut self, trouble: Arc<Trouble>) -> Self {
        self.trouble = Some(trouble);
        self
    }

    fn draw(&mut self, due: Moment) -> Draw {
        let number = ms(due.since(self.start)) / ms(BLOCK);
        if let Some((known, draw)) = self.block
            && known == number
        {
            return draw;
        }
        let longest = self.models.iter().filter_map(|model| match model {
            Model::History(reference) => Some((reference.first().as_ms(), reference.until().as_ms())),
            _ => None,
        });
        let (first, until) = longest.max_by_key(|(first, until)| until.saturating_sub(*first)).unwrap_or_default();
        let begin = self.start + Duration::from_millis(number.saturating_mul(ms(BLOCK)));
        let least = begin.as_ms().saturating_add(ms(BLOCK)).saturating_sub(until).div_ceil(DAY_MS).max(1);
        let most = begin.as_ms().saturating_sub(first) / DAY_MS;
        let draw = if most < least {
            Draw::Anywhere(self.random.next_u64())
        } else {
            let weeks = most - least + 1 >= WEEKS_FROM;
            let step = if weeks { 7 } else { 1 };
            let (least, most) = (least.div_ceil(step), most / step);
            Draw::DaysBack(step * (least + self.random.next_u64() % (most - least + 1)))
        };
        self.block = Some((number, draw));
        draw
    }

    fn troubled(&self, index: usize, due: Moment, share: u8, value: Option<f64>) -> Option<f64> {
        let Some(trouble) = self.trouble.as_deref() else { return value };
        let hit = trouble.signals.is_empty() || trouble.signals.contains(&index);
        if !hit || due <= trouble.from || share == 0 {
            return value;
        }
        let Fault::Times(times) = trouble.fault else { return None };
        let more = (times - 1.0) * f64::from(share) / 100.0;
        let down = self.signals.get(index).is_some_and(|signal| signal.direction == Direction::HigherIsBetter);
        value.map(|value| match value {
            0.0 => more.max(0.0),
            value if down => value / (1.0 + more),
            value => value * (1.0 + more),
        })
    }
}

impl Source for Resampled<'_> {
    fn window(&mut self, due: Moment, share: u8) -> Tick {
        let draw = self.draw(due);
        let (mut values, mut control) = (Vec::with_capacity(self.models.len()), Vec::new());
        let random = &mut self.random;
        for (index, (model, signal)) in self.models.iter_mut().zip(self.signals).enumerate() {
            let (value, beside) = match model {
                Model::History(reference) => reference.drawn(due, draw),
                Model::Stated { stated, deviation } => {
                    *deviation =
                        stated.memory * *deviation + (1.0 - stated.memory * stated.memory).sqrt() * normal(random);
                    let value = match signal.scale {
                        Scale::Ratio => stated.level * (stated.sd * *deviation).exp(),
                        Scale::Difference => stated.level + stated.sd * *deviation,
                    };
                    // The last digits of a logarithm differ from machine to machine.
                    (Some((value * 1e6).round() / 1e6), None)
                }
                Model::Rare(rate) => (Some(events(random, *rate)), None),
                Model::Nothing => (None, None),
            };
            values.push(value.filter(|_| share > 0 || !signal.behind_flag));
            if beside.is_some() {
                control.resize(index, None);
                control.push(beside);
            }
        }
        for (index, value) in values.iter_mut().enumerate() {
            *value = self.troubled(index, due, share, *value);
        }
        Tick { due, values, control, lossy: false }
    }
}

impl Reference {
    /// The window of the history that stands for one at `due`.
    fn drawn(&self, due: Moment, draw: Draw) -> (Option<f64>, Option<f64>) {
        let steps = match draw {
            Draw::DaysBack(days) => {
                let back = due.before(Duration::from_millis(days.saturating_mul(DAY_MS)));
                if back < self.first() {
                    return (None, None);
                }
                ms(back.since(self.first())) / self.every_ms().max(1)
            }
            Draw::Anywhere(at) => (due.as_ms() / self.every_ms().max(1)).wrapping_add(at) % self.len().max(1),
        };
        self.window(steps)
    }
}

/// A standard normal value (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = ((-2.0 * uniform(random).ln()).sqrt(), std::f64::consts::TAU * uniform(random));
    radius * angle.cos()
}

/// How many independent events a window has (Knuth); of many the rate itself, as what is not rare is judged by nothing.
fn events(random: &mut ChaCha8Rng, rate: f64) -> f64 {
    if rate > 100.0 {
        return rate.round();
    }
    let (bound, mut product, mut count) = ((-rate).exp(), 1.0, 0.0);
    loop {
        product *= uniform(random);
        if product <= bound {
            return count;
        }
        count += 1.0;
    }
}

/// Between 0 and 1, neither included.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}
