//! One build of all targets, instrumented for coverage by the stable compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

/// What `cargo fuzz` passes, less the sanitizers, which alone need a nightly compiler: the pass that counts edges,
/// the table of their places, and the operands of comparisons, which lead libFuzzer to magic words.
const INSTRUMENTATION: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Cdebug-assertions",
];

/// The targets, ready to run.
pub(super) struct Built {
    /// The folder of all that fuzzing leaves behind.
    pub(super) folder: PathBuf,
    binaries: PathBuf,
}

/// libFuzzer comes as C++ source.
pub(super) fn compiler() -> Result<(), String> {
    let name = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let answers = process::capture(Command::new(&name).arg("--version"), Duration::from_secs(60));
    match answers {
        Ok(answer) if answer.code == Some(0) => Ok(()),
        _ => Err(format!("libFuzzer needs a C++ compiler and `{name}` does not run; Debian's package is `g++`")),
    }
}

impl Built {
    /// Builds all targets into a folder of their own: no other build has these flags.
    pub(super) fn all(root: &Path) -> Result<Self> {
        let host = host(root)?;
        let target_folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = std::path::absolute(target_folder.join("fuzz")).context("no path for the build")?;
        let mut cargo = process::cargo(root);
        // The target is named so that the flags reach neither build scripts nor procedural macros.
        cargo.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
        if std::env::var_os("CI").is_some_and(|value| value == "true") {
            cargo.arg("--locked");
        }
        // Flags of the caller's would leave out these; with both set cargo takes the encoded ones.
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", INSTRUMENTATION.join(" "));
        let behind = "if fuzz/Cargo.lock is behind: cargo update --workspace --manifest-path fuzz/Cargo.toml";
        process::run(cargo.env("CARGO_TARGET_DIR", folder.join("build"))).context(behind)?;
        let binaries = folder.join("build").join(host).join("release");
        Ok(Self { folder, binaries })
    }

    pub(super) fn binary(&self, target: &str) -> PathBuf {
        self.binaries.join(target)
    }
}

/// The compiler's own platform, such as `x86_64-unknown-linux-gnu`.
fn host(root: &Path) -> Result<String> {
    let answer = process::capture(Command::new("rustc").current_dir(root).arg("-vV"), Duration::from_secs(60))?;
    let text = answer.expect_code(0, "rustc -vV")?.text();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("`rustc -vV` names no host")
}
