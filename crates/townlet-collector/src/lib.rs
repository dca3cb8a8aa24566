//! The receiving side of a telemetry stream.
//!
//! **What it is.** A [`Collector`] that accepts newline-delimited JSON over TLS
//! (or in the open, on loopback), checks each line, knows by
//! `(run_id, stream, seq)` what is missing and what came twice, stores each line
//! once, and acknowledges to clients that ask for it. Its second listener, the
//! [`web`] one, takes the same lines over HTTP and WebSocket, shows states to
//! subscribers and figures to operators; its third, for gRPC (module `grpc`), takes what SDKs
//! of OpenTelemetry send. It can also go out and pull lines from NATS JetStream, shared
//! with other collectors (module `nats`). Beside it, without any network: the [`sequence`]
//! tracking on its own, and [`inspect`], which says what a file of such lines holds, of
//! any schema version, and compares two.
//!
//! **What it is not.** It answers no queries over what it stored, and interprets
//! no bodies, but for the states that subscribers may watch. It is no async
//! server: one thread serves one connection, and the number of connections has a
//! limit. Where a library knows no other way, for gRPC, a runtime is hidden on one
//! thread.
//!
//! # Guarantees
//! - Every whole line taken has one outcome: after a stop,
//!   `lines = stored + unwritten + duplicates + invalid` ([`LineCounts`]).
//! - An acknowledged line is where [`store::Settle`] says, or it was a duplicate
//!   of one that is, or it was refused and counted. A line that is new is never
//!   taken for a duplicate; where that cannot be known any more it is kept and
//!   counted as [`uncertain`](sequence::SequenceCounts::uncertain).
//! - The store holds the bytes as they came, whole lines only, a file for each
//!   run and stream. After a restart a file is read again before it is continued,
//!   so that resent lines are still stored once. A folder that another
//!   collector uses is refused.
//! - Under TLS the files of the certificate and of the client authorities are
//!   followed. New handshakes use renewed ones within two seconds; open
//!   connections go on; files that are no good leave those in use that were, and
//!   [`CollectorReport::certificate`] says why.
//! - Memory is bounded: a connection holds at most the longest line and two
//!   chunks, and next to nothing while it is quiet; a stream at most its list of
//!   gaps and 256 KiB that wait; the numbers of connections, streams and open
//!   files have limits. The example `fleet` measures it.
//! - No name that a peer chooses leads outside the store folder.
//!
//! # Wire
//! A client sends lines. Where both sides agreed on the TLS application protocol
//! [`ACK_PROTOCOL`], the collector answers with lines `{"ack":N}`: the number of
//! whole lines it has taken on this connection so far. A connection that breaks
//! a limit is closed; the lines before the offending one are acknowledged first.
//!
//! # Features
//! Off unless asked for, since each brings an async runtime and the crates around it:
//! `grpc` is the gRPC listener, `nats` pulling from JetStream. The `townlet` binary has both.
//! (`planted` makes mistakes on request, for this project's own tests.)
//!
//! # Example
//! ```
//! use std::io::Write;
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use townlet_collector::{Collector, CollectorOptions, Security, store::StoreOptions};
//!
//! let dir = tempfile::tempdir()?;
//! let options = CollectorOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback)
//!     .with_store(StoreOptions::new(dir.path()));
//! let collector = Collector::bind(options)?;
//!
//! let mut client = TcpStream::connect(collector.local_addr())?;
//! client.write_all(b"{\"run_id\":\"r1\",\"stream\":\"town\",\"seq\":1,\"tick\":1}\n")?;
//! client.write_all(b"{\"run_id\":\"r1\",\"stream\":\"town\",\"seq\":3,\"tick\":3}\n")?;
//! drop(client);
//! # while collector.report().totals.lines < 2 { std::thread::yield_now(); }
//!
//! let report = collector.shutdown(Duration::from_secs(5));
//! assert_eq!((report.totals.stored, report.missing), (2, 1));
//! assert_eq!(report.streams[0].sequence.gaps[0].to_string(), "2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "grpc")]
pub mod grpc;
pub mod inspect;
mod lines;
#[cfg(feature = "nats")]
pub mod nats;
pub mod otlp;
mod planted;
mod pulled;
mod report;
pub mod sequence;
mod server;
pub mod store;
pub mod web;

pub use pulled::{NatsReport, PartitionReport};
pub use report::{
    CertificateReport, CollectorReport, ConnectionReport, EndKind, Ending, InvalidLine, LineCounts, ShardReport,
    StreamReport, Via,
};
pub use server::{
    Collector, CollectorError, CollectorOptions, Connection, LineView, Receiver, Security, Subscriber, Took,
};

/// The TLS application protocol (ALPN) of a connection on which the collector
/// acknowledges lines.
pub const ACK_PROTOCOL: &[u8] = b"townlet-ack/1";

/// The same, with lines that travel as one zlib stream (RFC 1950), flushed after each
/// batch. What unfolds to more than 400 times its size is cut.
pub const ACK_DEFLATE_PROTOCOL: &[u8] = b"townlet-ack-deflate/1";

/// What a collector that can do all of it puts into its ALPN list.
pub fn protocols() -> Vec<Vec<u8>> {
    vec![ACK_DEFLATE_PROTOCOL.to_vec(), ACK_PROTOCOL.to_vec()]
}

/// The code of the guide for operators, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/collector.md")]
struct Guide;
