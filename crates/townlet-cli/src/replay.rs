//! `townlet replay`: a captured stream through today's transforms and sinks.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use townlet_config::{BufferConfig, SinkConfig, TelemetryConfig};
use townlet_pipeline::{DropReason, Telemetry};

use crate::args::Replay;
use crate::exit::{Exit, Failure};
use crate::follow::Tail;
use crate::out::say;
use crate::{account, setup, stream};

/// Lines longer than this are not read whole (16 MiB, the largest buffer).
const MAX_LINE: u64 = 16 << 20;

/// Sinks have at least so long, whatever the configuration says of a shutdown.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Replay) -> anyhow::Result<Exit> {
    let factories = setup::factories();
    let loaded = setup::load_or_explain(&args.config, &args.set, &factories)?;
    if let Some(sink) = writer_of(&args.file, &loaded.config, args.follow.is_on()) {
        let file = args.file.display();
        return Err(Failure::usage(format!("{file} is what the sink '{sink}' writes: it would be fed with itself")));
    }
    let mut tail = if args.follow.is_on() { Some(Tail::open(&args.file, &args.follow)?) } else { None };
    let source: Box<dyn Read + '_> = match &mut tail {
        Some(tail) => Box::new(tail),
        None => stream::open(&args.file, "replaying")?,
    };
    let telemetry = setup::start(&loaded.config, &factories, &setup::identity_now())?;
    let replay = telemetry.replay()?;
    let mut pace = Pace::of(&loaded.config);
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let mut line = Vec::new();
    // By a validator in mode `raise`: on nobody's books.
    let mut refused = 0u64;
    // What was read is delivered, and accounted for, before it is said that the rest cannot be read.
    let mut whole = Ok(());
    loop {
        match next_line(&mut reader, &mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                whole = Err(error).with_context(|| format!("reading {}", args.file.display()));
                break;
            }
        }
        if !line.is_empty() {
            let body = Bytes::copy_from_slice(&line);
            pace.wait(&telemetry, body.len());
            if let Err(error) = replay.emit_line(body) {
                tracing::warn!(%error, "line refused");
                refused += 1;
            }
        }
    }
    let timeout = setup::shutdown_timeout(&loaded.config).max(LEAST_PATIENCE);
    let books = telemetry.shutdown(timeout);
    let status = telemetry.latest_transport_status();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&setup::status_json(&status, &books))?)?;
    } else {
        say!("{}", account::table(&telemetry, &books))?;
    }
    whole?;
    let delivered_all = books.sinks.iter().all(|(_, s)| s.account.delivered() == s.account.accepted());
    drop(reader);
    // How far it came is written down only for what arrived, and for what never will: with a
    // line that is no record in the file, all others would come again with every run.
    let settled = books.sinks.iter().all(|(_, s)| {
        let hopeless = s.account.dropped_for(DropReason::InvalidPayload) + s.account.dropped_for(DropReason::NonFinite);
        s.account.delivered() + hopeless == s.account.accepted()
    });
    let missed = match tail {
        Some(tail) if settled => !tail.finish()?,
        _ => false,
    };
    Ok(if books.residual() == 0 && delivered_all && refused == 0 && !missed { Exit::Yes } else { Exit::No })
}

/// The sink that writes to this file; one that is followed grows by dead letters too.
fn writer_of<'a>(file: &Path, config: &'a TelemetryConfig, followed: bool) -> Option<&'a str> {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    let file = real(file)?;
    let writes = |sink: &&SinkConfig| {
        let letters = sink.dead_letters.as_ref().filter(|_| followed).map(|letters| letters.path.as_path());
        let paths = [sink.settings.file_path.as_deref(), letters];
        paths.into_iter().flatten().any(|path| real(path).is_some_and(|path| path == file))
    };
    config.sinks.iter().find(writes).map(|sink| sink.name.as_str())
}

/// A file can wait, a loop cannot: whatever the policy of the sinks is, the next line is
/// read once there is room for it. Sinks that come to nothing within their time for a
/// shutdown are waited for no more; then their policy decides.
struct Pace {
    lines: usize,
    bytes: usize,
    /// What may go in between two looks: half of the smallest queue.
    max_lines: usize,
    max_bytes: usize,
    patience: Option<Duration>,
}

impl Pace {
    fn of(config: &TelemetryConfig) -> Self {
        let half = |limit: fn(&BufferConfig) -> usize| {
            config.sinks.iter().map(|sink| limit(&sink.buffer)).min().map_or(1, |least| (least / 2).max(1))
        };
        Self {
            lines: 0,
            bytes: 0,
            max_lines: half(|buffer| buffer.max_queue_length),
            max_bytes: half(|buffer| buffer.max_buffer_bytes),
            patience: Some(setup::shutdown_timeout(config).max(LEAST_PATIENCE)),
        }
    }

    /// Before a line of so many bytes.
    fn wait(&mut self, telemetry: &Telemetry, bytes: usize) {
        (self.lines, self.bytes) = (self.lines + 1, self.bytes + bytes);
        if self.lines <= self.max_lines && self.bytes <= self.max_bytes {
            return;
        }
        (self.lines, self.bytes) = (1, bytes);
        if let Some(patience) = self.patience
            && !telemetry.flush(patience)
        {
            tracing::warn!("telemetry_replay_unpaced");
            self.patience = None;
        }
    }
}

/// Reads one line without its end into `line`; false at the end of the file.
/// What is beyond the limit is passed over, so that it becomes a counted drop
/// and not a full memory.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut read = reader.by_ref().take(MAX_LINE).read_until(b'\n', line)? as u64;
    while read == MAX_LINE && line.last() != Some(&b'\n') {
        let mut rest = Vec::new();
        read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut rest)? as u64;
        if read < MAX_LINE || rest.last() == Some(&b'\n') {
            break;
        }
    }
    let any = !line.is_empty();
    while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(any)
}
