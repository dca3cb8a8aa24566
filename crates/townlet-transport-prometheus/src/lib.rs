//! What a pipeline does, for Prometheus: a textfile that `node_exporter` reads,
//! and an endpoint to scrape.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) that delivers
//! figures instead of lines. It counts what it is sent, adds the
//! [`Figures`](townlet_transport::Figures) of the pipeline that it works for (the
//! ledger by reason, queues, flush durations of all sinks), and publishes both.
//!
//! **What it is not.** No line leaves through it: a payload shows up as a count,
//! and as those numbers in it that [`FieldPath`]s choose. It speaks no remote
//! write, and serves this machine alone: for scrapes from elsewhere put
//! `node_exporter` or a proxy that speaks TLS in front.
//!
//! # Guarantees
//! - Building a transport touches neither disk nor network.
//! - The file is only ever seen whole: written under another name, which does not
//!   end in `.prom`, synced, and renamed, readable for all (mode 0644). A full
//!   disk leaves the old one as it was.
//! - A batch is one write. It is settled when its counts are in the file, and a
//!   batch that comes again after a failure counts once.
//! - Counters never fall: not by a reconnect, not by a new transport in the same
//!   run, not by a new process, which goes on from the file that it finds. Without
//!   a file they begin at 0 with the transport.
//! - A file that holds something else is not written over, and two sinks do not
//!   write to one file (a lock beside it, where the file system has locks).
//! - The endpoint answers a bounded number of scrapes at a time, each within a
//!   bounded time, and reads figures at most ten times a second.
//! - Published fields have a bound. What is beyond it is counted, and those that
//!   were published first stay.
//!
//! # Limits
//! A figure of this sink itself is as of the moment before its own batch settles,
//! so `buffered` shows that batch; the last write at the end has it delivered. The
//! file is as old as the last batch: `node_textfile_mtime_seconds` says how old.
//! Numbers are doubles, exact up to 2^53.
//!
//! # Names
//! All begin with `townlet_telemetry_`; `townlet-transport-otlp` has the same of the
//! pipeline as `townlet.telemetry.…`, without `_total`.
//! - Of this sink: `messages_total`, `bytes_total`, `messages_by_kind_total` (`kind`),
//!   `newest_tick`; of payload fields `field` (`path`, `stream`), `field_series`,
//!   `field_overflow_total`, `unreadable_lines_total`.
//! - Of each sink of the pipeline (`sink`), its books: `accepted_total`,
//!   `delivered_total` (`level`), `dropped_total` (`reason`), `coalesced_total`,
//!   `buffered`, `spilled`, `residual`.
//! - What its peer refuses for good, where it has a file of dead letters:
//!   `dead_letters_total` (`reason`, and `outcome`: `kept`, `beyond_limit` for what a
//!   full file had no room for, `failed`), `dead_letter_bytes_total` (`reason`).
//! - What waits and what went: `queue_length`, `queue_length_peak`, `queue_bytes`,
//!   `queue_bytes_peak`, `flushed_bytes_total`, `keyframes_total`,
//!   `flush_duration_seconds` (a histogram).
//! - How it fares: `connected`, `connects_total`, `send_failures_total`,
//!   `worker_alive`, `worker_restarts_total`.
//!
//! # Example
//! ```
//! use townlet_transport::{Frame, Label, Transport};
//! use townlet_transport_prometheus::{PrometheusOptions, PrometheusTransport};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("town.prom");
//! let options = PrometheusOptions { fields: vec!["load.*".parse()?], ..PrometheusOptions::file(&path) };
//! let mut sink = PrometheusTransport::new(options)?;
//!
//! sink.connect()?;
//! let line = "{\"tick\":1,\"load\":{\"cpu\":0.5}}\n";
//! sink.send(&[Frame::new(Label::new("run", "town"), "event", 1, 1, line)])?;
//! let text = std::fs::read_to_string(&path)?;
//! assert!(text.contains("\ntownlet_telemetry_messages_total 1\n"));
//! assert!(text.contains("\ntownlet_telemetry_field{path=\"load.cpu\",stream=\"town\"} 0.5\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod book;
mod exposition;
mod factory;
mod families;
mod last;
mod options;
mod request;
mod scrape;
mod textfile;
mod token;
mod transport;

pub use factory::PrometheusFactory;
pub use options::{PrometheusOptions, ScrapeOptions};
pub use token::Token;
pub use townlet_fields::{BadPath, FieldPath};
pub use transport::PrometheusTransport;
