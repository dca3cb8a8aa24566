//! `cargo xtask corpus`: every detector of shifts on labelled traces, by the binary of `townlet-lab`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::artifacts::{Artifacts, Build};
use crate::process;

/// What the binary says: all promises kept, one missed, wrong arguments, not scored.
const SAID: std::ops::RangeInclusive<i32> = 0..=3;

/// Builds and runs the binary with `arguments`; standard output is its own, so that `--json` can be piped. The
/// development build will do: the crate that does the work is optimised in it.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<ExitCode> {
    let artifacts = Artifacts::build(root, Build::Corpus)?;
    let mut command = Command::new(artifacts.corpus()?);
    command.args(arguments).current_dir(root);
    eprintln!("$ {}", process::show(&command));
    let status = command.status().context("cannot start the corpus")?;
    let code = status.code().filter(|code| SAID.contains(code)).unwrap_or(3);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(3)))
}

/// A hundred traces, with a binary that is there.
pub(crate) fn check(root: &Path, corpus: &Path) -> Result<()> {
    process::run(Command::new(corpus).current_dir(root))
}
