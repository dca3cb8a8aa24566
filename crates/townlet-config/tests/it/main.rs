//! The crate as its users see it.

mod bounds;
mod cadence;
mod dump;
mod endpoints;
mod keys;
mod layers;
mod rendering;
mod rules;
mod samples;
mod seed;
mod support;
mod transforms;
mod yaml;
