//! What the checks of one run share: the binary, the folder, the certificates and the collector.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::configs;
use crate::process::{self, Finished, Process};
use crate::samples;
use crate::townlet::{Frames, Report, Run, Townlet};

/// The run that every transport gets, that of a committed sample, so that their streams can be compared.
pub(super) const RUN: Run = samples::TOWN;

pub(super) struct Ground {
    pub(super) townlet: Townlet,
    /// The root of the workspace.
    pub(super) root: PathBuf,
    /// The folder of the artefacts.
    pub(super) out: PathBuf,
    collector: Option<(Process, SocketAddr)>,
}

/// One run of the town with its evidence.
pub(super) struct Outcome {
    pub(super) finished: Finished,
    pub(super) report: Report,
}

impl Ground {
    /// Takes an output folder of its own. An existing one is emptied only if an earlier smoke run wrote it.
    pub(super) fn new(root: &Path, townlet: Townlet, out: &Path) -> Result<Self> {
        if out.exists() {
            let is_ours = out.join("smoke_report.json").is_file() || out.read_dir()?.next().is_none();
            ensure!(is_ours, "{} exists and holds no smoke report; name another folder with --out", out.display());
            std::fs::remove_dir_all(out).with_context(|| format!("cannot empty {}", out.display()))?;
        }
        for folder in ["configs", "logs", "certs"] {
            std::fs::create_dir_all(out.join(folder)).with_context(|| format!("cannot make {}", out.display()))?;
        }
        // Written first, so that a broken-off run is recognised as ours by the next one.
        std::fs::write(out.join("smoke_report.json"), "{}")?;
        Ok(Self { townlet, root: root.to_owned(), out: out.to_owned(), collector: None })
    }

    /// Writes a configuration and returns its path.
    pub(super) fn config(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.out.join("configs").join(format!("{name}.yaml"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Runs the town under that configuration, to its end with exit code 0, and reads its last status.
    pub(super) fn simulate(&self, name: &str, config: &str) -> Result<Outcome> {
        let config = self.config(name, config)?;
        let status = self.out.join("logs").join(format!("{name}.status.json"));
        let finished = self.townlet.simulate(&config, RUN, Some(&status), None)?;
        std::fs::write(self.out.join("logs").join(format!("{name}.stderr.log")), &finished.stderr)?;
        let finished = finished.expect_code(0, &format!("simulate with {name}.yaml"))?;
        let report = Report::read(&status)?;
        report.balances()?;
        Ok(Outcome { finished, report })
    }

    /// The certificates of an authority made for this run, by name.
    pub(super) fn certs(&self, authority: &str) -> PathBuf {
        self.out.join("certs").join(authority)
    }

    pub(super) fn trusted(&self) -> PathBuf {
        self.certs("trusted").join("ca.pem")
    }

    pub(super) fn start_collector(&mut self) -> Result<SocketAddr> {
        let (collector, address) = self.townlet.collect(&self.certs("trusted"), &self.received())?;
        self.collector = Some((collector, address));
        Ok(address)
    }

    pub(super) fn collector_address(&self) -> Result<SocketAddr> {
        self.collector.as_ref().map(|(_, address)| *address).context("not run: the collector did not start")
    }

    /// Stops the collector as an operator would; afterwards its files are whole.
    pub(super) fn stop_collector(&mut self) -> Result<Finished> {
        let (collector, _) = self.collector.take().context("not run: the collector did not start")?;
        let finished = collector.terminate(Duration::from_secs(20))?;
        std::fs::write(self.out.join("logs/collector.log"), finished.text())?;
        Ok(finished)
    }

    fn received(&self) -> PathBuf {
        self.out.join("received")
    }

    /// The files that the collector wrote.
    pub(super) fn received_files(&self) -> Result<Vec<PathBuf>> {
        let (mut open, mut files) = (vec![self.received()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in folder.read_dir().with_context(|| format!("no folder {}", folder.display()))? {
                let path = entry?.path();
                match path.extension() {
                    _ if path.is_dir() => open.push(path),
                    Some(extension) if extension == "jsonl" => files.push(path),
                    _ => {}
                }
            }
        }
        files.sort();
        ensure!(!files.is_empty(), "the collector wrote no .jsonl under {}", self.received().display());
        Ok(files)
    }

    /// The configuration that sends to the collector of this run.
    pub(super) fn tls_config(&self) -> Result<String> {
        Ok(configs::tls(self.collector_address()?.port(), &self.trusted()))
    }

    /// `openssl s_client` against the collector, trusting that authority; `None` where there is no openssl.
    pub(super) fn openssl(&self, authority: &str) -> Result<Option<Finished>> {
        if Command::new("openssl").arg("version").output().is_err() {
            return Ok(None);
        }
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &self.collector_address()?.to_string(), "-servername", "localhost"]);
        client.args(["-verify_hostname", "localhost", "-verify_return_error", "-CAfile"]);
        client.arg(self.certs(authority).join("ca.pem"));
        process::capture(&mut client, Duration::from_secs(20)).map(Some)
    }
}

/// A port on which nobody listens: the system gave it to us and we gave it back.
pub(super) fn dead_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Fails unless the stream holds exactly the frames that the run says it delivered, and no number is missing.
pub(super) fn delivered_frames(report: &Report, bytes: &[u8]) -> Result<Frames> {
    let frames = Frames::count(bytes)?;
    let delivered = report.statement.delivered;
    ensure!(frames.distinct == delivered, "{} frames arrived, {delivered} were called delivered", frames.distinct);
    ensure!(frames.missing == 0, "{} sequence numbers are missing", frames.missing);
    Ok(frames)
}
