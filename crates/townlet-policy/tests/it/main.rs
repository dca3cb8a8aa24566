//! Tests of the grammar, the evaluator and the YAML reader.

mod checklist;
mod evaluate;
mod evaluate_model;
mod grammar;
mod guide;
mod lint;
mod lint_exact;
mod mutate;
mod notation;
mod policy;
mod promtool;
mod samples;
mod suite;
mod yaml;
