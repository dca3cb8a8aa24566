//! The committed JSON Schemas, which the types generate: `crates/townlet-schema/schemas/`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::artifacts::Artifacts;
use crate::process;

/// The folder of the committed schemas, one sub-folder per version.
pub(crate) const FOLDER: &str = "crates/townlet-schema/schemas";

/// Compares the committed schemas with the types, or writes those of the current version.
pub(crate) fn run(root: &Path, artifacts: &Artifacts, bless: bool) -> Result<()> {
    let mode = if bless { "--bless" } else { "--check" };
    process::run(Command::new(artifacts.schema_example()?).arg(mode).arg(root.join(FOLDER)).current_dir(root))
}
