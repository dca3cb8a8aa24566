//! Real processes, each in a process group of its own.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::capture::Capture;
use super::{Ended, Invocation, Processes, Ran};

/// How often a wait looks whether the run was called off.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// What a process group has between SIGTERM and SIGKILL, to put its files in order.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long an output that somebody outside the group holds open is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs commands as processes of this machine.
///
/// Each gets a process group of its own, nothing on its standard input, and the environment that it is given, nothing
/// more. The whole group is killed when its time is over (SIGTERM, two seconds, SIGKILL), when the run is called off,
/// and when its leader has ended by itself: what it left in the background does not outlive it.
///
/// **Limit.** A process that leaves the group (`setsid`) is not found. It cannot hold up the run: an output that it keeps
/// open is waited for two seconds and marked [`left_open`](super::Output::left_open).
#[derive(Clone, Debug, Default)]
pub struct UnixProcesses {
    called_off: Arc<AtomicBool>,
}

impl UnixProcesses {
    /// Commands are killed, and no more are started, once `called_off` is true: for the handler of SIGINT, which a
    /// process group of its own would not get.
    #[must_use]
    pub fn new(called_off: Arc<AtomicBool>) -> Self {
        Self { called_off }
    }

    fn is_called_off(&self) -> bool {
        self.called_off.load(Ordering::Relaxed)
    }

    /// Waits for the leader to end, or kills the group. Until the leader is reaped its number is nobody else's.
    fn watch(&self, exited: &Receiver<()>, timeout: Option<Duration>, group: Pid) -> Option<Ended> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let cut_short = loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let nap = left.map_or(LOOK_AROUND, |left| left.min(LOOK_AROUND));
            match exited.recv_timeout(nap) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) if self.is_called_off() => break Some(Ended::Cancelled),
                Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left.is_zero()) => {
                    break Some(Ended::TimedOut);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        if cut_short.is_some() {
            // An error says that the group is gone, which is what is wanted.
            let _ = kill_process_group(group, Signal::TERM);
            let _ = exited.recv_timeout(LAST_WORDS);
        }
        let _ = kill_process_group(group, Signal::KILL);
        cut_short
    }
}

impl Processes for UnixProcesses {
    fn run(&self, invocation: &Invocation<'_>) -> Ran {
        let Some((program, arguments)) = invocation.command.split_first() else {
            return Ran::not_started("the command is empty");
        };
        if self.is_called_off() {
            return Ran { ended: Ended::Cancelled, ..Ran::not_started("") };
        }
        let mut command = Command::new(program);
        command.args(arguments).current_dir(invocation.directory).env_clear().envs(invocation.env).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            // The system says the same of both.
            Err(_) if !invocation.directory.is_dir() => {
                return Ran::not_started(format!("{program}: its working directory is not there"));
            }
            Err(error) => return Ran::not_started(format!("{program}: {error}")),
        };
        let group = Pid::from_child(&child);
        let Watched { stdout, stderr, exited } = match Watched::start(&mut child, group, invocation.output_limit) {
            Ok(watched) => watched,
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                return Ran::not_started(format!("{program}: no thread to watch it: {error}"));
            }
        };
        let cut_short = self.watch(&exited, invocation.timeout, group);
        let status = child.wait();
        let ended = cut_short.unwrap_or_else(|| match status {
            Ok(status) => ended(status),
            Err(error) => Ended::NotStarted { reason: format!("{program}: its end was lost: {error}") },
        });
        // One patience for both.
        let until = Instant::now() + PATIENCE;
        let left = || until.saturating_duration_since(Instant::now());
        Ran { ended, stdout: stdout.finish(left()), stderr: stderr.finish(left()) }
    }
}

/// The threads around a child.
struct Watched {
    stdout: Capture,
    stderr: Capture,
    exited: Receiver<()>,
}

impl Watched {
    fn start(child: &mut Child, pid: Pid, limit: usize) -> io::Result<Self> {
        let missing = || io::Error::other("it has no pipe");
        let stdout = Capture::start(child.stdout.take().ok_or_else(missing)?, limit)?;
        let stderr = Capture::start(child.stderr.take().ok_or_else(missing)?, limit)?;
        let (tell, exited) = sync_channel(1);
        thread::Builder::new().name("readiness-wait".into()).spawn(move || {
            // Without reaping, so that the number of the group stays taken until the group is killed.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
            let _ = tell.send(());
        })?;
        Ok(Self { stdout, stderr, exited })
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited { code },
        (None, Some(signal)) => Ended::Signalled { signal },
        (None, None) => Ended::NotStarted { reason: format!("an end that has no name: {status}") },
    }
}
