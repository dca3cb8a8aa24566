//! Has a metric got worse? What is expected of it, and how far healthy samples stray.
//!
//! **What it is.** [`Baseline`]s from the history of a metric, from a control beside it, or as stated, each with the
//! [`Check`]s of what was assumed.
//!
//! **What it is not.** It has no clock, no randomness and no I/O, and judges nothing.
mod baseline;
mod check;
mod maths;
mod noise;
mod profile;
mod robust;
mod sample;

pub use baseline::{Baseline, BaselineError, Deviation, Reading, Stated};
pub use check::{Assumption, Check};
pub use sample::{Counter, Sample, Scale};
