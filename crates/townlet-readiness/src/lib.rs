//! Readiness: suites run as processes, judged, and recorded so that somebody else can check it.
//!
//! **What it is.** [`suite`] reads a suites file, runs its commands one after the other, and judges them: exit codes, what
//! JUnit and Criterion files say ([`results`]), thresholds in the grammar of `townlet-policy`, rates over earlier runs
//! ([`history`]). [`report`] is what is left: a scorecard with every suite and every attempt, and a report that binds it by
//! digest. [`rehearsal`] runs the steps of a rollback against deadlines, and records what came of it.
//!
//! **What it is not.** It signs nothing and decides about no release, and it sends nothing anywhere: an
//! [`Observer`](suite::Observer) hears of metrics and spans. It has no clock: [`Clock`] and [`Processes`] are arguments.
//!
//! # Guarantees
//! - A run ends in a report unless the disk fails. A command that does not start, hangs or is killed is a recorded
//!   attempt; suites that come after a blocking failure are recorded as not run.
//! - A suite is who its name says, and may share its kind with others. Thresholds that could never fire are refused when
//!   the file is read; what is unknown is no pass.
//! - A command sees the variables that the file names, nothing else, and nothing of its process group outlives it.
//! - Memory is bounded: of a long output the beginning and the end are kept.
//! - Records that were edited, cut or exchanged are found by [`report::open`], as far as digests reach: whoever can
//!   write the whole folder can write another run. Signatures are for that.
//!
//! # Limits
//! Unix only. What a command starts outside of its process group (`setsid`) is not killed, and where the runner itself is
//! killed (SIGKILL), its command goes on; such a run leaves no report. Logs are kept as they were
//! written: a command that prints secrets leaves them there.
//!
//! # Example
//! ```
//! use townlet_policy::Findings;
//! use townlet_readiness::suite::Config;
//!
//! let text = "suites: [{ name: unit, kind: unit, command: [cargo, test], timout: 15m }]";
//! let mut found = Findings::new("suites.yaml", text);
//! assert!(Config::read(text, &mut found).is_none());
//! assert!(found.to_string().contains("help: write timeout"));
//! ```

mod clock;
mod digest;
pub mod history;
mod moment;
mod process;
mod reading;
pub mod rehearsal;
pub mod report;
pub mod results;
pub mod suite;

pub use clock::{Clock, SystemClock};
pub use digest::{Digest, FileDigest};
pub use moment::{Moment, MomentError};
pub use process::{Ended, Invocation, Output, Processes, Ran, UnixProcesses};
