//! Tests of the registry through its public API.

mod canonical;
mod envelopes;
mod keys;
mod support;
