//! TLS for everything in the workspace, once.
//!
//! **What it is.** PEM files become a [`ClientTls`] or a [`ServerTls`]; either
//! turns a TCP connection into an encrypted one by a deadline; every failure is
//! a [`TlsError`] with a [`TlsErrorKind`] to act on and a message that says what
//! to do. Around that: the [`Endpoint`] that `host:port` parses to, [`dial()`]
//! for names with several addresses, the [`Plaintext`] rule as a type, what a
//! certificate says ([`inspect_chain`]), and a [`probe()`] that describes a
//! server before anybody relies on it.
//!
//! **What it is not.** It sends no payload and knows no transport. It does not
//! watch files: load again to pick up a renewed certificate.
//!
//! # Guarantees
//! - TLS 1.2 is the minimum, set explicitly; the provider is ring, passed
//!   explicitly; the process-wide default of rustls is neither used nor set.
//! - A `ca_file` is trusted beside nothing else; without one the platform's
//!   authorities are. `verify_hostname: false` still verifies the chain.
//! - [`dial()`], handshakes and [`probe()`] end by their deadline, also against
//!   a peer that sends one byte at a time.
//! - Without TLS nothing leaves the machine: a [`Plaintext`] exists only for a
//!   loopback endpoint and both acknowledgements.
//! - Messages never contain key material.
//!
//! # Example
//! ```
//! use townlet_tls::{ClientOptions, ClientTls, Endpoint, Plaintext, PlaintextFlags, TlsErrorKind};
//!
//! let endpoint = Endpoint::parse("collector.example:9000")?;
//! let options = ClientOptions { ca_file: Some("no/such/ca.pem".into()), ..ClientOptions::default() };
//! let error = ClientTls::load(&options).unwrap_err();
//! assert_eq!(error.kind(), TlsErrorKind::FileMissing);
//! assert_eq!(error.to_string(), "ca_file no/such/ca.pem does not exist");
//!
//! let both = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
//! assert!(Plaintext::allow(both, &endpoint).is_err(), "not on this machine");
//! assert!(Plaintext::allow(both, &Endpoint::parse("[::1]:9000")?).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod classify;
mod client;
mod dial;
mod endpoint;
mod error;
mod handshake;
mod inspect;
mod pem;
mod plaintext;
mod probe;
mod server;
mod verify;

pub use classify::classify;
pub use client::{ClientOptions, ClientStream, ClientTls};
pub use dial::dial;
pub use endpoint::{Endpoint, EndpointError, EndpointErrorKind};
pub use error::{TlsError, TlsErrorKind};
pub use inspect::{CertificateInfo, inspect_chain, inspect_file};
pub use plaintext::{Plaintext, PlaintextFlags, PlaintextRefused};
pub use probe::{ProbeReport, probe};
pub use server::{ServerOptions, ServerStream, ServerTls};
