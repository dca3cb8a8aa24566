//! One connection: a request, its answer, and what a tap shows.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use townlet_pipeline::{Tap, TapOptions};

use crate::reply::{self, Reason, Refusal};
use crate::request::{self, Command, MAX_REQUEST, TapRequest};
use crate::server::Shared;
use crate::socket::{Stream, is_pause};

/// How often a connection without anything to do looks around.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// Bytes after which shown lines are written rather than gathered.
const WRITE_AT: usize = 64 * 1024;

pub(crate) fn serve(shared: &Shared, stream: &mut Stream) -> io::Result<()> {
    stream.set_write_timeout(LOOK_AROUND)?;
    let Some(line) = read_request(shared, stream)? else { return Ok(()) };
    let command = line.and_then(|line| request::read(&line, &shared.key));
    match command {
        Ok(Command::Status) => {
            let answer = reply::status(&shared.telemetry, shared.connections(), shared.refused());
            write(shared, stream, &answer)
        }
        Ok(Command::Tap(wanted)) => {
            let tap = shared.telemetry.tap(&TapOptions {
                kinds: wanted.kinds.clone(),
                streams: wanted.streams.clone(),
                ..TapOptions::default()
            });
            // After it is attached: who has the answer misses nothing that comes.
            write(shared, stream, &reply::tap(&shared.telemetry, &wanted))?;
            show(shared, stream, tap, &wanted)
        }
        Err(refusal) => {
            if refusal == Refusal::forbidden() {
                shared.hold_back(&stream.peer());
            }
            write(shared, stream, &refusal.line())?;
            discard(stream)
        }
    }
}

/// The request's line; none where the client went, the console stops, or the time was over.
fn read_request(shared: &Shared, stream: &mut Stream) -> io::Result<Option<Result<Vec<u8>, Refusal>>> {
    let deadline = Instant::now() + shared.options.request_timeout;
    let mut line = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || shared.stopping().is_some() {
            return Ok(None);
        }
        stream.set_read_timeout(left.min(LOOK_AROUND))?;
        let read = match stream.read(&mut part) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if is_pause(&error) => continue,
            Err(error) => return Err(error),
        };
        let searched = line.len();
        line.extend_from_slice(&part[..read]);
        let end = line[searched..].iter().position(|byte| *byte == b'\n').map(|at| searched + at);
        if line.len() > MAX_REQUEST {
            return Ok(Some(Err(Refusal::usage(format!("a request has at most {MAX_REQUEST} bytes")))));
        }
        match end {
            Some(end) if end + 1 < line.len() => {
                return Ok(Some(Err(Refusal::usage("a connection takes one request of one line"))));
            }
            Some(_) => return Ok(Some(Ok(line))),
            None => {}
        }
    }
}

/// Shows frames until somebody ends it.
fn show(shared: &Shared, stream: &mut Stream, mut tap: Tap, wanted: &TapRequest) -> io::Result<()> {
    let (mut shown, mut told) = (0, 0);
    let mut out = Vec::with_capacity(WRITE_AT);
    loop {
        // What is gathered is not kept for the sake of what may come.
        let frame = tap.next(if out.is_empty() { LOOK_AROUND } else { Duration::ZERO });
        let missed = tap.missed();
        if missed > told {
            out.extend_from_slice(&reply::missed(missed - told, missed));
            told = missed;
        }
        let mut reason = None;
        if let Some(frame) = &frame {
            out.extend_from_slice(frame.line());
            shown += 1;
            if wanted.limit.is_some_and(|limit| shown >= limit) {
                reason = Some(Reason::Limit);
            }
        } else if tap.is_over() {
            reason = Some(Reason::PipelineEnded);
        }
        if reason.is_none() && shared.stopping().is_some_and(|until| frame.is_none() || Instant::now() >= until) {
            reason = Some(Reason::ConsoleStopped);
        }
        if let Some(reason) = reason {
            out.extend_from_slice(&reply::end(reason, shown, told));
            return write(shared, stream, &out);
        }
        if frame.is_none() || out.len() >= WRITE_AT {
            write(shared, stream, &out)?;
            out.clear();
            // A giant line must not stay.
            out.shrink_to(4 * WRITE_AT);
            if stream.is_readable() {
                // The end, or a second request: this connection has had its one.
                return Ok(());
            }
        }
    }
}

/// Writes all of it, as long as the client takes something now and then.
fn write(shared: &Shared, stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    let mut progress = Instant::now();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                progress = Instant::now();
            }
            Err(error) if is_pause(&error) => {
                let overdue = shared.stopping().is_some_and(|until| Instant::now() >= until);
                if overdue || progress.elapsed() >= shared.options.stall_timeout {
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what a refused client has sent already, a bounded amount: closing over
/// unread bytes could take the answer from it.
fn discard(stream: &mut Stream) -> io::Result<()> {
    let mut part = [0; 4096];
    let mut left = 4 * MAX_REQUEST;
    while left > 0 && stream.is_readable() {
        match stream.read(&mut part)? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
