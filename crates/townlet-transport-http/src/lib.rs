//! Frames posted to an HTTP endpoint, over TLS unless the plaintext rule allows
//! otherwise.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) to one URL: a
//! `POST` of newline-delimited JSON for each batch, or of one JSON document for
//! each frame, plain, gzip or zstd, over kept connections, with a token or password
//! where the peer wants one. A 2xx answer settles frames as `peer_acked`.
//!
//! **What it is not.** It does not retry, queue or reorder; that is the worker's.
//! It follows no redirect, reads no answer but its status, `Retry-After`, `Date`
//! and `Location`, and speaks HTTP/1.1 only.
//!
//! # What an answer means
//! | answer | frames |
//! |---|---|
//! | 2xx | are settled |
//! | 3xx | wait: the message names the URL that `endpoint` should be |
//! | 408, 429, 5xx | wait, as long as `Retry-After` asks and at most five minutes ([`TransportError::LONGEST_PAUSE`](townlet_transport::TransportError::LONGEST_PAUSE)) beyond the worker's own pause |
//! | 413 | go out in smaller parts; one that is too large alone is dropped as oversize |
//! | 401, 403, 404 and others that no content would change | are dropped together, with the reason; after 401 and 403 the credentials' file is read again first, and where it was renewed the frames wait |
//! | any other 4xx | go out in smaller parts until the one is found that the peer does not take; it is dropped alone, with the reason |
//! | none | wait |
//!
//! # Guarantees
//! - Building a transport reads files and touches no network.
//! - `send` takes at most the send timeout for the whole batch, and the connect
//!   timeout on top where no connection stands, give or take a tenth of a second,
//!   whatever the peer, the proxy or the resolver is stuck in.
//! - Each request carries an `Idempotency-Key`. It is a digest of the frames in it,
//!   and what was sent without an answer is sent again in the same request, so a
//!   peer that heeds it stores nothing twice. Others tell by `seq`.
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
//! - `zstd`, off by default: `compression: zstd`, by a library in C. Without it that is
//!   a configuration error.
//!
//! # Log events
//! `telemetry_tls_error`, `telemetry_tcp_plaintext_enabled`,
//! `telemetry_http_credentials_renewed`, `telemetry_http_credentials_unusable`.
//!
//! # Example
//! ```
//! use townlet_transport::{Auth, ErrorKind, SecretSource};
//! use townlet_transport_http::{HttpOptions, HttpTransport, Target};
//!
//! let auth = Auth::Bearer(SecretSource::File("no/such/token".into()));
//! let target = Target::parse("https://collector.example/ingest")?;
//! let error = HttpTransport::new(HttpOptions { auth: Some(auth), ..HttpOptions::new(target) }).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! assert!(error.to_string().contains("auth.bearer: the file no/such/token cannot be read"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod factory;
mod options;
mod transport;
mod verdict;

pub use factory::HttpFactory;
pub use options::HttpOptions;
pub use townlet_http::{Secret, Security, Target};
pub use transport::HttpTransport;
