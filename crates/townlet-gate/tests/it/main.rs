//! Manifests from files, and decisions that can be replayed.

mod import;
mod manifest;
mod readers;
mod sample;
