//! `cargo xtask faults`: builds the schedules of faults in release and runs them.

use std::path::Path;

use anyhow::Result;

use crate::process;

/// Runs `seeds` schedules from `first` on, or one, or with `planted` looks for the planted mistakes.
pub(crate) fn run(root: &Path, seeds: u64, first: u64, seed: Option<u64>, planted: bool) -> Result<()> {
    let mut command = process::cargo(root);
    command.args(["run", "--release", "--package", "townlet-lab", "--bin", "faults"]);
    if planted {
        command.args(["--features", "planted"]);
    }
    command.arg("--");
    match seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => command.args(["--seeds", &seeds.to_string(), "--first", &first.to_string()]),
    };
    if planted {
        command.arg("--planted");
    }
    process::run(&mut command)
}
