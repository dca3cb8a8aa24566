//! What cargo built, and where: asked of cargo itself, so that a stale file in the target folder is never run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// Which build to ask cargo for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// The `townlet` binary, development profile.
    Townlet,
    /// The `townlet` binary as users run it.
    TownletRelease,
    /// The example that writes the JSON Schemas.
    SchemaExample,
    /// The binary that scores detectors, development profile.
    Corpus,
    /// Everything that the tests need. It selects what `cargo nextest run --workspace` selects, so cargo resolves the
    /// same features and builds nothing twice.
    Tests,
}

impl Build {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Townlet => &["build", "--package", "townlet-cli", "--bin", "townlet"],
            Self::TownletRelease => &["build", "--release", "--package", "townlet-cli", "--bin", "townlet"],
            Self::SchemaExample => &["build", "--package", "townlet-schema", "--example", "schemas"],
            Self::Corpus => &["build", "--package", "townlet-lab", "--bin", "corpus"],
            Self::Tests => &["test", "--workspace", "--no-run"],
        }
    }
}

/// The executables of one build, by kind (`bin`, `example`) and name.
pub(crate) struct Artifacts(BTreeMap<(String, String), PathBuf>);

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Artifacts {
    /// Builds, and notes where the executables are.
    pub(crate) fn build(root: &Path, build: Build) -> Result<Self> {
        let mut command = process::cargo(root);
        command.args(build.arguments()).args(["--message-format", "json-render-diagnostics"]);
        eprintln!("$ {}", process::show(&command));
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("`{}` failed ({})", process::show(&command), output.status);
        }
        Self::from_messages(&String::from_utf8_lossy(&output.stdout))
    }

    fn from_messages(lines: &str) -> Result<Self> {
        let mut found = BTreeMap::new();
        // Tests of build scripts and the like may print other lines; cargo's own messages are objects.
        for line in lines.lines().filter(|line| line.starts_with('{')) {
            let message: Message = serde_json::from_str(line).context("cargo wrote a message that cannot be read")?;
            let (Some(path), Some(target), Some(profile)) = (message.executable, message.target, message.profile)
            else {
                continue;
            };
            if message.reason == "compiler-artifact" && !profile.test {
                found.extend(target.kind.into_iter().map(|kind| ((kind, target.name.clone()), path.clone())));
            }
        }
        Ok(Self(found))
    }

    /// The `townlet` binary.
    pub(crate) fn townlet(&self) -> Result<&Path> {
        self.get("bin", "townlet")
    }

    /// The example that writes the JSON Schemas.
    pub(crate) fn schema_example(&self) -> Result<&Path> {
        self.get("example", "schemas")
    }

    /// The binary that scores detectors.
    pub(crate) fn corpus(&self) -> Result<&Path> {
        self.get("bin", "corpus")
    }

    /// The binary that measures what is promised.
    pub(crate) fn prove(&self) -> Result<&Path> {
        self.get("bin", "prove")
    }

    fn get(&self, kind: &str, name: &str) -> Result<&Path> {
        let key = (kind.to_owned(), name.to_owned());
        self.0.get(&key).map(PathBuf::as_path).with_context(|| {
            format!(
                "cargo built no {kind} `{name}`; `cargo test` builds a bin only where its package has a tests folder"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_harness_is_never_mistaken_for_the_binary() {
        let lines = r#"Compiling something
{"reason":"compiler-artifact","executable":"t/deps/townlet-1","target":{"name":"townlet","kind":["bin"]},"profile":{"test":true}}
{"reason":"compiler-artifact","executable":null,"target":{"name":"townlet_schema","kind":["lib"]},"profile":{"test":false}}
{"reason":"compiler-artifact","executable":"t/townlet","target":{"name":"townlet","kind":["bin"]},"profile":{"test":false}}
{"reason":"build-finished","success":true}"#;
        let artifacts = Artifacts::from_messages(lines).unwrap();
        assert_eq!(artifacts.townlet().unwrap(), Path::new("t/townlet"));
        assert!(artifacts.schema_example().unwrap_err().to_string().contains("schemas"));
    }
}
