//! `cargo xtask prove`: the promised figures, measured by the release build of `townlet-lab`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process;

/// What the measuring binary says: all promises kept, one missed, wrong arguments, not measured.
const SAID: std::ops::RangeInclusive<i32> = 0..=3;

/// Builds and runs the binary with `arguments`; standard output is its own, so that `--json` can be piped.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let mut command = process::cargo(root);
    command.args(["run", "--release", "--package", "townlet-lab", "--bin", "prove", "--"]).args(arguments);
    eprintln!("$ {}", process::show(&command));
    let status = command.status().context("cannot start cargo")?;
    Ok(ExitCode::from(verdict(status.code())))
}

/// A minute of it, with a binary that is there: what is lost, doubled, out of balance or too large is judged, and no
/// time. The development build will do for that.
pub(crate) fn check(root: &Path, prove: &Path) -> Result<()> {
    process::run(Command::new(prove).arg("--quick").current_dir(root))
}

/// The binary's own exit code; whatever else ended it has kept it from measuring.
fn verdict(code: Option<i32>) -> u8 {
    let code = code.filter(|code| SAID.contains(code)).unwrap_or(3);
    u8::try_from(code).unwrap_or(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measurements_verdict_is_kept_and_a_failed_build_or_a_signal_is_no_measurement() {
        for (code, expected) in [(Some(0), 0), (Some(1), 1), (Some(2), 2), (Some(3), 3), (Some(101), 3), (None, 3)] {
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
