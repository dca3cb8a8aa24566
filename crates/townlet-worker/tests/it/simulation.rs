//! Seeded schedules of hosts, faults and time against the sink's machines.
//!
//! Everything runs on one thread under virtual time. After every step the books
//! must balance and agree with the fate of every single frame.

mod drive;
mod host;
mod world;

use std::collections::BTreeMap;

use world::World;

/// splitmix64: small, seeded, good enough to make trouble.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x0dd0_5eed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Says how to run one schedule again, where it fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: TOWNLET_SEED={} cargo test -p townlet-worker --test it simulation", self.0);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// What a set of schedules has to have met at least once, or it tests less than it claims.
const SITUATIONS: [&str; 27] = [
    "abandoned by the driver",
    "abandoned by the host",
    "block: released",
    "block: timed out",
    "call stuck",
    "closed",
    "connect failed",
    "disconnect",
    "evicted",
    "evicted upstream",
    "fan_out: lane",
    "fan_out: lane full",
    "finished",
    "late result",
    "oversize",
    "panic",
    "parked",
    "partly settled",
    "pending",
    "rebuild",
    "receipts",
    "receipts failed",
    "rejected",
    "settle_at refused",
    "shutdown while parked",
    "stage dropped",
    "stage panicked",
];

#[test]
fn the_books_balance_and_every_frame_ends_once_under_random_faults() {
    let seeds = match number("TOWNLET_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("TOWNLET_SCHEDULES").unwrap_or(2000),
    };
    let many = seeds.end() - seeds.start() >= 1000;
    let mut met = BTreeMap::new();
    for seed in seeds {
        let _replay = Replay(seed);
        let world = World::new(seed);
        let world = if many { world } else { world.logging() };
        for (situation, times) in world.run() {
            *met.entry(situation).or_insert(0) += times;
        }
    }
    if many {
        let missing: Vec<_> = SITUATIONS.iter().filter(|s| !met.contains_key(*s)).collect();
        assert!(missing.is_empty(), "never met: {missing:?}; met: {met:?}");
    }
}

#[test]
fn the_same_seed_makes_the_same_schedule() {
    for seed in [3, 77, 1234] {
        assert_eq!(World::new(seed).logging().run_to_log(), World::new(seed).logging().run_to_log());
    }
}
