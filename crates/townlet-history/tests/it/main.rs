//! The tests of the crate.

mod checklist;
mod figures;
mod incidents;
mod permits;
mod reading;
mod readyz;
mod support;
