//! How fast the world steps: agent-ticks per second, median of five runs, for towns of several sizes.
//!
//! `cargo run --release -p townlet-sim --example step_rate`

use std::time::Instant;

use townlet_sim::{World, WorldOptions};

/// Agent-ticks of one run.
const WORK: u64 = 2_000_000;

fn main() {
    println!("{:>8} {:>8} {:>16} {:>16} {:>14}", "agents", "ticks", "agent-ticks/s", "events/tick", "snapshot µs");
    for agents in [1, 6, 50, 1_000, 10_000] {
        let ticks = (WORK / u64::from(agents)).max(200);
        let mut runs: Vec<(f64, f64)> = (0..5).map(|seed| run(seed, agents, ticks)).collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (rate, events) = runs[runs.len() / 2];
        println!("{agents:>8} {ticks:>8} {rate:>16.0} {events:>16.1} {:>14.1}", snapshot_micros(agents));
    }
}

fn run(seed: u64, agents: u32, ticks: u64) -> (f64, f64) {
    let mut world = World::new(WorldOptions { seed, agents, ..WorldOptions::default() });
    let start = Instant::now();
    let events: usize = (0..ticks).map(|_| world.step().events.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    (f64::from(agents) * ticks as f64 / seconds, events as f64 / ticks as f64)
}

/// Mean time to build one snapshot, without encoding it.
fn snapshot_micros(agents: u32) -> f64 {
    let mut world = World::new(WorldOptions { agents, ..WorldOptions::default() });
    let outcome = (0..500).map(|_| world.step()).last();
    let Some(outcome) = outcome else { return 0.0 };
    let rounds = (20_000 / agents).clamp(3, 500);
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(world.snapshot(&outcome));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
}
