//! Tests of the transform crate: one binary.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod arbitrary;
mod bad_input;
mod chain;
mod documents;
mod legacy;
mod normalising;
mod proof;
mod redaction;
mod redaction_properties;
mod start_up;
mod validation;
