//! The command lines of the `townlet` binary and the JSON that it answers with, in one place.
//!
//! Everything else in xtask speaks to the product through this file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::process::{self, Finished, Process};

/// No single command of the suite may take longer.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Suites, manifest, gate and bundle of a release together.
const RELEASE_LIMIT: Duration = Duration::from_secs(120);

/// Exit codes of every `townlet` command, as far as the suite meets them.
pub(crate) mod exit {
    pub(crate) const YES: i32 = 0;
    pub(crate) const BAD_CONFIG: i32 = 2;
    pub(crate) const PEER_UNAVAILABLE: i32 = 3;
}

/// The length and seed of a run of the town.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) ticks: u64,
    pub(crate) agents: u64,
    pub(crate) seed: u64,
}

/// The binary under test.
pub(crate) struct Townlet {
    binary: PathBuf,
}

impl Townlet {
    pub(crate) fn at(binary: &Path) -> Self {
        Self { binary: binary.to_owned() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // Its log events are part of what is checked, so the level is not left to the environment.
        command.args(words).env("RUST_LOG", "info").env("NO_COLOR", "1");
        command
    }

    /// `townlet --version`, without the line end.
    pub(crate) fn version(&self) -> Result<String> {
        let answer =
            process::capture(&mut self.command(&["--version"]), COMMAND_LIMIT)?.expect_code(exit::YES, "--version")?;
        Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    }

    /// `townlet certs`: a throw-away authority with a server and a client certificate for localhost.
    pub(crate) fn certs(&self, out: &Path) -> Result<()> {
        let answer = process::capture(self.command(&["certs", "--out"]).arg(out), COMMAND_LIMIT)?;
        answer.expect_code(exit::YES, "certs").map(drop)
    }

    /// `townlet simulate`, to its end. With `status`, it writes its last transport status and statement there.
    pub(crate) fn simulate(
        &self,
        config: &Path,
        run: Run,
        status: Option<&Path>,
        to: Option<&Path>,
    ) -> Result<Finished> {
        let mut command = self.command(&["simulate", "--config"]);
        command.arg(config).args(["--ticks", &run.ticks.to_string(), "--agents", &run.agents.to_string()]);
        // Health lines tell of wall time and of the sinks; without them the same seed gives the same bytes.
        command.args(["--seed", &run.seed.to_string(), "--deterministic"]);
        if let Some(path) = status {
            command.arg("--status-path").arg(path);
        }
        if let Some(path) = to {
            command.arg("--telemetry-path").arg(path);
        }
        process::capture(&mut command, COMMAND_LIMIT)
    }

    /// `townlet validate`, with further words.
    pub(crate) fn validate(&self, config: &Path, words: &[&str]) -> Result<Finished> {
        process::capture(self.command(&["validate"]).arg(config).args(words), COMMAND_LIMIT)
    }

    /// `townlet smoke`: the post-deployment checks against a live end point.
    pub(crate) fn smoke(&self, config: &Path) -> Result<Finished> {
        process::capture(self.command(&["smoke", "--config"]).arg(config), COMMAND_LIMIT)
    }

    /// `townlet inspect FILE --json`.
    pub(crate) fn inspect(&self, file: &Path) -> Result<Inspection> {
        let answer = process::capture(self.command(&["inspect", "--json"]).arg(file), COMMAND_LIMIT)?;
        let answer = answer.expect_code(exit::YES, &format!("inspect {}", file.display()))?;
        serde_json::from_slice(&answer.stdout).with_context(|| format!("inspect {} wrote no such JSON", file.display()))
    }

    /// `townlet inspect FILE --against BASELINE`: exit code 0 means no drift.
    pub(crate) fn drift(&self, file: &Path, baseline: &Path) -> Result<Finished> {
        process::capture(self.command(&["inspect"]).arg(file).arg("--against").arg(baseline), COMMAND_LIMIT)
    }

    /// `townlet release` of the workspace at `root` for dev, with keys of its own below `out`; what it says.
    pub(crate) fn release(&self, root: &Path, name: &str, out: &Path) -> Result<String> {
        let mut command = self.command(&["release", "release", "--env", "dev", "--trial-keys", "--name", name]);
        command.arg("--out").arg(out).current_dir(root);
        let answer = process::capture(&mut command, RELEASE_LIMIT)?.expect_code(exit::YES, "release")?;
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// `townlet verify`: a bundle, by nothing but public keys; what it says.
    pub(crate) fn verify(&self, bundle: &Path, keys: &Path) -> Result<String> {
        let answer = process::capture(self.command(&["verify"]).arg(bundle).arg("--keys").arg(keys), COMMAND_LIMIT)?;
        let answer = answer.expect_code(exit::YES, "verify")?;
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// `townlet collect` on a port that the system picks; the first address it prints is where it listens.
    pub(crate) fn collect(&self, certs: &Path, out: &Path) -> Result<(Process, std::net::SocketAddr)> {
        let mut command = self.command(&["collect", "--listen", "127.0.0.1:0", "--cert"]);
        command.arg(certs.join("server.pem")).arg("--key").arg(certs.join("server.key")).arg("--out").arg(out);
        let mut collector = Process::start(&mut command)?;
        let address = collector.wait_for(Duration::from_secs(20), |line| {
            let words = line.split(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | ','));
            words.filter_map(|word| word.parse::<std::net::SocketAddr>().ok()).find(|address| address.port() != 0)
        })?;
        Ok((collector, address))
    }
}

/// What `inspect --json` says of a stream.
#[derive(Deserialize)]
pub(crate) struct Inspection {
    pub(crate) records: u64,
    pub(crate) by_kind: BTreeMap<String, u64>,
    schema_versions: Value,
    tick_gaps: Value,
    duplicates: Value,
    invalid: Value,
}

impl Inspection {
    pub(crate) fn kind(&self, name: &str) -> u64 {
        self.by_kind.get(name).copied().unwrap_or(0)
    }

    /// Fails unless every line was read and no tick is missing or doubled.
    pub(crate) fn is_clean(&self) -> Result<()> {
        ensure!(self.records > 0, "no records");
        for (what, value) in
            [("invalid", &self.invalid), ("tick_gaps", &self.tick_gaps), ("duplicates", &self.duplicates)]
        {
            ensure!(count(value) == 0, "{what}: {value}");
        }
        Ok(())
    }

    /// Fails unless every line was read. A foreign stream may have gaps of its own.
    pub(crate) fn is_readable(&self) -> Result<()> {
        ensure!(self.records > 0 && count(&self.invalid) == 0, "{} records, invalid: {}", self.records, self.invalid);
        Ok(())
    }

    /// Whether the stream holds records of that schema version.
    pub(crate) fn has_version(&self, version: &str) -> bool {
        match &self.schema_versions {
            Value::Object(map) => map.contains_key(version),
            Value::Array(list) => list.iter().any(|entry| entry == version),
            _ => false,
        }
    }
}

/// A count, or the length of a list of what was counted.
fn count(value: &Value) -> u64 {
    let length = value.as_array().map(Vec::len).or_else(|| value.as_object().map(serde_json::Map::len));
    // Anything else counts as one, so that an unknown form is a finding and not a pass.
    value.as_u64().or(length.map(|length| length as u64)).unwrap_or(1)
}

/// What `simulate --status-path` writes at the end of a run.
#[derive(Deserialize)]
pub(crate) struct Report {
    /// `latest_transport_status()`, with the names of the seeds.
    pub(crate) transport: Value,
    pub(crate) statement: Statement,
}

/// The account of a run: everything that was accepted, and how it ended.
#[derive(Deserialize)]
pub(crate) struct Statement {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) coalesced: u64,
    pub(crate) buffered: u64,
    #[serde(default)]
    pub(crate) spilled: u64,
    pub(crate) residual: i64,
}

impl Report {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("no status at {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} holds no transport status with statement", path.display()))
    }

    /// Fails unless the account balances, by its own word and by ours.
    pub(crate) fn balances(&self) -> Result<()> {
        let Statement { accepted, delivered, dropped, coalesced, buffered, spilled, residual } = &self.statement;
        let ended = delivered + dropped.values().sum::<u64>() + coalesced + buffered + spilled;
        ensure!(
            *residual == 0 && *accepted == ended,
            "accepted {accepted}, accounted for {ended}, residual {residual}"
        );
        ensure!(*accepted > 0, "nothing was accepted");
        Ok(())
    }

    /// Fails unless a field of the transport status has exactly this value.
    pub(crate) fn says(&self, field: &str, value: impl Into<Value>) -> Result<()> {
        let (found, wanted) = (self.transport.get(field), value.into());
        ensure!(found == Some(&wanted), "transport.{field} is {}, not {wanted}", found.unwrap_or(&Value::Null));
        Ok(())
    }
}

