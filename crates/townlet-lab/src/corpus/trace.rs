//! A metric that does not exist, drawn from a seed.

use townlet_stats::{Counter, Direction, Sample};

use crate::dice::Dice;

const DAY: u64 = 1440;
/// 48 hours.
pub(super) const WATCH: u64 = 2 * DAY;
const MINUTE_MS: u64 = 60_000;
/// A Monday.
const EPOCH_DAY: u64 = 20_000 / 7 * 7 + 4;

/// What a metric is like while nothing is wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A level with independent noise.
    Stationary,
    /// Each minute keeps 0.5 to 0.9 of the deviation of the one before.
    Autocorrelated,
    /// The level swings by 10 to 40 % over the day, with memory of up to 0.8; whole days may stray by 1 %.
    Diurnal,
    /// As diurnal, and days of rest lie 10 to 30 % lower; two weeks of history.
    Weekly,
    /// Spikes of up to 10× for a minute, and of below 2× for up to ten minutes.
    Spikes,
    /// Scrapes that did not happen, for up to half an hour, and single ones without a value.
    Gaps,
    /// A percentile of few requests: noise that leans to one side and is wider at night.
    LowTraffic,
    /// The rate of a counter that begins again now and then; less of it is worse.
    CounterResets,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stationary,
        Self::Autocorrelated,
        Self::Diurnal,
        Self::Weekly,
        Self::Spikes,
        Self::Gaps,
        Self::LowTraffic,
        Self::CounterResets,
    ];

    /// As tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stationary => "stationary",
            Self::Autocorrelated => "autocorrelated",
            Self::Diurnal => "diurnal",
            Self::Weekly => "weekly",
            Self::Spikes => "spikes",
            Self::Gaps => "gaps",
            Self::LowTraffic => "low traffic",
            Self::CounterResets => "counter resets",
        }
    }
}

/// What the change did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// The metric is better by this share from the start on: 0.1 is 10 %.
    Better(f64),
    /// It is worse by this share from a minute of the watch on: 2.0 is three times as much, or a third.
    Worse {
        /// By how much.
        by: f64,
        /// Minutes after the change.
        from: u64,
    },
}

/// A metric before and after a change.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Which one of the corpus.
    pub number: usize,
    /// What it is like.
    pub kind: Kind,
    /// What happened to it.
    pub change: Change,
    /// The standard deviation of a sample over its level.
    pub noise: f64,
    /// Which way is worse.
    pub direction: Direction,
    /// Before the change, in the order of time.
    pub history: Vec<Sample>,
    /// The 48 hours after it.
    pub watch: Vec<Sample>,
    /// When the change was made.
    pub start_ms: u64,
}

impl Trace {
    /// The `number`th trace of the corpus of `seed`. Any hundred in a row have every kind and every change; half have a
    /// control beside them that shares level and habits, and no noise.
    pub fn new(seed: u64, number: usize) -> Self {
        let kind = Kind::ALL[number % Kind::ALL.len()];
        let round = number / Kind::ALL.len();
        let mut dice = Dice::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(number as u64));
        let from = dice.within(30..=1200);
        let change = match round % 8 {
            0 | 2 | 4 => Change::None,
            6 => Change::Better(dice.one_of(&[0.1, 0.2])),
            1 | 5 => Change::Worse { by: 0.1, from },
            3 => Change::Worse { by: dice.one_of(&[2.0, 3.0]), from },
            _ => Change::Worse { by: dice.one_of(&[0.03, 0.05, 0.07, 0.2, 0.3, 0.5, 1.0]), from },
        };
        let ten = matches!(change, Change::Worse { by, .. } if by == 0.1);
        let habits = Habits::drawn(kind, ten, &mut dice);
        // In step with no change and no kind, so that each is seen with a control and without.
        let with_control = (round / 2 + round / 8 + number).is_multiple_of(2);
        let control = with_control.then(|| dice.fork());
        habits.trace(number, kind, change, dice, control)
    }

    /// Whether nothing is wrong with it.
    pub fn is_healthy(&self) -> bool {
        !matches!(self.change, Change::Worse { .. })
    }
}

/// What is drawn once for a trace.
struct Habits {
    level: f64,
    noise: f64,
    memory: f64,
    swing: f64,
    second: f64,
    phase: f64,
    rest: f64,
    /// How far each day lies from the others.
    days: Vec<f64>,
    first_day: u64,
    history_days: u64,
    direction: Direction,
}

impl Habits {
    fn drawn(kind: Kind, ten: bool, dice: &mut Dice) -> Self {
        let steady = matches!(kind, Kind::Stationary | Kind::Autocorrelated | Kind::Spikes | Kind::Gaps);
        let memory = match kind {
            Kind::Stationary => 0.0,
            Kind::Autocorrelated => dice.one_of(&[0.5, 0.6, 0.7, 0.8, 0.9]),
            _ => dice.one_of(&[0.0, 0.3, 0.5, 0.8]),
        };
        let noise = match kind {
            Kind::LowTraffic => dice.one_of(&[0.05, 0.08]),
            // That of the promise.
            _ if ten => 0.02,
            _ => dice.one_of(&[0.01, 0.02, 0.03, 0.05]),
        };
        let stray = match kind {
            Kind::Diurnal | Kind::Weekly => dice.one_of(&[0.0, 0.005, 0.01]),
            _ => 0.0,
        };
        Self {
            days: (0..16).map(|_| 1.0 + stray * dice.normal()).collect(),
            level: dice.one_of(&[12.0, 200.0, 3_000.0]),
            noise,
            memory: if kind == Kind::CounterResets { 0.0 } else { memory },
            swing: if steady { 0.0 } else { 0.1 + 0.3 * dice.uniform() },
            second: if steady { 0.0 } else { 0.1 * dice.uniform() },
            phase: dice.uniform(),
            rest: if kind == Kind::Weekly { 0.1 + 0.2 * dice.uniform() } else { 0.0 },
            first_day: EPOCH_DAY + dice.within(0..=6),
            history_days: if kind == Kind::Weekly { 14 } else { 7 },
            direction: if kind == Kind::CounterResets { Direction::HigherIsBetter } else { Direction::LowerIsBetter },
        }
    }

