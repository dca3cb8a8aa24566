//! A pipeline's lines, figures and ticks, sent to an OpenTelemetry endpoint.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) that speaks
//! OTLP/HTTP 1.x, as protobuf or JSON, over TLS unless the plaintext rule allows
//! otherwise:
//!
//! | signal | of what | path |
//! |---|---|---|
//! | logs | every line, one record each | `v1/logs` below the endpoint |
//! | metrics | the [`Figures`](townlet_transport::Figures) of the pipeline (the ledger by reason, queues, flush durations of all sinks), the numeric payload fields that [`FieldPath`]s choose, and what events measured | `v1/metrics` |
//! | traces | a span for each tick of which a `health` or `failure` line tells, one for each request that carried records, and those that events tell of | `v1/traces` |
//!
//! **What it is not.** It does not retry, queue or reorder; that is the worker's.
//! It samples nothing (tail sampling belongs into a collector), writes no
//! Prometheus remote write, speaks no gRPC and no HTTP/2.
//!
//! # What a record holds
//! The body is the line: an object as a key-value list in its order, anything that
//! is no JSON as text, or as bytes where it is no UTF-8. What lies deeper than
//! [`OtlpOptions::DEEPEST`] levels is JSON text, because protobuf readers give up
//! at a depth; an integer above 2^63 is decimal text, because OTLP has none.
//! `townlet.stream`, `townlet.seq`, `townlet.tick` and `townlet.kind` are
//! attributes, `service.instance.id` of the resource is the run. Lines carry no
//! wall time, so `observed_time_unix_nano` alone is set: when the line was sent.
//! With traces on, a record points to the span of its tick.
//!
//! # Events that say more
//! A host has spans and measurements of its own by naming them in the payload of an event; the event's name is theirs:
//! ```json
//! {"event": "deployment.gate", "payload": {
//!   "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
//!   "span": {"start_unix_nano": "1795276800000000000", "end_unix_nano": "1795276801500000000",
//!            "parent_span_id": "00f067aa0ba902b7", "status": "ok", "message": ""},
//!   "metric": {"unit": "s", "value": 1.5, "instrument": "histogram"},
//!   "attributes": {"cicd.pipeline.name": "release"}}}
//! ```
//! With `trace_id` and `span_id` the record points there and not to a tick. With `span` there is a span too; `status` is
//! `ok`, `error` or absent, `parent_span_id` and `message` may be absent. With `metric` there is a data point: a `gauge` has
//! the last value, a `histogram` all of this run, in buckets meant for seconds. `attributes` are those of record, span
//! and point. What does not fit is a record like any other. It is read from the line as it leaves, so what was redacted
//! is nowhere. At most [`OtlpOptions::max_series`] points are held; what is beyond is counted as lost. A peer that refuses
//! records gets the spans and points all the same.
//!
//! # What an answer means
//! The table of the OTLP specification, which differs from that of plain HTTP:
//!
//! | answer | records |
//! |---|---|
//! | 200 that is an export response, by its `Content-Type` too | are settled as `peer_acked` |
//! | the same with a partial success | as many as the peer rejected are dropped with its reason, the others settled |
//! | 2xx that is none (a web page, a 204) | wait: that is no OTLP endpoint |
//! | 429, 502, 503, 504, no answer | wait, as long as `Retry-After` asks |
//! | 413 | go out in smaller requests; one that is too large alone is dropped as oversize |
//! | 3xx | wait: the message names the URL that `endpoint` should be |
//! | any other | are dropped together, with the reason; after 401 and 403 the credentials' file is read again first, and where it was renewed they wait |
//!
//! # Guarantees and limits
//! - A record is settled by the answer to the request that carried it, by nothing else.
//! - A partial success says how many were rejected and not which, and must not be
//!   sent again. The ledger has the number right; which frames it names is a guess
//!   (the last of the request).
//! - Receivers of OTLP do not know duplicates. A request whose answer was lost is
//!   sent again, so a record may arrive twice; `service.instance.id`, stream and
//!   seq tell. The collector of this workspace stores it once for that.
//! - Metrics and spans are published with a batch, at most every
//!   [`OtlpOptions::interval`], on `flush` and on `close`: an idle pipeline
//!   publishes nothing. What fails there holds up no record. What is lost there is
//!   counted by signal and reason ([`OtlpTransport::losses`]), exported as
//!   `townlet.telemetry.otlp.lost`, and logged.
//! - At most 2,048 spans wait. A tick's span ends when its line was sent and began
//!   as much earlier as the line says the tick took.
//! - `send` takes at most the send timeout, and the connect timeout on top where
//!   no connection stands, publishing included.
//! - A request has at most [`OtlpOptions::max_request_bytes`] before compression.
//! - What [`townlet_http`] says of TLS, proxies, plaintext and secrets holds here.
//!   Errors quote what a peer says about a request, shortened, without control
//!   characters; they never quote payload.
//!
//! # Log events
//! Those of [`townlet_http`], `telemetry_otlp_warning` (a peer's own words),
//! `telemetry_otlp_lost`, `telemetry_otlp_publish_failed`.
//!
//! # Example
//! ```
//! use townlet_transport::ErrorKind;
//! use townlet_transport_otlp::{Encoding, OtlpOptions, OtlpTransport, Target};
//!
//! let target = Target::parse("https://collector.example:4318")?;
//! let options = OtlpOptions { encoding: Encoding::Json, ..OtlpOptions::new(target) };
//! let sink = OtlpTransport::new(options)?;
//! assert_eq!(sink.losses().count(), 0);
//!
//! let target = Target::parse("http://collector.example:4318")?;
//! let error = OtlpTransport::new(OtlpOptions::new(target)).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delivery;
mod factory;
mod ids;
mod logs;
mod losses;
mod metrics;
mod options;
mod publisher;
mod resource;
mod series;
mod spans;
mod told;
mod transport;
mod value;
mod verdict;
mod wire;

pub use factory::OtlpFactory;
pub use losses::{Loss, Signal};
pub use options::{Encoding, OtlpOptions};
pub use townlet_fields::FieldPath;
pub use townlet_http::{Security, Target};
pub use transport::OtlpTransport;
