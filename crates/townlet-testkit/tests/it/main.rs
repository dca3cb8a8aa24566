//! The test support is itself tested: a broken peer would make every other test lie.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod clock;
mod conformance;
mod disk;
mod logs;
mod patience;
mod peer;
mod scripted;
