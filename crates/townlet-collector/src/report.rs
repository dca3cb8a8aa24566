//! What a collector has to say about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::pulled::NatsReport;
use crate::sequence::{SeqRange, SequenceReport};

/// Counts of lines by what became of them.
///
/// Every whole line that was taken has exactly one outcome, so after a stop
/// `lines == stored + unwritten + duplicates + invalid`
/// ([`is_balanced`](Self::is_balanced)). A reading during work may be a line per
/// connection off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Whole lines taken from connections.
    pub lines: u64,
    /// Lines that are in the store (accepted, where there is no store).
    pub stored: u64,
    /// Lines accepted and not written yet; after a stop, lines that the disk
    /// refused to the end. They were never acknowledged at
    /// [`Settle::Written`](crate::store::Settle::Written) or above.
    pub unwritten: u64,
    /// Lines that were here before, by `(run_id, stream, seq)`.
    pub duplicates: u64,
    /// Lines that are not one valid JSON object with a usable envelope.
    pub invalid: u64,
    /// Bytes of the lines taken, newlines included.
    pub bytes: u64,
}

impl LineCounts {
    /// True where every line taken has an outcome.
    pub fn is_balanced(&self) -> bool {
        self.lines == self.stored + self.unwritten + self.duplicates + self.invalid
    }
}

/// One `(run_id, stream)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The producer's process run; none for lines that name none.
    pub run_id: Option<String>,
    /// The stream's name; none for lines that name none.
    pub stream: Option<String>,
    /// Lines of this stream taken since the start, duplicates included.
    pub received: u64,
    /// Of these, how many are in the store.
    pub stored: u64,
    /// Of these, how many were accepted and are not written.
    pub unwritten: u64,
    /// Of these, how many were here before.
    pub duplicates: u64,
    /// Lines without `run_id`, `stream` or `seq`, stored without any check.
    pub unnumbered: u64,
    /// Lines that were found in the file when the stream was opened again.
    pub recovered: u64,
    /// Bytes of the lines in `received`.
    pub bytes: u64,
    /// What is missing, late or went backwards; includes what was recovered.
    pub sequence: SequenceReport,
    /// Where the lines are.
    pub file: Option<PathBuf>,
}

/// One producer's stream in short: what is missing of it, and since when nothing came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardReport {
    /// The producer's process run; none for lines that name none.
    pub run_id: Option<String>,
    /// The stream's name; none for lines that name none.
    pub stream: Option<String>,
    /// Lines taken since the start, duplicates included.
    pub received: u64,
    /// Of these, how many were here before.
    pub duplicates: u64,
    /// The highest number that arrived, 0 before the first.
    pub last_seq: u64,
    /// The host's tick on that line.
    pub last_tick: Option<u64>,
    /// Numbers up to `last_seq` that did not arrive.
    pub missing: u64,
    /// `missing` as a share of `last_seq`, from 0 to 1.
    pub loss_ratio: f64,
    /// The lowest gaps, 16 at most.
    pub gaps: Vec<SeqRange>,
    /// Milliseconds since its last line came; none where it was only found in the store.
    pub silent_ms: Option<u64>,
}

/// How a connection came in, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Via {
    /// Lines on the stream listener.
    Lines,
    /// Requests on the web listener.
    Http,
    /// Lines in WebSocket messages on the web listener.
    Websocket,
    /// A WebSocket on which somebody watches.
    Subscriber,
    /// Calls on the gRPC listener.
    Grpc,
    /// Our own connection to a NATS server, by which messages come.
    Nats,
}

impl Via {
    /// A stable name for logs and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Subscriber => "subscriber",
            Self::Grpc => "grpc",
            Self::Nats => "nats",
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndKind {
    /// The peer closed it.
    PeerClosed,
    /// It broke: reset, TLS alert, any other error of the network.
    Broken,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// Nothing came for the idle timeout.
    IdleTimeout,
    /// A begun line was not completed within the line timeout.
    LineTimeout,
    /// A line was longer than allowed.
    LineTooLong,
    /// More distinct streams than allowed.
    TooManyStreams,
    /// The store could not take or confirm lines.
    StoreFailed,
    /// The peer did not read its acknowledgements.
    AckTimeout,
    /// A subscriber did not read what it asked for, or did not answer.
    NotReading,
    /// A request did not come to its end in time, or an answer was not read.
    RequestTimeout,
    /// What came was no request of HTTP, or one beyond a limit.
    BadRequest,
    /// The end that HTTP has: the last answer was given, or no request followed.
    Finished,
    /// The collector stopped.
    Stopped,
    /// A subscriber panicked.
    SubscriberPanicked,
    /// Others had the room for what a message was to become.
    NoRoom,
}

impl EndKind {
    /// A stable name for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Broken => "broken",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::LineTimeout => "line_timeout",
            Self::LineTooLong => "line_too_long",
            Self::TooManyStreams => "too_many_streams",
            Self::StoreFailed => "store_failed",
            Self::AckTimeout => "ack_timeout",
            Self::NotReading => "not_reading",
            Self::RequestTimeout => "request_timeout",
            Self::BadRequest => "bad_request",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::SubscriberPanicked => "subscriber_panicked",
            Self::NoRoom => "no_room",
        }
    }

    /// True where the collector, not the peer, ended a connection that was working.
    pub fn is_cut(self) -> bool {
        !matches!(self, Self::PeerClosed | Self::Broken | Self::Finished | Self::Stopped)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// Why.
    pub kind: EndKind,
    /// The numbers and names that belong to it.
    pub detail: String,
}

