//! TLS for everything in the workspace, once.
//!
//! **What it is.** PEM files become a [`ClientTls`] or a [`ServerTls`]; either
//! turns a TCP connection into an encrypted one by a deadline; every failure is
//! a [`TlsError`] with a [`TlsErrorKind`] to act on and a message that says what
//! to do. Around that: the [`Endpoint`] that `host:port` parses to, [`dial()`]
//! for names with several addresses, the [`Plaintext`] rule as a type, what a
//! certificate says ([`inspect_chain`]), a [`probe()`] that describes a server
//! before anybody relies on it, and [`Reload`], which takes up renewed files.
//!
//! **What it is not.** It sends no payload and knows no transport. It has no
//! thread and no file watcher: [`Reload`] looks when its owner asks it to. It
//! fetches no certificates and checks no revocation lists.
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
//! - Renewed files replace what is in use only as a whole and only where they
//!   are good: they parse, key and chain belong together, the dates are right.
//!   Otherwise what was loaded before stays in use, and [`ReloadStatus`] says why.
//! - Messages never contain key material.
//!
//! # Log events
//! `telemetry_tls_reloaded` (`side`, `files`, `days_to_expiry`),
//! `telemetry_tls_reload_failed` (`side`, `kind`, `error`), and, once a day below
//! [`EXPIRING_DAYS`], `telemetry_tls_certificate_expiring` (`side`, `certificate`,
//! `days_to_expiry`); `side` is `client` or `server`.
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
mod files;
mod handshake;
mod inspect;
mod origin;
mod pem;
mod plaintext;
mod probe;
mod reload;
mod security;
mod server;
mod verify;

pub use classify::{classify, classify_io};
pub use client::{ClientOptions, ClientStream, ClientTls};
pub use dial::dial;
pub use endpoint::{Endpoint, EndpointError, EndpointErrorKind};
pub use error::{TlsError, TlsErrorKind};
pub use inspect::{CertificateInfo, inspect_chain, inspect_file};
pub use plaintext::{Plaintext, PlaintextFlags, PlaintextRefused};
pub use probe::{ProbeReport, probe};
pub use reload::{EXPIRING_DAYS, Reload, ReloadCheck, ReloadError, ReloadStatus};
pub use security::Security;
pub use server::{ServerOptions, ServerStream, ServerTls};
