//! Tests of the town through its public face. One binary; one module per promise.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "shared functions of tests are tests too")]

mod commands;
mod day;
mod host;
mod invariants;
mod limiter;
mod log;
mod occurrences;
mod policy_events;
mod reproducible;
mod sections;
mod sizes;
mod watch;

use townlet_schema::Snapshot;
use townlet_sim::{TickOutcome, World, WorldOptions};

/// A town with the defaults for everything else.
fn town(seed: u64, agents: u32) -> World {
    World::new(WorldOptions { seed, agents, ..WorldOptions::default() })
}

/// A town whose operator does nothing, so that a test can be the operator.
fn quiet_town(seed: u64, agents: u32) -> World {
    World::new(WorldOptions { seed, agents, operator: false, ..WorldOptions::default() })
}

/// One tick with its snapshot.
fn tick(world: &mut World) -> (TickOutcome, Snapshot) {
    let outcome = world.step();
    let snapshot = world.snapshot(&outcome);
    (outcome, snapshot)
}

fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    townlet_schema::encode_into(snapshot, &mut out).unwrap();
    out
}
