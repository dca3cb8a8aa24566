//! OTLP received: what an OpenTelemetry SDK sends, as lines for the store.
//!
//! **What it is.** Pure functions between a request's body and the lines that
//! stand for it ([`receive`]), and between what became of those and the body of
//! the answer ([`Encoding::taken`], [`Encoding::failed`]), by OTLP/HTTP 1.x, in
//! protobuf and JSON.
//!
//! Any OpenTelemetry SDK can send here:
//! [`WebOptions::with_otlp`](crate::web::WebOptions::with_otlp) puts them on the
//! paths of OTLP, and the gRPC listener takes the same messages as calls.
//!
//! **What it is not.** It samples, joins and converts nothing: tail sampling belongs
//! elsewhere.
//!
//! # What a line holds
//! ```text
//! {"payload_type":"otlp.log","run_id":"…","stream":"otlp.logs",
//!  "resource":{…},"resource_schema_url":"…","scope":{…},"scope_schema_url":"…","record":{…}}
//! ```
//! A line for each log record, each span (`otlp.span`, in `otlp.traces`) and each
//! metric with its data points (`otlp.metric`, in `otlp.metrics`). `resource`,
//! `scope` and `record` are OTLP's own messages in OTLP's own JSON, every field of
//! them. The rest is the envelope of our lines: `run_id` is the
//! `service.instance.id` of the resource and is not there without one, or with
//! one that is longer than [`MAX_RUN_ID`] bytes. There is no `seq`, because OTLP
//! numbers nothing: gaps cannot be seen, and what is sent twice is stored twice. But a
//! log record with the attributes `townlet.stream` and `townlet.seq`, as
//! `townlet-transport-otlp` gives each, is a line of the stream `otlp.logs.<stream>`
//! with that `seq` (and with `townlet.tick`): its gaps are seen, and it is stored once,
//! however often a request whose answer was lost is sent.
//!
//! # Limits
//! - What no line can hold is rejected alone and reported as OTLP wants it, as a
//!   partial success with a reason: a number that is not finite, nesting beyond
//!   [`MAX_DEPTH`](townlet_schema::MAX_DEPTH), a line above the limit. Of a metric
//!   all data points go with it.
//! - A JSON value of a kind that is newer than this build is an error, where
//!   protobuf would read over it; so is a number that is not finite, which is a text
//!   in JSON, where protobuf loses the one record.
//! - Each line repeats its resource and its scope, so that little can become much:
//!   a request of more than [`MAX_RECORDS`] records, or one whose lines or decoded
//!   messages would take more than [`MAX_BYTES`], is refused whole (413), before it
//!   is decoded or at the line that is too much. On the web listener both also take
//!   of [`max_bytes_in_flight`](crate::web::WebOptions::max_bytes_in_flight) as
//!   bodies do: where others have it at the moment, the sender is asked to come
//!   again (429).
//!
//! # Example
//! ```
//! use townlet_collector::otlp::{Encoding, Signal, receive};
//!
//! let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]}"#;
//! let received = receive(Signal::Logs, Encoding::Json, body, 1 << 20)?;
//! assert!(received.lines.starts_with(b"{\"payload_type\":\"otlp.log\","));
//! assert_eq!((received.taken, received.rejected), (1, 0));
//! assert_eq!(Encoding::Json.taken(Signal::Logs, &received), b"{}");
//! # Ok::<(), townlet_collector::otlp::DecodeError>(())
//! ```

mod answer;
mod empty;
mod lines;
mod measure;
mod route;

use std::fmt;

pub(crate) use lines::Room;
#[cfg(feature = "grpc")]
pub(crate) use lines::receive_within;
pub use lines::{DecodeError, Received, receive};

/// The longest `service.instance.id` that names a run, in bytes.
pub const MAX_RUN_ID: usize = 64;

/// Log records, spans or metrics of one request, at most: as many as a request may
/// bring lines.
pub const MAX_RECORDS: usize = 20_000;

/// Bytes of the lines of one request, at most; and of what it is decoded to, as far
/// as that is more than the body.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What OTLP calls a kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];

    /// Where requests with it go: `/v1/logs`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
        }
    }

    /// The call that brings it, as gRPC names it on the wire.
    pub fn method(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }

    /// The stream of its lines.
    pub fn stream(self) -> &'static str {
        match self {
            Self::Logs => "otlp.logs",
            Self::Metrics => "otlp.metrics",
            Self::Traces => "otlp.traces",
        }
    }
}

/// How a message was put into bytes. The answer has to be in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Binary protobuf.
    Protobuf,
    /// Protobuf's JSON with the deviations of OTLP.
    Json,
}

impl Encoding {
    /// By a `Content-Type`, parameters or not; none for any other (415).
    pub fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-protobuf") || kind.eq_ignore_ascii_case("application/protobuf") {
            Some(Self::Protobuf)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protobuf => "protobuf",
            Self::Json => "JSON",
        })
    }
}
