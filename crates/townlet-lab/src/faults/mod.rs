//! Seeded schedules of faults against queue, worker, spill and books, end to end.
//!
//! **What it is.** One seed is one `World`: a process with one or two
//! sinks that share a log, a disk that forgets, tears, fills up and lies, and
//! peers that refuse, cut, stall, panic and lose acknowledgements. Hosts emit,
//! drivers send, the spooler turns, the machine crashes at any step of its disk
//! and starts again on what survived, shutdowns come to their deadlines. The code
//! under test is that of the product: `Sink`, `Machine`, `Spooler`, `Spill`,
//! `Receipt`. Time is a number; nothing sleeps and no thread takes part, so a
//! seed does the same on every machine.
//!
//! Schedules of even seeds have two streams of states beside three of events. Their
//! frames are those of the pipeline (`StateFrames`), merge under `coalesce`, are
//! rendered for the peer by what a real driver has in its hands (`Hands`, with the
//! pipeline's encoder), and arrive at a collector without its sockets (`Receiver`)
//! and at a reader that follows over all runs (`Follower`), and at another one that
//! misses every fourth line. Lost connections may bring their last lines when the
//! next one is open.
//!
//! **What must hold**, after every step:
//! - The books balance, stream by stream, and agree with what emitters were told
//!   and with what the peers got. Memory stays within its bounds.
//! - Nothing arrives that was not accepted, or changed, or after it was counted
//!   dropped while no transport had it.
//! - A line arrives for the first time in the order of its stream, in the run that
//!   made it; from a log that everything goes through also in later runs. (What
//!   was in flight when a run ended may come after what it had on disk.)
//! - What a receipt called durable would survive a power cut at this moment, in
//!   the log or at the peer, and so would as many events as count as spilled.
//! - After a run that ended in order nothing waits in memory.
//! - The collector keeps each number of a stream once, and each keyframe.
//! - A state that a reader or the collector holds is the host's at that number,
//!   exactly; what it tells of earlier ticks happened in states that merged into it,
//!   each told once, in order. No diff misses its base, whatever the connections
//!   before brought, early or late; and each keyframe has a name of its own.
//!
//! And at the end, once faults have stopped: everything that is owed arrives in
//! bounded time, and no event is missing that a receipt or a run that ended in
//! order had promised, unless it was dropped by name.
//!
//! Known limits, of the disk and so of the claims: what a failed sync left in the
//! system's cache looks good to the next process until the machine goes down, so
//! here it goes down with that process; damage by age (bit rot) is the business of
//! the spill's own tests.

mod ground_truth;
mod host;
mod life;
mod mistakes;
mod network;
mod peer;
mod plan;
mod states;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use mistakes::MISTAKES;
pub use world::Tally;

/// A schedule in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which one.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// The steps that led there, where they were asked for.
    pub log: Vec<String>,
}

/// Runs the schedule of one seed, and keeps a log of its steps if asked to.
///
/// # Errors
/// What did not hold, the panics of the code under test included.
pub fn run(seed: u64, keep_log: bool) -> Result<(Tally, Vec<String>), Failure> {
    let mut world = world::World::new(seed, keep_log);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let log = world.take_log();
    match outcome {
        Ok(tally) => Ok((tally, log)),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Failure { seed, what: what.unwrap_or_else(|| "a panic without a message".to_owned()), log })
        }
    }
}

/// Runs schedules with one planted mistake until one fails: the mistake is found.
#[cfg(feature = "planted")]
pub fn find(mistake: &'static str, seeds: impl IntoIterator<Item = u64>) -> Option<Failure> {
    seeds.into_iter().find_map(|seed| {
        townlet_spill::planted::plant(mistake);
        let failure = run(seed, false).err();
        townlet_spill::planted::plant("");
        // A schedule that fails anyway has found something else.
        failure.filter(|_| run(seed, false).is_ok())
    })
}
