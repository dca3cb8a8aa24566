//! This repository's own release: its suites, its manifest, a decision about it for `dev`, and a second look at that
//! decision, by the binary that was just built and with the files in `release/`.
//!
//! Its keys are made for the run, so the decision proves nothing to others. It shows that the way is open, and that a step
//! of `ci` that failed closes it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::townlet::Townlet;

/// Where the suites find what `ci` has done so far.
const STEPS: &str = "target/ci/steps.xml";
/// Where the draft of the manifest finds the binary, whatever the target folder is.
const BINARY: &str = "target/ci/townlet";
/// Beside the evidence of the smoke suite, which empties its folder first.
const OUT: &str = "smoke-out/release";
const NAME: &str = "ci";

/// Takes away what an earlier run left, so that nobody takes it for this one's.
pub(crate) fn forget(root: &Path) -> Result<()> {
    match fs::remove_file(root.join(STEPS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context(STEPS),
        _ => Ok(()),
    }
}

/// `steps` is JUnit: what the run came to so far.
pub(crate) fn run(root: &Path, townlet: &Path, steps: &str) -> Result<()> {
    fs::create_dir_all(root.join("target/ci"))?;
    fs::write(root.join(STEPS), steps).context(STEPS)?;
    let binary = root.join(BINARY);
    fs::copy(townlet, &binary).with_context(|| format!("copying {}", townlet.display()))?;
    let out = root.join(OUT);
    // An earlier run's keys would be used again.
    match fs::remove_dir_all(&out) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(OUT),
        _ => {}
    }
    let townlet = Townlet::at(&binary);
    let said = townlet.release(root, NAME, &out)?;
    print!("{said}");
    ensure!(said.starts_with(&format!("approve: {NAME} may go to dev")), "the decision is another one");
    let (bundle, keys) = (out.join(format!("{NAME}.bundle")), out.join("townlet-keys.json"));
    print!("{}", townlet.verify(&bundle, &keys)?);
    Ok(())
}
