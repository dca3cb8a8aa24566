//! Manifests from files, and decisions that can be replayed.

mod gate;
mod import;
mod incidents;
mod laws;
mod manifest;
mod people;
mod policies;
mod readers;
mod sample;
mod words;
mod world;
