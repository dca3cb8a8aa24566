//! Tests of townlet-rollout.

mod engine;
mod properties;
mod rules;
mod world;
