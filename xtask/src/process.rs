//! Child processes: every one that xtask starts, starts here, with its output kept and a deadline.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a child left behind.
pub(crate) struct Finished {
    /// The exit code; `None` when a signal ended the child.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Finished {
    /// Standard output and error as one text, for searching and for evidence.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }

    /// Fails, quoting the end of what the child said, unless it ended with `code`.
    pub(crate) fn expect_code(self, code: i32, what: &str) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        let ended = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        bail!("{what}: expected exit code {code}, got {ended}; it said: {}", tail(&self.text()));
    }
}

/// The cargo that runs us, in the workspace's folder.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command with our own output, and fails unless it succeeds. For cargo, whose output people read live.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", show(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", show(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", show(command));
    }
    Ok(())
}

/// Runs a command to its end, at most for `limit`, and returns what it wrote.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<Finished> {
    Process::start(command)?.finish(limit)
}

/// The command line as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a text: enough to see why something failed.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" / ")
}

enum Pipe {
    Out,
    Err,
}

/// A running child. Dropping it kills it, so a failed check leaves nothing behind.
pub(crate) struct Process {
    child: Child,
    command: String,
    lines: Receiver<(Pipe, Vec<u8>)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Process {
    /// Starts a child without standard input, and reads both its outputs.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let shown = show(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            forward(out, sender.clone(), || Pipe::Out);
        }
        if let Some(err) = child.stderr.take() {
            forward(err, sender, || Pipe::Err);
        }
        Ok(Self { child, command: shown, lines, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Waits for the first line, on either output, in which `pick` finds something.
    pub(crate) fn wait_for<T>(&mut self, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let Some(line) = self.next_line(deadline)? else {
                bail!("`{}` ended early: {}", self.command, tail(&self.said()));
            };
            if let Some(found) = pick(&String::from_utf8_lossy(&line)) {
                return Ok(found);
            }
        }
    }

    /// Asks the child to stop, as an operator would (SIGTERM), and waits for its end.
    pub(crate) fn terminate(self, limit: Duration) -> Result<Finished> {
        // The standard library can only kill; the shell's own `kill` needs no package.
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.child.id().to_string()]).status();
        asked.context("cannot run `sh` to send SIGTERM")?;
        self.finish(limit)
    }

    /// Waits for the end of the child.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Finished> {
        let deadline = Instant::now() + limit;
        while self.next_line(deadline)?.is_some() {}
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.command))?;
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Ok(Finished { code: ExitStatus::code(&status), stdout, stderr })
    }

    /// The next line of either output, `None` when both have ended.
    fn next_line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((pipe, line)) => {
                match pipe {
                    Pipe::Out => self.stdout.extend_from_slice(&line),
                    Pipe::Err => self.stderr.extend_from_slice(&line),
                }
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!("`{}` took too long and was killed; it said: {}", self.command, tail(&self.said()))
            }
        }
    }

    fn said(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the child has ended already, which is what is wanted.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends every line of an output to the channel, from a thread of its own, until the output ends.
fn forward(output: impl Read + Send + 'static, sender: Sender<(Pipe, Vec<u8>)>, pipe: fn() -> Pipe) {
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if sender.send((pipe(), line)).is_err() => return,
                Ok(_) => {}
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_child_that_never_ends_is_killed_at_the_deadline() {
        let started = Instant::now();
        let error = capture(&mut shell("echo started; exec sleep 600"), Duration::from_millis(300)).err().unwrap();
        assert!(error.to_string().contains("took too long"), "{error}");
        assert!(error.to_string().contains("started"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn an_unexpected_exit_code_quotes_what_the_child_said() {
        let finished = capture(&mut shell("echo no such key >&2; exit 2"), Duration::from_secs(20)).unwrap();
        let error = finished.expect_code(0, "validate").err().unwrap().to_string();
        assert!(error.contains("got exit code 2") && error.contains("no such key"), "{error}");
    }

    #[test]
    fn a_server_is_found_by_its_line_and_stopped_by_a_signal() {
        let script = "trap 'echo stopped; exit 0' TERM; echo listening 7; while :; do read x <&3 || :; done";
        let mut server = shell(&format!("exec 3<>\"$0\"; {script}"));
        let fifo = std::env::temp_dir().join(format!("xtask-fifo-{}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut server = Process::start(server.arg(&fifo)).unwrap();
        let port = server
            .wait_for(Duration::from_secs(20), |line| line.strip_prefix("listening ")?.trim().parse::<u16>().ok());
        assert_eq!(port.unwrap(), 7_u16);
        let finished = server.terminate(Duration::from_secs(20)).unwrap();
        std::fs::remove_file(fifo).unwrap();
        assert_eq!((finished.code, finished.stdout), (Some(0), b"listening 7\nstopped\n".to_vec()));
    }
}
