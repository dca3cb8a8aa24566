//! One HTTP `POST` at a time, for transports that deliver over HTTP.
//!
//! **What it is.** A [`Poster`]: it sends a [`Request`] to a [`Target`] over TLS
//! (or, where the plaintext rule allows, without), shows credentials that follow
//! their file, and returns an [`Answer`] by a deadline. Beside it [`Portions`],
//! which learns how much a peer takes at once.
//!
//! A poster also asks its target with a `GET`, for probes of readiness.
//!
//! **What it is not.** No transport: it knows nothing of frames, decides nothing
//! about what an answer means, and tries nothing twice. It speaks HTTP/1.1 only
//! and follows no redirect. It is on a floor of its own between the contract and
//! the transports that share it.
//!
//! # Guarantees
//! - Building a poster reads files and touches no network.
//! - [`Poster::post`] returns at its deadline, give or take a tenth of a second,
//!   whatever the peer, the proxy or the resolver is stuck in.
//! - `http://` goes to this machine only, with both acknowledgements, past any proxy.
//! - The proxy variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their lower-case
//!   forms) hold for `https://`; TLS goes through the proxy to the peer.
//! - Secrets come from a file or an environment variable, are never printed, and
//!   are overwritten in memory when they are dropped. A file that was renewed is
//!   noticed within a second. Certificates are renewed as in [`townlet_tls::Reload`].
//! - Errors name the URL without its query and never quote payload or answers.
//! - It may be used inside an async context as anywhere else: the HTTP client and
//!   the runtime that it brings live on a thread of their own.
//!
//! # Features
//! - `zstd`, off by default: `zstd` beside [`gzip`], from a library in C.
//!
//! # Log events
//! `telemetry_tls_error`, `telemetry_tcp_plaintext_enabled`,
//! `telemetry_http_credentials_renewed`, `telemetry_http_credentials_unusable`.
//!
//! # Example
//! ```
//! use townlet_http::{PostOptions, Poster, Target};
//! use townlet_transport::{Auth, ErrorKind, SecretSource};
//!
//! let auth = Auth::Bearer(SecretSource::File("no/such/token".into()));
//! let target = Target::parse("https://collector.example/ingest")?;
//! let error = Poster::new(PostOptions { auth: Some(auth), ..PostOptions::new(target) }).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod courier;
mod credentials;
mod failure;
mod gzip;
mod headers;
mod options;
mod portions;
mod poster;
mod secret;
mod target;
#[cfg(feature = "zstd")]
mod zstandard;

pub use answer::Answer;
pub use courier::Request;
pub use failure::overdue;
pub use gzip::gzip;
pub use options::PostOptions;
pub use portions::Portions;
pub use poster::Poster;
pub use secret::Secret;
pub use target::Target;
pub use townlet_tls::Security;
#[cfg(feature = "zstd")]
pub use zstandard::zstd;
