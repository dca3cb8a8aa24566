//! Whether a release may go to an environment: [`Inputs::decide`].
//!
//! A [`Board`] says what each environment demands, [`Inputs`] are what there is. The [`Decision`] says how each
//! condition stands, with every reason and not the first alone, and what would change it.
//!
//! # What counts
//! - Unknown is no pass. Only a waiver on the ground that the evidence is unavailable covers it.
//! - A statement counts if its signature is believed at the time that it gives and at the time of the decision, if the
//!   signer is who it speaks for, and holds the role. What does not count is listed with the reason.
//! - Approvals and waivers are about one manifest to the byte. Each role takes a person of its own; the author is none
//!   of them, and waives nothing.
//! - Attestations, incidents, and what speaks against a release are believed as of when they were signed: a training does
//!   not end, an incident does not open again, and what failed does not pass, because somebody has a new key. What a
//!   revoked key signed before its revocation stays, as in every ring.
//! - Ages are compared to the millisecond. What is dated later than the decision does not count.
//! - The last rehearsal of the rollback plan decides, and of two at one moment the one that failed.
//!
//! # What speaks against a release
//! A failed or slow rehearsal, a failed run and an open incident do. Who leaves them out gets another answer, so whoever gathers the
//! statements takes them from a log from which nothing can be left out. To leave out anything else never helps.

mod approvals;
mod attestation;
mod board;
mod case;
mod change;
mod code;
mod decision;
mod desk;
mod diff;
mod explain;
mod flip;
mod incident;
mod judge;
mod policy;
mod replay;
mod rules;
mod samples;
mod verdict;
mod waivers;

use std::time::Duration;

use townlet_registry::Time;

pub use attestation::{AttestationRule, Holder};
pub use board::{Approvals, Board, Demands, Policies, ReadinessDemand, RehearsalDemand, WaiverRules};
pub use case::{Case, Given, Measured, Submitted};
pub use change::Change;
pub use code::Code;
pub use decision::{DECISION_FORM, Decision, Input, Inputs, LogHead, Part, Unusable};
pub use desk::Desk;
pub use diff::{Difference, diff};
pub use explain::{explain, explain_code, on_one_row};
pub use flip::Flip;
pub use incident::IncidentRules;
pub use judge::Judgement;
pub use policy::read_policy;
pub use replay::{Replay, ReplayError, replay};
pub use samples::{SAMPLES_FORM, Sample, SampleSeries, Samples};
pub use verdict::{Condition, NotCounted, Observed, Reason, Standing, Verdict};

/// How long after `earlier` it is; `None` where it is before it.
fn since(later: Time, earlier: Time) -> Option<Duration> {
    u64::try_from(later.as_ms().checked_sub(earlier.as_ms())?).ok().map(Duration::from_millis)
}
