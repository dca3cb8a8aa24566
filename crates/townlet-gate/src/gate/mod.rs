//! What a gate asks, and of whom: the change board, the policies, the samples.

mod board;
mod code;
mod policy;
mod samples;

pub use board::{Approvals, Board, Demands, Policies, ReadinessDemand, RehearsalDemand, WaiverRules};
pub use code::Code;
pub use policy::read_policy;
pub use samples::{SAMPLES_FORM, Sample, SampleSeries, Samples};
