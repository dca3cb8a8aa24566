//! The pipeline from the host's side: everything goes in by its public methods and comes out of transports in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod books;
mod dead_letters;
mod determinism;
mod drops;
mod fakes;
mod figures;
mod getters;
mod isolation;
mod leavings;
mod ledger;
mod names;
mod poison;
mod refusals;
mod regressions;
mod replay;
mod sharing;
mod shutdown;
mod spill;
mod states;
mod swaps;
mod tap;
mod wakeups;
