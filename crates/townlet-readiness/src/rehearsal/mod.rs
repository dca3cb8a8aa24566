//! Rehearsals: the steps of a rollback, really run, with deadlines and a record.
//!
//! The predecessor had a date that somebody typed. Here the tool runs the steps and then the checks that must confirm
//! them, measures, and writes what came of it; [`Record::freshness`] is then a question about evidence.

mod config;
mod freshness;
mod record;
mod runner;

pub use config::{Config, StepConfig};
pub use freshness::{Freshness, latest};
pub use record::{Outcome, Record, Role, StepResult, StepStatus, open, record_file, render};
pub use runner::{Rehearsal, RehearsalError};
