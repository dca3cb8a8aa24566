//! Test support for everything that carries frames.
//!
//! **What it is.** The other side of every test: transports that fail on
//! command ([`Script`]), TCP and TLS peers that misbehave in the ways real ones
//! do ([`peer`]), an HTTP server that answers as it is told ([`http`]), the real `nats-server`, alone and as a cluster
//! ([`nats`]), certificates that are expired, not yet valid or for somebody
//! else ([`certs`]), a clock that a test moves ([`SimClock`]), a disk that
//! forgets and tears ([`disk`]), and the [`conformance`](fn@conformance) suite
//! that every transport has to pass.
//!
//! **What it is not.** Not for production: it panics with a readable message
//! where a test's expectation does not hold. It knows no payload type and
//! builds on `rustls` directly rather than on `townlet-tls`, so that a mistake
//! there is not mirrored by the peer that should find it.
//!
//! # Guarantees
//! - Nothing sleeps for a fixed time: every wait is for a condition, with a
//!   deadline after which the test fails.
//! - Ports are chosen by the kernel, on 127.0.0.1 unless a test asks otherwise.
//!
//! # Example
//! ```
//! use townlet_testkit::{Script, frames};
//! use townlet_transport::{ErrorKind, Transport};
//!
//! let script = Script::new();
//! let mut sink = script.transport();
//! script.fail_next_sends(1, ErrorKind::Timeout);
//!
//! sink.connect()?;
//! assert!(sink.send(&frames(1..=2)).is_err());
//! assert!(sink.connect()?.fresh, "an error ends the connection");
//! sink.send(&frames(1..=2))?;
//! assert_eq!(script.received_seqs(), [1, 2]);
//! script.assert_contract_kept();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(clippy::expect_used, reason = "a broken test environment should stop the test where it is found")]

pub mod certs;
mod clock;
mod conformance;
pub mod disk;
mod frames;
pub mod http;
mod logs;
pub mod nats;
pub mod nats_users;
mod patience;
pub mod peer;
mod script;
mod scripted;
mod sync;

pub use clock::SimClock;
pub use conformance::{Case, conformance};
pub use frames::{event, frame, frame_of_len, frames, seqs_of};
pub use logs::logged;
pub use patience::on_time;
pub use script::{Script, Step};
pub use scripted::Scripted;

/// The guide for writing a transport, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/write-a-transport.md")]
struct Guide;
