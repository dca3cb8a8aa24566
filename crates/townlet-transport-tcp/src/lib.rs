//! Frames over TCP, under TLS unless the plaintext rule allows otherwise.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) to one
//! collector: newline-delimited JSON, one line per frame, and lines back where
//! the peer acknowledges.
//!
//! **What it is not.** It does not retry, queue or reorder; that is the
//! worker's. It does not read anything but acknowledgements.
//!
//! # Acknowledgements
//! Under TLS the transport offers the ALPN protocol `townlet-ack/1`. A peer that
//! picks it sends lines `{"ack":N}`: the count of whole lines that it has taken
//! on this connection, cumulative. Frames then settle as `peer_acked`. A peer
//! that knows no ALPN (rsyslog, Vector, Fluent Bit, `socat`) gets plain lines,
//! and frames settle as `sent`. Over plaintext there are no acknowledgements.
//!
//! # Compression
//! Where it is asked for, the transport offers `townlet-ack-deflate/1` first: lines
//! then travel as one zlib stream (RFC 1950), flushed after each batch, so that a
//! batch is as readable as without. A peer that does not know it gets plain lines.
//! It needs TLS and acknowledgements, since both sides agree on it by ALPN. The
//! length of what is encrypted then depends on its content: where an attacker can
//! both put text into a stream and watch the network, leave it off.
//!
//! # Guarantees
//! - Building a transport reads certificate files and touches no network.
//! - `connect` takes at most the connect timeout for name resolution, connect
//!   and handshake together; `send` at most the send timeout for the whole
//!   batch, however little the peer takes at a time.
//! - A batch is copied into one buffer and written with as few calls as the
//!   kernel allows; there is no system call per frame.
//! - Before a batch goes out, the transport looks whether the peer has closed
//!   or refused the connection: the first batch after that is an error, not a
//!   loss counted as a delivery. A peer that closes its sending half therefore
//!   counts as gone.
//! - After a failed send nothing of the batch is reported as settled, so lines
//!   may arrive twice, never not at all; `seq` tells them apart.
//! - A line is only ever cut by the end of a connection. A new connection
//!   starts with a whole one.
//! - Errors name the endpoint and never quote payload.
//!
//! # Renewed certificates
//! Before each batch, at most once a second, and at once after a failed
//! handshake, the transport looks whether `ca_file`, `cert_file` or `key_file`
//! changed ([`townlet_tls::Reload`]). Each new connection uses the newest files
//! that are good; damaged, expired or half-written ones leave those in use that
//! were. An open connection is kept: its peer has accepted the certificate that
//! it was opened with, its keys no longer depend on it, and to dial again would
//! send the unacknowledged lines twice and gain nothing. Whoever wants a
//! certificate out of use at once ends the connections that use it, at the peer
//! or by closing the transport. [`TcpTransport::certificates`] says what became
//! of the renewals and how many days are left.
//!
//! # Log events
//! `telemetry_tls_error` (`endpoint`, `kind`, `error`) on each TLS failure;
//! `telemetry_tcp_plaintext_enabled` (`endpoint`) on each plaintext connection;
//! and those of [`townlet_tls`] about renewed and expiring certificates.
//!
//! # Example
//! ```
//! use townlet_tls::{ClientOptions, Endpoint};
//! use townlet_transport::{ErrorKind, Transport};
//! use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};
//!
//! let missing = ClientOptions { ca_file: Some("no/such/ca.pem".into()), ..ClientOptions::default() };
//! let endpoint = Endpoint::parse("collector.example:9000")?;
//! let error = TcpTransport::new(TcpOptions::new(endpoint, Security::Tls(missing))).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! assert!(error.to_string().contains("no/such/ca.pem"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acks;
mod certificates;
mod deflate;
mod factory;
mod failure;
mod link;
mod options;
mod transport;

pub use acks::ACK_PROTOCOL;
pub use deflate::{ACK_DEFLATE_PROTOCOL, DEFLATE_LEVEL};
pub use factory::TcpFactory;
pub use options::TcpOptions;
pub use townlet_tls::Security;
pub use transport::TcpTransport;
