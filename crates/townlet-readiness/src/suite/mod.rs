//! Suites: what to run, and running it.

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