    /// The level at a minute of the whole, without noise.
    fn level_at(&self, minute: u64) -> f64 {
        let day = (minute % DAY) as f64 / DAY as f64 + self.phase;
        let turn = |times: f64| (std::f64::consts::TAU * times * day).sin();
        // 1970-01-01 was a Thursday.
        let rests = matches!((self.first_day + minute / DAY) % 7, 2 | 3);
        let rest = if rests { 1.0 - self.rest } else { 1.0 };
        let stray = self.days.get((minute / DAY) as usize).copied().unwrap_or(1.0);
        self.level * stray * rest * (1.0 + self.swing * turn(1.0) + self.second * turn(2.0))
    }

    fn trace(&self, number: usize, kind: Kind, change: Change, mut dice: Dice, control: Option<Dice>) -> Trace {
        let start = self.history_days * DAY;
        let at_ms = |minute: u64| (self.first_day * DAY + minute) * MINUTE_MS;
        let worse = if self.direction == Direction::HigherIsBetter { -1 } else { 1 };
        let factor = |minute: u64| match change {
            Change::None => 1.0,
            Change::Better(by) if minute >= start => (1.0 + by).powi(-worse),
            Change::Worse { by, from } if minute >= start + from => (1.0 + by).powi(worse),
            _ => 1.0,
        };
        let mut own = Series::new(self, kind, &mut dice);
        let mut beside = control.map(|mut dice| (Series::new(self, kind, &mut dice), dice));
        let (mut history, mut watch) = (Vec::new(), Vec::new());
        for minute in 0..start + WATCH {
            let level = self.level_at(minute);
            let value = own.next(level * factor(minute), minute, &mut dice);
            let control = beside.as_mut().map(|(series, dice)| series.next(level, minute, dice));
            let Some(value) = value else { continue };
            let sample = Sample { at_ms: at_ms(minute), value, control: control.flatten().flatten() };
            if minute < start { history.push(sample) } else { watch.push(sample) }
        }
        Trace {
            number,
            kind,
            change,
            noise: self.noise,
            direction: self.direction,
            history,
            watch,
            start_ms: at_ms(start),
        }
    }
}

/// One series as it runs: what it remembers from minute to minute.
struct Series<'a> {
    habits: &'a Habits,
    kind: Kind,
    deviation: f64,
    /// Until which minute nothing is scraped, or a spike of which size lasts.
    gap_until: u64,
    spike: (u64, f64),
    missed: bool,
    counter: Counter,
    total: f64,
}

impl<'a> Series<'a> {
    fn new(habits: &'a Habits, kind: Kind, dice: &mut Dice) -> Self {
        let mut counter = Counter::default();
        counter.read(0.0);
        let deviation = dice.normal();
        Self { habits, kind, deviation, gap_until: 0, spike: (0, 1.0), missed: false, counter, total: 0.0 }
    }

    /// The next minute: no scrape at all, or what it had.
    fn next(&mut self, level: f64, minute: u64, dice: &mut Dice) -> Option<Option<f64>> {
        let Habits { noise, memory, .. } = *self.habits;
        self.deviation = memory * self.deviation + (1.0 - memory * memory).sqrt() * dice.normal();
        let noisy = level * (1.0 + noise * self.deviation).max(0.01);
        match self.kind {
            Kind::Spikes => Some(Some(noisy * self.spiked(minute, dice))),
            Kind::Gaps => self.with_gaps(noisy, minute, dice),
            Kind::LowTraffic => {
                // Fewer requests where the level is low: the percentile strays further, and further up than down.
                let width = noise * (self.habits.level / level.min(self.habits.level)).sqrt();
                let lean = width * self.deviation;
                Some(Some(level * (lean + lean * lean / 2.0).exp()))
            }
            Kind::CounterResets => Some(self.counted(noisy, dice)),
            _ => Some(Some(noisy)),
        }
    }

    /// About every four hours a spike; one in three is a single wild sample.
    fn spiked(&mut self, minute: u64, dice: &mut Dice) -> f64 {
        if minute < self.spike.0 {
            return self.spike.1;
        }
        if dice.within(1..=240) != 1 {
            return 1.0;
        }
        let (lasts, size) = match dice.within(0..=2) {
            0 => (1, 2.0 + 8.0 * dice.uniform()),
            _ => (dice.within(1..=10), 1.1 + 0.8 * dice.uniform()),
        };
        // Two spikes do not touch: a wild sample beside another one is a catastrophe.
        self.spike = (minute + lasts, size);
        size
    }

    fn with_gaps(&mut self, value: f64, minute: u64, dice: &mut Dice) -> Option<Option<f64>> {
        if minute < self.gap_until {
            return None;
        }
        if dice.within(1..=300) == 1 {
            self.gap_until = minute + dice.within(1..=30);
            return None;
        }
        // Never two in a row: that is an absence.
        self.missed = !self.missed && dice.within(1..=100) == 1;
        Some((!self.missed).then_some(value))
    }

    /// As a scraper sees it: the increase of a counter, unknown where that began again.
    fn counted(&mut self, rate: f64, dice: &mut Dice) -> Option<f64> {
        let restarts = !self.missed && dice.within(1..=360) == 1;
        self.missed = restarts;
        self.total = if restarts { rate * dice.uniform() } else { self.total + rate };
        self.counter.read(self.total)
    }
}
