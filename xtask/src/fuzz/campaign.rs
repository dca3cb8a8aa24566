//! One target for a bounded time: its seeds first, then what libFuzzer makes of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::build::Built;
use super::outcome::Outcome;
use crate::process;

/// What no input may exceed. libFuzzer ends with an artifact where one does.
pub(super) const LIMITS: [&str; 2] = ["-rss_limit_mb=512", "-timeout=10"];

/// The longest input in bytes, for targets that need another than the usual one.
const LENGTHS: &[(&str, usize)] = &[("ack_lines", 1024), ("json_tree", 2048), ("redact", 2048)];
const USUAL_LENGTH: usize = 4096;

pub(super) struct Campaign<'a> {
    pub(super) root: &'a Path,
    pub(super) built: &'a Built,
    pub(super) target: &'a str,
}

impl Campaign<'_> {
    /// Runs the target; an error means that it could not be run, not that it found something.
    pub(super) fn run(&self, time: Duration) -> Result<Outcome> {
        let artifacts = self.folder("artifacts")?;
        let corpus = self.folder("corpus")?;
        let before = files(&artifacts)?;
        let mut command = Command::new(self.built.binary(self.target));
        command.args(LIMITS).arg(format!("-max_total_time={}", time.as_secs()));
        let length =
            LENGTHS.iter().find(|(target, _)| *target == self.target).map_or(USUAL_LENGTH, |(_, length)| *length);
        command.arg(format!("-max_len={length}")).args(["-print_final_stats=1", "-print_corpus_stats=0"]);
        let words = self.root.join(format!("fuzz/dictionaries/{}.dict", self.target));
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        if std::env::var_os("CI").is_some_and(|value| value == "true") {
            // A change is to fail for what it does, not for the luck of a run; luck is for `cargo xtask fuzz`.
            command.arg("-seed=1");
        }
        // The trailing slash makes it a folder.
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        // New inputs go to the first folder; the seeds are only read.
        command.arg(&corpus).arg(self.root.join("fuzz/seeds").join(self.target)).current_dir(self.root);

        let begun = Instant::now();
        // Its own limits end it in time; this one is for a target that does not even begin.
        let finished = process::capture(&mut command, time + Duration::from_secs(300))?;
        let log = self.built.folder.join(format!("{}.log", self.target));
        let text = finished.text();
        std::fs::write(&log, &text).with_context(|| format!("cannot write {}", log.display()))?;
        let found = files(&artifacts)?.difference(&before).map(|path| self.replay(path)).collect();
        Ok(Outcome::read(finished.code, &text, found, log, begun.elapsed()))
    }

    fn folder(&self, of: &str) -> Result<PathBuf> {
        let folder = self.built.folder.join(of).join(self.target);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// The line that runs the target on that input again.
    fn replay(&self, input: &Path) -> String {
        let input = input.strip_prefix(self.root).unwrap_or(input);
        format!("cargo xtask fuzz --target {} --input {}", self.target, input.display())
    }
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
