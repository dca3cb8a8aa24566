//! What becomes of a line: checked, deduplicated, stored, counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use townlet_schema::{HeadReader, Kind, LineHead, ReadError, ReadErrorKind};

use super::backlog::Backlog;
use super::directory::{Directory, Held};
use super::figures::Figures;
use super::foreign;
use super::live::Live;
use super::options::{CollectorOptions, Subscriber};
use super::rejected::RejectedLog;
use crate::report::{EndKind, Ending, InvalidLine, LineCounts};
use crate::store::{Settle, Store, StoreError, name};

/// The file of refused lines. No run's folder can have this name, see [`name`].
const REJECTED: &str = "@rejected.jsonl";

/// Refused lines that a connection's report names.
const INVALID_LINES_NAMED: usize = 16;

/// A line that was just accepted, as a subscriber sees it.
#[derive(Debug)]
pub struct LineView<'a> {
    /// The connection that brought it.
    pub connection: u64,
    /// The other end of that connection.
    pub peer: SocketAddr,
    /// The envelope. Its `payload_type` is none also where the producer is newer
    /// and the kind is not known here.
    pub head: &'a LineHead<'a>,
    /// The line without its newline.
    pub bytes: &'a [u8],
}

/// What all connections share.
pub(super) struct Intake {
    pub(super) store: Option<Store>,
    pub(super) directory: Directory,
    pub(super) rejected: Option<RejectedLog>,
    pub(super) figures: Figures,
    /// Present where somebody can watch.
    pub(super) live: Option<Live>,
    backlog: Backlog,
    subscriber: Option<Subscriber>,
    streams_per_connection: usize,
    failures: Mutex<Failures>,
}

#[derive(Clone, Default)]
pub(super) struct Failures {
    pub(super) invalid: BTreeMap<&'static str, u64>,
    /// Requests that were refused whole for one of their lines. Whoever sent them
    /// still has them, so these are no invalid lines yet.
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) store: Option<String>,
}

impl Intake {
    pub(super) fn new(options: &CollectorOptions) -> Result<Self, StoreError> {
        let store = options.store.as_ref().map(Store::open).transpose()?;
        let rejected = match (&store, options.keep_rejected_bytes) {
            (Some(store), cap) if cap > 0 => Some(RejectedLog::open(&store.dir().join(REJECTED), cap)?),
            _ => None,
        };
        let live = options.web.as_ref().filter(|web| web.live_streams > 0).map(|web| Live::new(web.live_streams));
        Ok(Self { store, rejected, ..Self::within(options, live) })
    }

    /// Without files.
    pub(super) fn unstored(options: &CollectorOptions, live: Live) -> Self {
        Self::within(options, Some(live))
    }

    fn within(options: &CollectorOptions, live: Option<Live>) -> Self {
        Self {
            store: None,
            directory: Directory::new(
                options.max_streams,
                options.gaps_per_stream,
                options.max_line_bytes,
                options.web.as_ref().map_or(0, |web| web.metric_streams),
            ),
            rejected: None,
            figures: Figures::new(),
            live,
            backlog: Backlog::default(),
            subscriber: options.subscriber.clone(),
            streams_per_connection: options.max_streams_per_connection,
            failures: Mutex::default(),
        }
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what still waits, after the last connection ended.
    pub(super) fn finish(&self) {
        let Some(store) = &self.store else { return };
        for stream in self.directory.all().0 {
            if let Err(error) = stream.write_out(store) {
                self.note_store_error(&error);
            }
        }
        store.release();
    }

    fn note_store_error(&self, error: &StoreError) {
        tracing::error!(%error, "collector_store_failed");
        self.failures().store = Some(error.to_string());
    }
}

/// One connection's way through the intake.
pub(super) struct Session {
    intake: Arc<Intake>,
    connection: u64,
    peer: SocketAddr,
    now: Instant,
    heads: HeadReader,
    used: Vec<InUse>,
    /// Where in `used` the last line's stream stands: lines of a stream come in rows.
    last: usize,
    pub(super) counts: LineCounts,
    pub(super) invalid_lines: Vec<InvalidLine>,
    subscriber_panicked: bool,
}

struct InUse {
    stream: Held,
    /// Lines of this chunk, duplicates too, must be in the file before the
    /// acknowledgement: another connection may have brought the first copy.
    dirty: bool,
    /// Bytes of lines that were taken since it was last written.
    unwritten: usize,
}

/// Why a line was not taken in.
pub(super) enum Refusal {
    /// The line is at fault.
    Line(&'static str, String),
    /// The connection has to end; the line is not counted.
    Cut(Ending),
}

impl Session {
    pub(super) fn new(intake: Arc<Intake>, connection: u64, peer: SocketAddr) -> Self {
        Self {
            intake,
            connection,
            peer,
            now: Instant::now(),
            heads: HeadReader::default(),
            used: Vec::new(),
            last: 0,
            counts: LineCounts::default(),
            invalid_lines: Vec::new(),
            subscriber_panicked: false,
        }
    }

