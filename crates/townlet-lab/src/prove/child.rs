//! This program started again, for what needs a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

use super::Run;

/// A process that speaks in lines on its standard output. It does not outlive its value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    pub(super) fn start(run: &Run, arguments: &[&OsStr]) -> anyhow::Result<Self> {
        let mut command = Command::new(&run.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {} again", run.program.display()))?;
        let said = child.stdout.take().context("the process has no stdout")?;
        Ok(Self { child, said: BufReader::new(said) })
    }

    /// The next line that it says, without its end.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the process ended after {line:?}");
        Ok(line.trim_end().to_owned())
    }

    /// Ends its standard input, and takes what it says last.
    pub(super) fn account<T: DeserializeOwned>(mut self) -> anyhow::Result<T> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.said.read_to_string(&mut text)?;
        ensure!(self.child.wait()?.success(), "the process failed: {text}");
        serde_json::from_str(&text).with_context(|| format!("the process said {text:?}"))
    }

    /// Kills it at once, whatever it is doing.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing the process")?;
        self.child.wait().map(drop).context("waiting for the process that was killed")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
