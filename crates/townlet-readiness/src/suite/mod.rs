//! Suites: what to run, and running it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use townlet_policy::Findings;
//! use townlet_readiness::report::{Revision, open};
//! use townlet_readiness::suite::{Config, Run, Silent};
//! use townlet_readiness::{Digest, FileDigest, SystemClock, UnixProcesses};
//!
//! let text = "suites: [{ name: unit, kind: unit, command: [echo, fine], timeout: 1m }]";
//! let config = Config::read(text, &mut Findings::new("suites.yaml", text)).ok_or("it is good")?;
//! let out = tempfile::tempdir()?;
//! let run = Run {
//!     config: &config,
//!     config_file: FileDigest { path: "suites.yaml".into(), sha256: Digest::of(text.as_bytes()), bytes: text.len() as u64 },
//!     root: out.path(),
//!     out: out.path(),
//!     run_id: "run-1",
//!     revision: Revision { id: "c0ffee".into(), modified: None },
//!     env: &BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap_or_default())]),
//!     clock: &SystemClock::start(),
//!     processes: &UnixProcesses::default(),
//! };
//! let finished = run.go(&mut Silent)?;
//! assert!(finished.report.overall_passed);
//! assert!(open(out.path())?.findings.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod attempt;
mod config;
mod gather;
mod observe;
pub(crate) mod read;
mod runner;
mod tell;
mod threshold;

pub use config::{BenchSource, Config, Kind, Probe, ResultSources, SuiteConfig};
pub use observe::{Event, Measure, Observer, Silent, Span, SpanStatus, span_id, trace_id};
pub use runner::{Finished, Run, RunError, is_run_id};
pub use threshold::{Given, Threshold};
