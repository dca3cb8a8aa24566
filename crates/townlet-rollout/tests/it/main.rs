//! Tests of townlet-rollout.

mod engine;
mod properties;
mod rules;
mod series;
mod simulate;
mod world;