    /// The lines that follow arrived at `now`.
    pub(super) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Takes one whole line, its newline included.
    ///
    /// # Errors
    /// The connection has to end. The line counts as taken only where it was
    /// the subscriber that failed.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), Ending> {
        let bytes = line.strip_suffix(b"\n").unwrap_or(line);
        let outcome = match foreign::read(&mut self.heads, bytes) {
            Ok(head) => self.admit(&head, line),
            Err(error) => Err(refusal_of(bytes, &error)),
        };
        match outcome {
            Ok(new) => self.count(new, line),
            Err(Refusal::Cut(ending)) => Err(ending),
            Err(Refusal::Line(key, reason)) => {
                self.refuse(key, reason, bytes);
                self.counts.lines += 1;
                self.counts.bytes += line.len() as u64;
                Ok(())
            }
        }
    }

    /// As [`take`](Self::take), where the envelope was read and is in order. True
    /// where the line is new.
    pub(super) fn take_read(&mut self, head: &LineHead<'_>, line: &[u8]) -> Result<bool, Ending> {
        match self.admit(head, line) {
            Ok(new) => self.count(new, line).map(|()| new),
            Err(Refusal::Cut(ending)) => Err(ending),
            Err(Refusal::Line(_, detail)) => Err(Ending { kind: EndKind::Broken, detail }),
        }
    }

    fn count(&mut self, new: bool, line: &[u8]) -> Result<(), Ending> {
        *(if new { &mut self.counts.stored } else { &mut self.counts.duplicates }) += 1;
        self.counts.lines += 1;
        self.counts.bytes += line.len() as u64;
        if self.subscriber_panicked {
            let detail = format!("a subscriber panicked at line {}", self.counts.lines);
            return Err(Ending { kind: EndKind::SubscriberPanicked, detail });
        }
        Ok(())
    }

    /// A request is refused for this line. Where it is the only one, it is a
    /// refused line; otherwise its sender finds out which one it was, and sends
    /// the others again.
    pub(super) fn refuse_request(&mut self, key: &'static str, reason: &str, line: &[u8], alone: bool) {
        if alone {
            self.refuse(key, reason.to_owned(), line.strip_suffix(b"\n").unwrap_or(line));
            self.counts.lines += 1;
            self.counts.bytes += line.len() as u64;
        } else {
            *self.intake.failures().refused.entry(key).or_default() += 1;
        }
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.intake.figures
    }

    /// Makes sure that the stream of this line can be used, before a line of it is
    /// taken. It is settled with the others: an earlier try may have brought its lines.
    pub(super) fn hold(&mut self, head: &LineHead<'_>) -> Result<(), Ending> {
        match self.stream(head) {
            Ok(at) => {
                self.used[at].dirty = true;
                Ok(())
            }
            Err(Refusal::Cut(ending)) => Err(ending),
            Err(Refusal::Line(_, detail)) => Err(Ending { kind: EndKind::Broken, detail }),
        }
    }

