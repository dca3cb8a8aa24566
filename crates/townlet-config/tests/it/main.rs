//! The crate as its users see it.

#![expect(clippy::unwrap_used, reason = "a test stops where its expectation does not hold")]

mod bounds;
mod cadence;
mod dead_letters;
mod dump;
mod endpoints;
mod keys;
mod layers;
mod nats;
mod publishing;
mod reloading;
mod rendering;
mod rules;
mod samples;
mod security;
mod seed;
mod sinks;
mod spill;
mod support;
mod transforms;
mod websocket;
mod yaml;
