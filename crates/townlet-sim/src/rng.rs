//! Seeded randomness, one independent stream per subsystem.
//!
//! Every subsystem draws from its own ChaCha8 stream of the same seed, so a subsystem that is added, or that draws
//! more numbers than before, shifts no other one. The conversions from bits to numbers are written here rather than
//! taken from `rand`, because a distribution may change its values between releases and the town's bytes may not.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The subsystems that draw random numbers. The discriminant is the ChaCha stream number: append, never renumber.
#[derive(Debug, Clone, Copy)]
enum Subsystem {
    Newcomers = 1,
    Policy = 2,
    Chats = 3,
    Employment = 4,
    Perturbations = 5,
}

/// One subsystem's source of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, subsystem: Subsystem) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(subsystem as u64);
        Self(rng)
    }

    /// A number in `0.0..1.0`, all 53 bits of it random.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// An integer in `0..n`, and 0 when `n` is 0. The bias of the multiplication is below `n / 2^32`.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// An integer in `low..=high`.
    pub(crate) fn within(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low) + 1)
    }
}

/// The streams of one world.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) newcomers: Stream,
    pub(crate) policy: Stream,
    pub(crate) chats: Stream,
    pub(crate) employment: Stream,
    pub(crate) perturbations: Stream,
}

impl Streams {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            newcomers: Stream::new(seed, Subsystem::Newcomers),
            policy: Stream::new(seed, Subsystem::Policy),
            chats: Stream::new(seed, Subsystem::Chats),
            employment: Stream::new(seed, Subsystem::Employment),
            perturbations: Stream::new(seed, Subsystem::Perturbations),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let mut one = Streams::new(7);
        let mut two = Streams::new(7);
        let chats: Vec<u32> = (0..8).map(|_| one.chats.below(1000)).collect();
        let policy: Vec<u32> = (0..8).map(|_| one.policy.below(1000)).collect();
        assert_ne!(chats, policy);
        // Drawing from `policy` first shifts nothing in `chats`.
        let _ = two.policy.unit();
        assert_eq!(chats, (0..8).map(|_| two.chats.below(1000)).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut s = Streams::new(1).newcomers;
        for _ in 0..10_000 {
            let u = s.unit();
            assert!((0.0..1.0).contains(&u));
            assert!((60..=120).contains(&s.within(60, 120)));
        }
        assert_eq!(s.below(0), 0);
        assert_eq!(s.within(5, 5), 5);
    }
}
