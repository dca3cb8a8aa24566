//! Tests of the public surface. Names are sentences.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod coalescing;
mod data;
mod diffs;
mod encoder;
mod follower;
mod forms;
mod network;
mod old_readers;
mod patches;
mod sizes;
