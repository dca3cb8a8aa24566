//! `rsyslogd` as it receives the same lines: `imtcp` to `omfile`, on the loopback, lossless.
//!
//! Set up at its best: the line is written as it came (`%rawmsg%`), the queue between input and
//! output gives batches of 1,024 messages, and each batch is written at once.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long it may take to start, or to write what it has read.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kernel counts a process's time in hundredths of a second (`USER_HZ`, proc(5)).
const TICKS_PER_S: f64 = 100.0;

/// A server of its own folder, stopped on drop.
#[derive(Debug)]
pub struct Rsyslog {
    server: Child,
    out: PathBuf,
    port: u16,
}

impl Rsyslog {
    /// Starts it; none where the machine has none.
    ///
    /// # Errors
    /// One that is there and does not start.
    pub fn start(dir: &Path) -> anyhow::Result<Option<Self>> {
        let [conf, out, port] = ["rsyslog.conf", "out.jsonl", "port"].map(|name| dir.join(name));
        std::fs::write(&conf, configuration(dir))?;
        let started = Command::new("rsyslogd")
            .args(["-n", "-f"])
            .arg(&conf)
            .arg("-i")
            .arg(dir.join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = match started {
            Ok(server) => server,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("starting rsyslogd"),
        };
        let mut this = Self { server, out, port: 0 };
        let deadline = Instant::now() + PATIENCE;
        while this.port == 0 {
            ensure!(this.server.try_wait()?.is_none(), "rsyslogd ended; its configuration was {}", conf.display());
            ensure!(Instant::now() < deadline, "rsyslogd does not listen within {PATIENCE:?}");
            park_timeout(Duration::from_millis(5));
            this.port = listening(&port).unwrap_or(0);
        }
        Ok(Some(this))
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until its file holds so many bytes.
    ///
    /// # Errors
    /// Fewer, or more, than that.
    pub fn wait_for(&self, bytes: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let written = std::fs::metadata(&self.out).map_or(0, |file| file.len());
            ensure!(
                written <= bytes,
                "rsyslogd wrote {written} bytes of {bytes}: it does not write lines as they came"
            );
            if written == bytes {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("rsyslogd wrote {written} of {bytes} bytes within {PATIENCE:?}");
            }
            park_timeout(Duration::from_millis(1));
        }
    }

    /// CPU time so far, in seconds, to a hundredth.
    ///
    /// # Errors
    /// A system that does not say.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The second field is a name in parentheses, which may hold blanks; user and system time are 14 and 15.
        let after = stat.rsplit_once(')').context("/proc/PID/stat has no name")?.1;
        let fields: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
        ensure!(fields.len() == 2, "/proc/PID/stat says {stat:?}");
        Ok(fields.iter().sum::<f64>() / TICKS_PER_S)
    }

    /// The most memory that it has had.
    ///
    /// # Errors
    /// A system that does not say.
    pub fn peak_rss_kb(&self) -> anyhow::Result<u64> {
        crate::collect::peak_rss_kb(&self.proc("status")?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.server.id());
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The port in the file, once somebody takes connections there: `rsyslogd` names the port before it listens.
pub fn listening(file: &Path) -> Option<u16> {
    let port = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(port)
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"global(workDirectory="{dir}" maxMessageSize="64k" processInternalMessages="off")
module(load="imtcp")
template(name="asItCame" type="string" string="%rawmsg%\n")
ruleset(name="store" queue.type="fixedArray" queue.size="65536" queue.dequeueBatchSize="1024"
        queue.timeoutEnqueue="60000" queue.workerThreads="1") {{
    action(type="omfile" file="{dir}/out.jsonl" template="asItCame" ioBufferSize="256k" flushOnTXEnd="on")
}}
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{dir}/port" ruleset="store")
"#
    )
}