    /// The longest line, its end not included.
    pub(super) fn line_limit(&self) -> usize {
        self.intake.directory.line_limit()
    }

    /// True where no further stream can be used.
    pub(super) fn is_full(&self) -> bool {
        self.used.len() >= self.intake.streams_per_connection
    }

    /// From `from` on, up to which number every line of this stream is here, as
    /// far as the store promises; none where `from` itself is not, or nobody knows.
    pub(super) fn has_up_to(&mut self, run_id: &str, stream: &str, from: u64) -> Option<u64> {
        let intake = Arc::clone(&self.intake);
        let path = intake.store.as_ref().and_then(|store| store.path(Some(run_id), Some(stream)));
        if !intake.directory.knows(run_id, stream) && !path.is_some_and(|path| path.exists()) {
            return None;
        }
        let head = LineHead { run_id: Some(run_id.into()), stream: Some(stream.into()), ..LineHead::default() };
        let at = self.stream(&head).ok()?;
        let up_to = self.used[at].stream.lock().has_up_to(from, intake.directory.line_limit());
        self.used[at].dirty = true;
        self.settle().ok()?;
        up_to
    }

    /// True where the line is new.
    fn admit(&mut self, head: &LineHead<'_>, line: &[u8]) -> Result<bool, Refusal> {
        check_seq(head).map_err(|reason| Refusal::Line("invalid_field", reason))?;
        let at = self.stream(head)?;
        if self.intake.backlog.is_full()
            && let Some(store) = &self.intake.store
        {
            let relieved = self.intake.backlog.relieve(&self.intake.directory, store);
            relieved.map_err(|error| Refusal::Cut(self.store_failed(&error)))?;
        }
        let used = &mut self.used[at];
        used.dirty = true;
        let intake = &self.intake;
        let taken = used.stream.lock().take(head, line, intake.store.as_ref(), intake.directory.line_limit(), self.now);
        let new = taken.map_err(|error| Refusal::Cut(self.store_failed(&error)))?;
        if new {
            self.used[at].unwritten += line.len();
        }
        if new && let Some(live) = &self.intake.live {
            live.feed(head, line.strip_suffix(b"\n").unwrap_or(line), self.now);
        }
        if new && let Some(subscriber) = &self.intake.subscriber {
            let bytes = line.strip_suffix(b"\n").unwrap_or(line);
            let view = LineView { connection: self.connection, peer: self.peer, head, bytes };
            self.subscriber_panicked = catch_unwind(AssertUnwindSafe(|| subscriber(&view))).is_err();
        }
        Ok(new)
    }

    /// Where in `used` the stream of this line stands.
    fn stream(&mut self, head: &LineHead<'_>) -> Result<usize, Refusal> {
        let (run_id, stream) = (head.run_id.as_deref(), head.stream.as_deref());
        if self.used.get(self.last).is_some_and(|used| used.stream.is(run_id, stream)) {
            return Ok(self.last);
        }
        if let Some(at) = self.used.iter().position(|used| used.stream.is(run_id, stream)) {
            self.last = at;
            return Ok(at);
        }
        check_names(run_id, stream).map_err(|reason| Refusal::Line("invalid_field", reason))?;
        if self.used.len() >= self.intake.streams_per_connection {
            let detail = format!("more than {} streams on one connection", self.intake.streams_per_connection);
            return Err(Refusal::Cut(Ending { kind: EndKind::TooManyStreams, detail }));
        }
        let path = self.intake.store.as_ref().and_then(|store| store.path(run_id, stream));
        let held = self.intake.directory.stream(run_id, stream, path).map_err(|_| {
            let detail = "every stream in memory is in use; raise max_streams".to_owned();
            Refusal::Cut(Ending { kind: EndKind::TooManyStreams, detail })
        })?;
        self.used.push(InUse { stream: held, dirty: false, unwritten: 0 });
        self.last = self.used.len() - 1;
        Ok(self.last)
    }

