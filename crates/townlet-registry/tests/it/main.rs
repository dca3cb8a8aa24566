//! Tests of the registry through its public API.

mod bundles;
mod canonical;
mod checkpoints;
mod damage;
mod envelopes;
mod keys;
mod kills;
mod log;
mod merkle;
mod support;
mod tampering;
mod vetted;
