//! Benchmarks against other pipelines, in one run, as ratios; and the promised
//! figures, each with a measurement.
//!
//! **What it is.** The program `bench` measures what a call of `emit` costs, how
//! many events get to a file or a peer, what the transforms take and how fast a
//! collector takes lines in, each beside other ways to do the same, and holds
//! the figures against [`budgets`]. The program `prove` measures what is promised
//! beside speed: see [`prove`].
//!
//! **What it is not.** Not a micro-benchmark of functions, and no source of
//! absolute figures: the speed of a shared machine drifts by a factor of two.
//!
//! # Guarantees
//! - Contenders of a comparison run in interleaved rounds, each round opened by
//!   another one; a ratio is the median of the ratios within each round.
//! - A lossless contender that loses an event fails the run. What the others
//!   lose is counted at the far end.
//! - Rivals are set up at their best, see [`rivals`]. They write the bare event;
//!   ours writes its envelope (run, stream, seq, tick: about 140 bytes a line)
//!   beside it. The fastest rivals run a second time with the same lines as ours.
//! - Making an event is not timed where a call is, and is part of the rate where
//!   a rate is.
//!
//! The program `faults` proves rather than measures: see [`faults`]. The program
//! `corpus` scores detectors on labelled traces: see [`corpus`].
//!
//! # How single calls are timed
//! Paced calls come on a fixed schedule and are timed one by one, less the cost
//! of reading the clock, which is measured in the same run. Bursts are timed in
//! batches of [`BATCH`](measure::BATCH) calls, so that the clock weighs nothing;
//! their quantiles are those of the batches' averages.
//!
//! ```
//! use townlet_lab::measure::{Contender, Pace, Sample, interleave, time_calls};
//!
//! let count = |step: u64| {
//!     let mut sum = 0;
//!     time_calls(Pace::Burst, 640, |n| n, |_, n| sum += n * step).sample()
//! };
//! let rounds = interleave(3, vec![
//!     Contender::new("ours", || Ok(count(1))),
//!     Contender::new("theirs", || Ok(count(2))),
//! ])?;
//! assert!(rounds.ratio(("ours", "mean"), ("theirs", "mean")).is_some());
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod budgets;
pub mod collect;
pub mod corpus;
pub mod destination;
mod dice;
pub mod emit;
pub mod end_to_end;
pub mod faults;
pub mod measure;
pub mod ours;
pub mod prove;
pub mod report;
pub mod rivals;
pub mod scale;
pub mod stage;
pub mod workload;
