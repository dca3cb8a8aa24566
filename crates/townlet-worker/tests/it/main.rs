//! The worker, tested without and with threads.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod admission;
mod batching;
mod coalescing;
mod credit;
mod dead_letters;
mod delivery;
mod driver;
mod ending;
mod fakes;
mod model;
mod regressions;
mod renewal;
mod simulation;
mod spooling;
mod threads;
