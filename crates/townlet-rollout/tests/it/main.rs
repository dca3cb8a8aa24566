//! Tests of townlet-rollout.

mod backtest;
mod engine;
mod file;
mod preflight;
mod properties;
mod rules;
mod series;
mod simulate;
mod step2;
mod steps;
mod world;
