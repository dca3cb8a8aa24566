//! How often `ci` passes, for whoever watches a rollout: `cicd_success_ratio`.
//!
//! Each run of `ci` adds a line to a history under the target folder and rewrites a textfile for node_exporter, in
//! `TOWNLET_METRICS_DIR` where that is set, else beside the history. It never decides how a run ends.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Runs that the ratio is of, the newest.
const RUNS: usize = 50;

/// What a run came to: when it ended, whether it passed, how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    at: u64,
    passed: bool,
    seconds: u64,
}

impl Outcome {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.at, if self.passed { "passed" } else { "failed" }, self.seconds)
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [at, passed, seconds] = words[..] else { return None };
        let passed = match passed {
            "passed" => true,
            "failed" => false,
            _ => return None,
        };
        Some(Self { at: at.parse().ok()?, passed, seconds: seconds.parse().ok()? })
    }
}

/// Takes in how a run ended. What cannot be written is said, and changes nothing else.
pub(crate) fn keep(root: &Path, passed: bool, took: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let history = target(root).join("ci-runs");
    let metrics = std::env::var_os("TOWNLET_METRICS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let outcome = Outcome { at: now, passed, seconds: took.as_secs() };
    match keep_in(&history, metrics.as_deref().unwrap_or(&history), outcome) {
        Ok(file) => eprintln!("cicd_success_ratio is in {}", file.display()),
        Err(error) => eprintln!("cicd_success_ratio was not written: {error:#}"),
    }
}

fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    }
}

fn keep_in(history: &Path, metrics: &Path, outcome: Outcome) -> Result<PathBuf> {
    for folder in [history, metrics] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let kept = history.join("history");
    let before = fs::read_to_string(&kept).unwrap_or_default();
    let mut outcomes: Vec<Outcome> = before.lines().filter_map(Outcome::read).collect();
    outcomes.push(outcome);
    outcomes.drain(..outcomes.len().saturating_sub(RUNS));
    replace(&kept, &outcomes.iter().map(Outcome::line).collect::<String>())?;
    let file = metrics.join("townlet_cicd.prom");
    replace(&file, &exposition(&outcomes))?;
    Ok(file)
}

/// Seen whole or not at all, and by all: node_exporter runs as another user.
fn replace(path: &Path, text: &str) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        readable_for_all(&file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(unix)]
fn readable_for_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_for_all(_file: &File) -> std::io::Result<()> {
    Ok(())
}

fn exposition(outcomes: &[Outcome]) -> String {
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    let last = outcomes.last();
    #[expect(clippy::cast_precision_loss, reason = "at most 50 runs")]
    let ratio = 100.0 * passed as f64 / outcomes.len().max(1) as f64;
    let mut text = String::new();
    for (name, help, value) in [
        ("cicd_success_ratio", "Runs of `cargo xtask ci` that passed, in percent of the newest 50.", ratio.to_string()),
        ("cicd_runs", "Runs that the ratio is of.", outcomes.len().to_string()),
        (
            "cicd_last_run_timestamp_seconds",
            "When the newest of them ended.",
            last.map_or(0, |last| last.at).to_string(),
        ),
        ("cicd_last_run_duration_seconds", "How long it took.", last.map_or(0, |last| last.seconds).to_string()),
    ] {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-success-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_ratio_is_of_the_newest_runs_in_percent_and_promtool_reads_it() {
        let folder = folder();
        let (history, metrics) = (folder.join("history"), folder.join("metrics"));
        let mut file = PathBuf::new();
        // Twenty failures that are too old to count, then one in twenty.
        for n in 0..70 {
            let passed = n >= 20 && n % 20 != 0;
            file = keep_in(&history, &metrics, Outcome { at: 1_795_000_000 + n, passed, seconds: n }).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\ncicd_success_ratio 94\n") && text.contains("\ncicd_runs 50\n"), "{text}");
        assert!(text.contains("\ncicd_last_run_duration_seconds 69\n"), "{text}");
        fs::write(history.join("history"), "torn\n1 passed\n1795000000 passed 5\n").unwrap();
        let again = keep_in(&history, &metrics, Outcome { at: 1_795_000_100, passed: false, seconds: 1 }).unwrap();
        let text = fs::read_to_string(again).unwrap();
        assert!(text.contains("\ncicd_success_ratio 50\n") && text.contains("\ncicd_runs 2\n"), "{text}");
        promtool(&text);
        fs::remove_dir_all(folder).unwrap();
    }

    fn promtool(text: &str) {
        let started = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
        let Ok(mut child) = started else {
            let message = "promtool is not installed (apt-get install prometheus)";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
            eprintln!("SKIPPED: {message}");
            return;
        };
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
    }
}
