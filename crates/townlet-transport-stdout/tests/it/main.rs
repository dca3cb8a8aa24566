//! In memory where bytes are counted, in a process of its own where pipes matter.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod partial;
mod process;
