//! Tests of the grammar and of the YAML reader.

mod grammar;
mod yaml;
