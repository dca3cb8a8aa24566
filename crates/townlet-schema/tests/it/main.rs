//! Tests of the public surface. Names are sentences; data is in `tests/data`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod bad_input;
mod client;
mod encoding;
mod heads;
mod legacy;
mod limits;
mod line;
mod observations;
mod patches;
mod properties;
mod samples;
mod schemas;
mod snapshots;
mod versions;
