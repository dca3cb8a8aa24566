//! Tests of townlet-rollout.

mod engine;
mod file;
mod properties;
mod rules;
mod series;
mod simulate;
mod step2;
mod world;