/// The frames of a stream, counted by nothing but a JSON reader: the product does not mark its own work here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Frames {
    /// Distinct `(run_id, stream, seq)`; a second rendering of a state is the same frame.
    pub(crate) distinct: u64,
    /// Sequence numbers that are missing below the highest of their stream.
    pub(crate) missing: u64,
    /// The sorted `schema_version`s.
    pub(crate) versions: BTreeSet<String>,
}

impl Frames {
    pub(crate) fn count(bytes: &[u8]) -> Result<Self> {
        let mut streams: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
        let mut versions = BTreeSet::new();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let whole = line.strip_suffix(b"\n").with_context(|| format!("line {} is not ended", index + 1))?;
            let line: Value =
                serde_json::from_slice(whole).with_context(|| format!("line {} is not JSON", index + 1))?;
            let text = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
            versions.extend(text("schema_version"));
            // The marker that opens a file is the transport's own and stands outside the account.
            if text("payload_type").as_deref() == Some("run") {
                continue;
            }
            let seq = line.get("seq").and_then(Value::as_u64);
            let (Some(run), Some(stream), Some(seq)) = (text("run_id"), text("stream"), seq) else {
                anyhow::bail!("line {} lacks run_id, stream or seq", index + 1);
            };
            streams.entry((run, stream)).or_default().insert(seq);
        }
        let distinct = streams.values().map(|seqs| seqs.len() as u64).sum();
        let missing = streams.values().map(|seqs| seqs.last().map_or(0, |last| last - seqs.len() as u64)).sum();
        Ok(Self { distinct, missing, versions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(dropped: u64, residual: i64) -> Report {
        let text = format!(
            r#"{{"transport":{{"connected":true,"last_error":null}},
                "statement":{{"accepted":5,"delivered":3,"dropped":{{"oversize":{dropped}}},"buffered":0,"residual":{residual}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_account_that_hides_a_loss_does_not_balance() {
        report(2, 0).balances().unwrap();
        assert!(report(1, 0).balances().unwrap_err().to_string().contains("accounted for 4"));
        assert!(report(2, 1).balances().is_err());
    }

    #[test]
    fn a_status_field_must_be_there_with_its_value() {
        report(2, 0).says("connected", true).unwrap();
        report(2, 0).says("last_error", Value::Null).unwrap();
        assert!(report(2, 0).says("connected", false).is_err());
        assert!(report(2, 0).says("tls_enabled", Value::Null).is_err());
    }

    #[test]
    fn frames_are_counted_once_and_gaps_are_seen() {
        let line = |kind: &str, stream: &str, seq: u64| {
            format!(
                r#"{{"schema_version":"1.0.0","payload_type":"{kind}","run_id":"r","stream":"{stream}","seq":{seq}}}"#
            ) + "\n"
        };
        let lines = [
            line("run", "town", 0),
            line("diff", "town", 1),
            line("snapshot", "town", 1),
            line("event", "town.events", 3),
        ];
        let frames = Frames::count(lines.concat().as_bytes()).unwrap();
        assert_eq!((frames.distinct, frames.missing), (2, 2));
        assert_eq!(frames.versions, BTreeSet::from(["1.0.0".to_owned()]));
        assert!(Frames::count(b"{\"seq\":1}\n").unwrap_err().to_string().contains("lacks run_id"));
        assert!(
            Frames::count(line("diff", "town", 1).trim_end().as_bytes()).unwrap_err().to_string().contains("not ended")
        );
    }

    #[test]
    fn an_inspection_with_one_bad_line_is_not_clean() {
        let inspection = |invalid: &str| -> Inspection {
            let text = format!(
                r#"{{"records":2,"by_kind":{{"diff":2}},"schema_versions":{{"1.0.0":2}},"runs":1,"tick_gaps":[],
                    "duplicates":0,"noise_lines":0,"invalid":{invalid},"bytes":10}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        inspection("0").is_clean().unwrap();
        assert!(inspection("[{\"line\":7}]").is_clean().is_err());
        assert!(inspection("null").is_readable().is_err());
        assert!(inspection("0").has_version("1.0.0") && !inspection("0").has_version("1.0"));
    }
}