/// A line that was refused, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvalidLine {
    /// Which line of the connection or file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionReport {
    /// Its number, from 1 in order of arrival.
    pub id: u64,
    /// The other end.
    pub peer: SocketAddr,
    /// How it came in.
    pub via: Via,
    /// True under TLS, false before the handshake is done.
    pub tls: bool,
    /// True where `townlet-ack/1` was agreed.
    pub acks: bool,
    /// What became of its lines. `stored` counts what was accepted; whether it
    /// is written is known per stream.
    pub counts: LineCounts,
    /// The count in the last acknowledgement sent.
    pub acknowledged: u64,
    /// Bytes of a begun last line, not stored.
    pub partial_bytes: u64,
    /// The first few lines that were refused.
    pub invalid_lines: Vec<InvalidLine>,
    /// How it ended; none while it is open.
    pub ended: Option<Ending>,
}

/// The server's certificate, and what became of the renewals of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CertificateReport {
    /// Whole days until it expires, negative once it has; none where its dates
    /// cannot be read.
    pub days_to_expiry: Option<i64>,
    /// When renewed files were last taken into use, in milliseconds since 1970.
    pub last_reload_at: Option<u64>,
    /// Why the files as they are now are not in use; none where they are.
    pub reload_error: Option<String>,
    /// Times that renewed files were taken into use.
    pub reloads_total: u64,
    /// Changes of the files that could not be used.
    pub reload_failures_total: u64,
}

/// Everything a collector counted since it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollectorReport {
    /// All lines of all connections.
    pub totals: LineCounts,
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Connections closed at once because the limit was reached.
    pub connections_refused: u64,
    /// Connections still open. After a stop: those that did not end in time.
    pub connections_open: u64,
    /// Failures of `accept` itself, such as too many open files.
    pub accept_errors: u64,
    /// Connections that ended, by why.
    pub endings: BTreeMap<&'static str, u64>,
    /// Begun last lines that were not stored.
    pub partial_lines: u64,
    /// Numbers that are missing over all streams.
    pub missing: u64,
    /// Times a known stream name came from a new process run.
    pub restarts: u64,
    /// Refused lines by what is wrong with them.
    pub invalid_by_reason: BTreeMap<&'static str, u64>,
    /// Refused lines kept in `@rejected.jsonl`.
    pub rejected_kept: u64,
    /// Streams that left memory because they were idle and room was needed;
    /// their lines are in `totals`, their files are complete.
    pub streams_retired: u64,
    /// The streams in memory, by run and name.
    pub streams: Vec<StreamReport>,
    /// The open connections and the last ones that ended.
    pub connections: Vec<ConnectionReport>,
    /// The last failure of the store, if there was one.
    pub store_error: Option<String>,
    /// The certificate that new connections are shown; none without TLS.
    pub certificate: Option<CertificateReport>,
    /// What became of messages from NATS; none where none are pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsReport>,
}

impl fmt::Display for CollectorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.totals;
        writeln!(
            f,
            "{} lines, {} bytes: {} stored, {} duplicates, {} invalid, {} unwritten",
            t.lines, t.bytes, t.stored, t.duplicates, t.invalid, t.unwritten
        )?;
        writeln!(
            f,
            "{} connections ({} open, {} refused), {} torn last lines, {} restarts",
            self.connections_accepted,
            self.connections_open,
            self.connections_refused,
            self.partial_lines,
            self.restarts
        )?;
        for (reason, count) in &self.invalid_by_reason {
            writeln!(f, "  invalid {reason}: {count}")?;
        }
        for (reason, count) in &self.endings {
            writeln!(f, "  ended {reason}: {count}")?;
        }
        if let Some(error) = &self.store_error {
            writeln!(f, "  store: {error}")?;
        }
        if let Some(certificate) = &self.certificate {
            match certificate.days_to_expiry {
                Some(days) => write!(f, "  certificate: {days} days left")?,
                None => write!(f, "  certificate: of unknown age")?,
            }
            match &certificate.reload_error {
                Some(error) => writeln!(f, ", {} reloads; not reloaded: {error}", certificate.reloads_total)?,
                None => writeln!(f, ", {} reloads", certificate.reloads_total)?,
            }
        }
        if let Some(nats) = &self.nats {
            writeln!(f, "  {nats}")?;
        }
        for stream in &self.streams {
            let seq = &stream.sequence;
            write!(
                f,
                "  {}/{}: {} received, {} stored, {} duplicates, seq {}-{}, {} missing",
                stream.run_id.as_deref().unwrap_or("-"),
                stream.stream.as_deref().unwrap_or("-"),
                stream.received,
                stream.stored,
                stream.duplicates,
                seq.counts.first,
                seq.last,
                seq.missing
            )?;
            for (at, gap) in seq.gaps.iter().take(10).enumerate() {
                write!(f, "{}{gap}", if at == 0 { " (" } else { ", " })?;
            }
            if !seq.gaps.is_empty() {
                f.write_str(if seq.gaps.len() > 10 { ", …)" } else { ")" })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
