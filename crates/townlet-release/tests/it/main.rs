//! Release control in a workspace, and what is told of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod environment;
mod names;
mod otlp;
mod setup;
mod telling;
mod world;
