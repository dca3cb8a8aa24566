//! The crate as its users see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod config;
mod evidence;
mod history;
mod processes;
mod rehearsals;
mod results;
mod run_model;
mod runs;
mod schemas;
mod support;
mod thresholds;
mod weaknesses;