    fn refuse(&mut self, key: &'static str, reason: String, bytes: &[u8]) {
        self.counts.invalid += 1;
        let line = self.counts.lines + 1;
        *self.intake.failures().invalid.entry(key).or_default() += 1;
        if let Some(rejected) = &self.intake.rejected {
            rejected.keep(self.peer, self.connection, line, &reason, bytes);
        }
        if self.invalid_lines.len() < INVALID_LINES_NAMED {
            self.invalid_lines.push(InvalidLine { line, reason });
        }
    }

    /// Brings the lines taken so far as far as the store promises for an
    /// acknowledgement.
    pub(super) fn settle(&mut self) -> Result<(), Ending> {
        match self.intake.store.as_ref().map(Store::settle) {
            None | Some(Settle::Received) => Ok(()),
            Some(Settle::Written | Settle::Synced) => self.write_out(),
        }
    }

    /// Writes (and syncs, where the store says so) every stream this connection touched.
    pub(super) fn write_out(&mut self) -> Result<(), Ending> {
        let intake = Arc::clone(&self.intake);
        let Some(store) = &intake.store else { return Ok(()) };
        let mut failure = None;
        for used in self.used.iter_mut().filter(|used| used.dirty) {
            let unwritten = std::mem::take(&mut used.unwritten);
            match used.stream.write_out(store) {
                Ok(()) => {
                    used.dirty = false;
                    intake.backlog.written(&used.stream);
                }
                Err(error) => {
                    intake.backlog.failed(&used.stream, unwritten);
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), |error| Err(self.store_failed(&error)))
    }

    /// Nothing comes for a while: gives back the memory that no line needs.
    pub(super) fn release(&self) {
        for used in &self.used {
            used.stream.lock().release();
        }
    }

    fn store_failed(&self, error: &StoreError) -> Ending {
        self.intake.note_store_error(error);
        Ending { kind: EndKind::StoreFailed, detail: error.to_string() }
    }
}

/// The marker of a run, with which a file begins, is no line of a sequence: its number is 0, and it is kept as lines
/// without a number are.
pub(super) fn check_seq(head: &LineHead<'_>) -> Result<(), String> {
    match (head.seq, head.payload_type) {
        (Some(0), Some(Kind::Run)) => Ok(()),
        (Some(0), _) => Err("seq: 0, but sequences count from 1".to_owned()),
        _ => Ok(()),
    }
}

pub(super) fn check_names(run_id: Option<&str>, stream: Option<&str>) -> Result<(), String> {
    for (key, value) in [("run_id", run_id), ("stream", stream)] {
        if value.is_some_and(|value| name::component(value).is_none()) {
            return Err(format!("{key}: empty, or too long for a file name (200 bytes, escapes counted)"));
        }
    }
    Ok(())
}

pub(super) fn refusal_of(bytes: &[u8], error: &ReadError) -> Refusal {
    if bytes.trim_ascii().is_empty() {
        return Refusal::Line("empty", "an empty line".to_owned());
    }
    Refusal::Line(reason_key(error.kind()), error.to_string())
}

/// The stable name of a reason, for counters.
pub(crate) fn reason_key(kind: ReadErrorKind) -> &'static str {
    match kind {
        ReadErrorKind::Syntax => "syntax",
        ReadErrorKind::Utf8 => "utf8",
        ReadErrorKind::LoneSurrogate => "lone_surrogate",
        ReadErrorKind::DuplicateKey => "duplicate_key",
        ReadErrorKind::TooDeep => "too_deep",
        ReadErrorKind::TooLarge => "too_large",
        ReadErrorKind::NumberRange => "number_range",
        ReadErrorKind::NotAnObject => "not_an_object",
        ReadErrorKind::MissingField => "missing_field",
        ReadErrorKind::InvalidField => "invalid_field",
        ReadErrorKind::UnknownKind => "unknown_kind",
        ReadErrorKind::UnsupportedVersion => "unsupported_version",
        _ => "other",
    }
}
