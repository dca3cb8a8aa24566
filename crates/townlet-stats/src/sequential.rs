//! The lane for small shifts: a test that may be looked at after every sample.

use crate::noise::{BETS, Noise};

/// Six bets on shifts from now on, in each adverse direction, as one Shiryaev–Roberts mixture.
///
/// Each bet's statistic is R ← (1 + R)·exp(b·w − cost). The cost makes the factor at most 1 on average in a healthy
/// metric, so R after n samples is at most n on average, and so is the mean of all: a submartingale, whose chance ever
/// to reach A within n samples is at most n/A (Doob).
#[derive(Clone, Debug)]
pub(crate) struct Mixture {
    bets: Vec<Bet>,
}

/// What the strongest bet says about the shift.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) since_ms: u64,
    samples: f64,
    sharp: f64,
    beside: f64,
}

impl Run {
    /// The mean deviation since the start.
    pub(crate) fn size(&self) -> f64 {
        self.sharp / self.samples.max(1.0)
    }

    /// Whether the control shows at least half of it too.
    pub(crate) fn is_seen_beside(&self) -> bool {
        self.beside * self.sharp > 0.0 && self.beside.abs() >= self.sharp.abs() / 2.0
    }
}

#[derive(Clone, Debug)]
struct Bet {
    sign: f64,
    size: f64,
    cost: f64,
    statistic: f64,
    /// The logarithm since the run's start; at 0 the run begins anew. It says when, not whether.
    gain: f64,
    run: Run,
}

/// What a sample brings: its deviation against either expectation, and the one before with how many steps lie between.
pub(crate) struct Evidence {
    pub(crate) at_ms: u64,
    pub(crate) local_ms: u64,
    pub(crate) sharp: f64,
    pub(crate) beside: f64,
    pub(crate) before: Option<(f64, u64)>,
}

impl Mixture {
    pub(crate) fn new(signs: &[f64], noise: &Noise) -> Self {
        let bet =
            |sign: f64, size: f64, cost: f64| Bet { sign, size, cost, statistic: 0.0, gain: 0.0, run: Run::default() };
        let of_sign = |&sign: &f64| BETS.iter().zip(noise.costs()).map(move |(&size, &cost)| bet(sign, size, cost));
        Self { bets: signs.iter().flat_map(of_sign).collect() }
    }

    /// `band` is what a deviation may be without being evidence.
    pub(crate) fn take(&mut self, noise: &Noise, band: f64, evidence: &Evidence) {
        for bet in &mut self.bets {
            let beyond = |deviation: f64| bet.sign * deviation - band;
            let before = evidence.before.map(|(deviation, gap)| (beyond(deviation), gap));
            let new = noise.innovation(beyond(evidence.sharp), before, evidence.local_ms);
            let gain = bet.size * new - bet.cost;
            // Bounded, so that a statistic nobody acts on stays a number.
            bet.statistic = ((1.0 + bet.statistic) * crate::maths::exp(gain)).min(1e300);
            if bet.gain <= 0.0 {
                bet.gain = 0.0;
                bet.run = Run { since_ms: evidence.at_ms, ..Run::default() };
            }
            bet.gain += gain;
            bet.run.samples += 1.0;
            bet.run.sharp += evidence.sharp;
            bet.run.beside += evidence.beside;
        }
    }

    pub(crate) fn statistic(&self) -> f64 {
        self.bets.iter().map(|bet| bet.statistic).sum::<f64>() / self.bets.len().max(1) as f64
    }

    /// The run of the bet that won most.
    pub(crate) fn run(&self) -> Run {
        let strongest = self.bets.iter().max_by(|a, b| a.statistic.total_cmp(&b.statistic));
        strongest.map(|bet| bet.run).unwrap_or_default()
    }

    /// Forgets what was gathered.
    pub(crate) fn clear(&mut self) {
        for bet in &mut self.bets {
            (bet.statistic, bet.gain, bet.run) = (0.0, 0.0, Run::default());
        }
    }
}
