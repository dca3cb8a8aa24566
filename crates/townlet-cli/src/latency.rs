//! How long commands take, for whoever watches a rollout of this program: with
//! `TOWNLET_METRICS_DIR` set, each command adds its time to a short history there
//! and rewrites a textfile for node_exporter.
//!
//! It neither slows nor fails a command: what cannot be written is left out, nobody
//! is waited for, and nothing is synced.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::args::Command;

/// Names the folder; unset or empty writes nothing.
pub(crate) const VARIABLE: &str = "TOWNLET_METRICS_DIR";

/// The file for node_exporter, in that folder.
const TEXTFILE: &str = "townlet_cli.prom";

/// What it is made of.
const HISTORY: &str = ".townlet_cli.history";

/// Held by whoever rewrites the two.
const LOCK: &str = ".townlet_cli.lock";

/// Runs that count: at most so many, the newest, and none that is older than a day.
const RUNS: usize = 500;
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of history that are read; more was not written by this program.
const LARGEST: u64 = 1 << 20;

/// The name of a command that ends by itself once it has its answer. Those that run
/// for as long as they are asked to have no latency.
pub(crate) fn measured(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Validate(_) => "validate",
        Command::Lint(_) => "lint",
        Command::Test(_) => "test",
        Command::Inspect(args) if !args.follow.is_on() => "inspect",
        Command::Replay(args) if !args.follow.is_on() => "replay",
        Command::Spill(_) => "spill",
        Command::Manifest(_) => "manifest",
        Command::Approve(_) => "approve",
        Command::Waive(_) => "waive",
        Command::Attest(_) => "attest",
        Command::Gate(_) => "gate",
        Command::Explain(_) => "explain",
        Command::Diff(_) => "diff",
        Command::ReplayDecision(_) => "replay-decision",
        Command::Certs(_) => "certs",
        Command::Keys(_) => "keys",
        Command::Log(_) => "log",
        Command::Bundle(_) => "bundle",
        Command::Verify(_) => "verify",
        Command::Plan(_) => "plan",
        Command::Backtest(_) => "backtest",
        _ => return None,
    })
}

/// Takes in one run. What fails is logged at the level of details.
pub(crate) fn keep(command: &str, took: Duration) {
    let Some(dir) = std::env::var_os(VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from) else { return };
    if let Err(error) = keep_in(&dir, command, took, SystemTime::now()) {
        tracing::debug!(dir = %dir.display(), %error, "cli_latency_not_kept");
    }
}

fn keep_in(dir: &Path, command: &str, took: Duration, now: SystemTime) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let history = dir.join(HISTORY);
    let run = Run { at_ms: millis(now), command: command.to_owned(), took_us: micros(took) };
    // One short write to the end of a file, so that commands that end together all count.
    OpenOptions::new().append(true).create(true).open(&history)?.write_all(run.line().as_bytes())?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    if lock.try_lock().is_err() {
        // Somebody rewrites them just now; the next command takes this run in.
        return Ok(());
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(File::open(&history)?, LARGEST), &mut text)?;
    let kept = Kept::of(&text, millis(now));
    replace(&dir.join(TEXTFILE), &kept.exposition())?;
    if text.lines().count() > 2 * RUNS {
        // A run that is added between the reading and this is lost to the figures.
        replace(&history, &kept.0.iter().map(Run::line).collect::<String>())?;
    }
    Ok(())
}

/// Puts the text in the place of the file, seen whole or not at all, readable for all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    at_ms: u64,
    command: String,
    took_us: u64,
}

impl Run {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.at_ms, self.command, self.took_us)
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (at, command, took) = (words.next()?, words.next()?, words.next()?);
        let plain = !command.is_empty() && command.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if !plain || words.next().is_some() {
            return None;
        }
        Some(Self { at_ms: at.parse().ok()?, command: command.to_owned(), took_us: took.parse().ok()? })
    }
}

/// The runs that count, the oldest first.
struct Kept(Vec<Run>);

impl Kept {
    fn of(history: &str, now_ms: u64) -> Self {
        let since = now_ms.saturating_sub(millis(UNIX_EPOCH + WINDOW));
        // A torn line of a killed process is nobody's run.
        let mut runs: Vec<Run> = history.lines().filter_map(Run::read).filter(|run| run.at_ms >= since).collect();
        runs.drain(..runs.len().saturating_sub(RUNS));
        Self(runs)
    }

