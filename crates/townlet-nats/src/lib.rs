//! One connection to NATS JetStream, for the transport that publishes and the collector
//! that consumes.
//!
//! **What it is.** Blocking calls with time limits around the asynchronous client: a
//! [`Connector`] opens a [`Link`] over TLS (or, where the plaintext rule allows, without), a
//! [`Publisher`] has many messages in flight and gives their acknowledgements back in the
//! order of sending, a [`Puller`] shares a durable consumer with others, and [`Gossip`] lets
//! members of a group know of each other. [`Strays`] finds what lies in partitions that nobody
//! reads. [`Subject`] says which subject a stream of
//! telemetry has and which partition it falls into.
//!
//! **What it is not.** No transport: it knows nothing of frames, tries nothing twice and
//! connects again never. A [`Link`] that has ended stays ended; whoever holds it makes
//! another one and knows what to send again. No key-value store, no object store, no push
//! consumers, no WebSocket.
//!
//! # Guarantees
//! - Building a [`Connector`] reads files and touches no network.
//! - Every call returns at its deadline, give or take a tenth of a second, whatever the
//!   server or the resolver is stuck in.
//! - Runtime and client live on a thread of the link's own, so that it may be used and
//!   dropped inside an async context as anywhere else. Nothing of them shows here.
//! - `nats://` goes to this machine only, with both acknowledgements. Servers that the
//!   cluster tells of are not followed: the list that was written is the list.
//! - Under TLS no credential is sent before the handshake. Certificates are renewed as in
//!   [`townlet_tls::Reload`]; secrets are read for each connection and printed never. Of an NKey, with or without the
//!   JWT of a `.creds` file, nothing but a signature goes out.
//! - An acknowledgement of a [`Publisher`] means that the stream has stored the message, on
//!   a majority of its replicas.
//!
//! # Log events
//! `telemetry_tls_error`, `telemetry_tcp_plaintext_enabled`, `telemetry_nats_server_error`
//! (`said`), `telemetry_nats_stream_created` (`stream`), `telemetry_nats_key_readable_by_others`
//! (`file`).
//!
//! # Example
//! ```
//! use townlet_nats::{Connector, NatsOptions, Servers};
//! use townlet_tls::PlaintextFlags;
//! use townlet_transport::{Auth, ErrorKind, SecretSource};
//!
//! let servers = Servers::parse("tls://nats.example:4222")?;
//! let mut options = NatsOptions::new(servers, PlaintextFlags::default())?;
//! options.auth = Some(Auth::Bearer(SecretSource::File("no/such/token".into())));
//! let error = Connector::new(options).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! # Ok::<(), townlet_transport::TransportError>(())
//! ```

mod engine;
mod failure;
mod gossip;
mod link;
mod options;
mod publisher;
mod puller;
mod secret;
mod server;
mod strays;
mod stream;
mod subject;
mod user;
mod watch;

pub use gossip::Gossip;
pub use link::{Connector, Link};
pub use options::{NatsOptions, Security};
pub use publisher::{Message, Publisher};
pub use puller::{Delivery, PullOptions, Puller, Standing, Verdict};
pub use server::Servers;
pub use strays::{Stray, Strays};
pub use stream::NewStream;
pub use subject::{MOST_PARTITIONS, Subject};
