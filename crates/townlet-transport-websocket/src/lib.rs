//! Frames over WebSocket (RFC 6455), under TLS unless the plaintext rule allows
//! otherwise.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) to one server:
//! whole lines of JSON in messages, acknowledgements back where the server
//! speaks the subprotocol `townlet.v1`. For networks that let nothing through
//! but HTTP, and for consumers that already have a WebSocket library.
//!
//! **What it is not.** It does not retry, queue or reorder; that is the
//! worker's. It follows no redirect, compresses nothing and has no thread.
//!
//! # Wire
//! A message holds one or more lines, each with its `\n`, up to
//! [`message_bytes`](WsOptions::message_bytes) together; a longer line is a
//! message of its own. Messages are text; what is no UTF-8 goes as binary.
//!
//! The client offers the subprotocol `townlet.v1`. A server that picks it answers
//! with messages `{"ack":N}`: the count of lines that it has taken on this
//! connection, cumulative, as under `townlet-ack/1` of TCP. Frames then settle
//! as `peer_acked`. A server that picks no subprotocol gets the same messages,
//! and frames settle as `sent`.
//!
//! Two more headers, which a server may ignore:
//! - `Townlet-Settle: durable` asks that lines be synced before they are
//!   acknowledged, where the configuration says `settle_at: durable`. A server
//!   that answers with the same header promises it, and frames settle as `durable`.
//! - `Townlet-Resume: run/stream=N, …` says on a new connection from which
//!   number on the client has no acknowledgement. A server may answer with the
//!   same header and the numbers up to which it has them all; these lines are
//!   settled without being sent again, as far as they were sent at all. States are
//!   always sent again: a diff is against what the peer has, and after a reconnect
//!   the worker sends a keyframe.
//!
//! # Guarantees
//! - Building a transport reads certificate files and the token; it touches no
//!   network.
//! - `connect` takes at most the connect timeout for name resolution, connect,
//!   TLS and handshake together, and as long again where an open connection has
//!   to prove that it is alive; `send` at most the send timeout for the batch.
//! - A peer that answers no ping within [`pong_timeout`](WsOptions::pong_timeout)
//!   counts as gone. Pings go out after a silence of
//!   [`ping_interval`](WsOptions::ping_interval), while acknowledgements are
//!   awaited and before a batch. In between nobody listens: an idle transport
//!   answers no pings, and where the peer ends the connection for that, the
//!   next `connect` opens another before it is trusted with a batch.
//! - A peer that refuses a message for its size (close code 1009) gets smaller
//!   ones on the next connection. A single line that it refuses is
//!   [`TooLarge`](townlet_transport::ErrorKind::TooLarge), which the worker counts
//!   and drops alone.
//! - A peer that refuses what a message says (close codes 1003, 1007 and 1008) gets
//!   what it has not acknowledged one line at a time, on connections that have
//!   answered a ping first. A line for which alone it ends two of them in a row is
//!   [`Rejected`](townlet_transport::ErrorKind::Rejected): the worker drops it under
//!   that reason, keeps it where there are dead letters, and goes on with the next.
//!   Without acknowledgements nobody can tell which line it was, and none is given up.
//! - After a failed send nothing of the batch is reported as settled, so lines
//!   may arrive twice, never not at all; `seq` tells them apart.
//! - Messages of errors name the endpoint and quote neither payload nor token nor
//!   the query of the URL. [`Secret`] prints as `Secret(…)`.
//!
//! Renewed certificate files are taken up as by `townlet-transport-tcp`: each new
//! connection uses the newest that are good. The token is read for each
//! connection.
//!
//! # Log events
//! `telemetry_tls_error` (`endpoint`, `kind`, `error`) on each TLS failure;
//! `telemetry_tcp_plaintext_enabled` (`endpoint`) on each plaintext connection;
//! `telemetry_websocket_reopened` (`error`) where an idle connection had ended;
//! `telemetry_websocket_smaller_messages` (`message_bytes`, `line_bytes`);
//! `telemetry_websocket_line_by_line` (`code`, `lines`).
//!
//! # Example
//! ```
//! use townlet_tls::ClientOptions;
//! use townlet_transport::{ErrorKind, Transport};
//! use townlet_transport_websocket::{Security, WsOptions, WsTransport, WsUrl};
//!
//! let missing = ClientOptions { ca_file: Some("no/such/ca.pem".into()), ..ClientOptions::default() };
//! let url = WsUrl::parse("wss://collector.example/v1/telemetry/ws")?;
//! let error = WsTransport::new(WsOptions::new(url, Security::Tls(missing))).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! assert!(error.to_string().contains("no/such/ca.pem"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod factory;
mod failure;
mod goodbye;
mod handshake;
mod limits;
mod link;
mod options;
mod resume;
mod socket;
mod suspicion;
mod token;
mod transport;
mod url;
mod window;

pub use factory::WsFactory;
pub use options::WsOptions;
pub use token::{Secret, Token};
pub use townlet_tls::Security;
pub use transport::WsTransport;
pub use url::WsUrl;

/// The WebSocket subprotocol under which a peer acknowledges lines.
pub const SUBPROTOCOL: &str = "townlet.v1";