    fn exposition(&self) -> String {
        let mut by_command: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for run in &self.0 {
            by_command.entry(&run.command).or_default().push(run.took_us);
        }
        let all = p95(self.0.iter().map(|run| run.took_us).collect());
        let mut text = String::new();
        let mut family = |name: &str, help: &str, samples: Vec<(String, f64)>| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let labelled = |value: &dyn Fn(&[u64]) -> f64| {
            by_command.iter().map(|(name, took)| (format!("{{command=\"{name}\"}}"), value(took))).collect()
        };
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a command, and a count of at most 500")]
        let (all_ms, seconds, count, last) = (
            all as f64 / 1000.0,
            labelled(&|took| p95(took.to_vec()) as f64 / 1e6),
            labelled(&|took| took.len() as f64),
            self.0.iter().map(|run| run.at_ms).max().unwrap_or_default() as f64 / 1000.0,
        );
        let none = String::new;
        family(
            "cli_latency_p95_ms",
            "95th percentile of the time that commands of townlet took, the newest 500 of a day.",
            vec![(none(), all_ms)],
        );
        family("cli_command_latency_p95_seconds", "The same of each command.", seconds);
        family("cli_command_runs", "Runs of each command that these figures are made of.", count);
        family("cli_last_run_timestamp_seconds", "When the newest of them ended.", vec![(none(), last)]);
        text
    }
}

/// The nearest rank: the smallest value that 95 of 100 do not exceed.
fn p95(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    rank.checked_sub(1).and_then(|at| values.get(at)).copied().unwrap_or_default()
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000 + seconds)
    }

    #[test]
    fn the_percentile_is_the_nearest_rank() {
        assert_eq!(p95(vec![]), 0);
        assert_eq!(p95(vec![7]), 7);
        assert_eq!(p95((1..=20).rev().collect()), 19);
        assert_eq!(p95((1..=100).collect()), 95);
        assert_eq!(p95((1..=101).collect()), 96);
    }

    #[test]
    fn runs_of_the_last_day_count_and_the_history_stays_short() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/there/yet");
        for n in 0..1500 {
            let command = if n % 2 == 0 { "inspect" } else { "gate" };
            keep_in(&dir, command, Duration::from_millis(n), at(n)).unwrap();
        }
        let text = fs::read_to_string(dir.join(TEXTFILE)).unwrap();
        // The newest 500 are 1000 to 1499: the 475th of them.
        assert!(text.contains("\ncli_latency_p95_ms 1474\n"), "{text}");
        assert!(text.contains("\ncli_command_latency_p95_seconds{command=\"gate\"} 1.475\n"), "{text}");
        assert!(text.contains("\ncli_command_runs{command=\"inspect\"} 250\n"), "{text}");
        assert!(fs::read_to_string(dir.join(HISTORY)).unwrap().lines().count() <= 2 * RUNS);
        keep_in(&dir, "gate", Duration::from_millis(3), at(3 * 86_400)).unwrap();
        let text = fs::read_to_string(dir.join(TEXTFILE)).unwrap();
        assert!(text.contains("\ncli_latency_p95_ms 3\n") && !text.contains("inspect"), "{text}");
        let mode = fs::metadata(dir.join(TEXTFILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn a_history_that_somebody_else_wrote_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let lines = "x\n1 2\n\n1795000000000 in\"spect 5\n1795000000000 gate 5 6\n1795000000000 gate 9";
        fs::write(dir.path().join(HISTORY), format!("{lines}000\n1795000000000 gat")).unwrap();
        keep_in(dir.path(), "gate", Duration::from_millis(2), at(0)).unwrap();
        let text = fs::read_to_string(dir.path().join(TEXTFILE)).unwrap();
        // The torn line swallows the run that came after it, and no other.
        assert!(text.contains("\ncli_latency_p95_ms 9\n") && text.contains("{command=\"gate\"} 1\n"), "{text}");
    }

    #[test]
    fn while_somebody_rewrites_the_file_a_run_is_added_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::create(dir.path().join(LOCK)).unwrap();
        lock.lock().unwrap();
        keep_in(dir.path(), "gate", Duration::from_millis(2), at(0)).unwrap();
        assert!(!dir.path().join(TEXTFILE).exists());
        drop(lock);
        keep_in(dir.path(), "gate", Duration::from_millis(4), at(1)).unwrap();
        assert!(
            fs::read_to_string(dir.path().join(TEXTFILE)).unwrap().contains("cli_command_runs{command=\"gate\"} 2\n")
        );
    }
}
