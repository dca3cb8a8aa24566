//! Frames to NATS JetStream.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) that publishes each frame
//! as one message to a stream of a NATS cluster, and settles it when that stream has stored
//! it. For fleets that have outgrown one collector: the broker keeps what nobody has read
//! yet, several collectors share the load, and none of them has to be there.
//!
//! **What it is not.** It does not retry, queue or reorder; that is the worker's. It speaks
//! JetStream and no core NATS: a message that nobody stores is an error. It changes no
//! stream that is there.
//!
//! # Wire
//! The content of a message is the line without its `\n`. Its headers are `Nats-Msg-Id:
//! run_id/stream/seq`, with `/rendering` behind it for a state that is sent whole, so that the
//! server knows what comes again within its window of duplicates, and `Nats-Expected-Stream`,
//! so that nothing lands where nobody looks for it.
//!
//! Each stream of telemetry has a subject of its own, `townlet.{partition}.{stream}` unless
//! `nats.subject` says otherwise ([`Subject`](townlet_nats::Subject)). The partition is a hash
//! of the name: consumers select by subject, so each partition is one collector's, and a
//! stream never moves from one to another by itself.
//!
//! # Guarantees
//! - Building a transport reads certificate files and the secret; it touches no network.
//! - `connect` takes at most the connect timeout for the connection and as long again for
//!   the question whether the stream is there; `send` at most the send timeout.
//! - Many publishes are in flight, [`in_flight`](NatsTransportOptions::in_flight) at most;
//!   their acknowledgements settle frames in order, as `peer_acked`: the stream has the
//!   message on a majority of its replicas. That is no promise that it was synced to disk.
//! - After any failure the connection is given up and what was not acknowledged is sent
//!   again: the stream may hold it already, and then the server knows it by its id, or the
//!   collector by its number.
//! - A frame above the server's `max_payload` or the stream's `max_msg_size` is
//!   [`TooLarge`](townlet_transport::ErrorKind::TooLarge) and dropped alone.
//! - No responders, a leader being chosen, a server that goes away and a full stream are
//!   errors to retry. So are a stream that is not there, a subject that it does not take and
//!   a user who may not: somebody may put it right, and the message says how
//!   ([`Misconfigured`](townlet_transport::ErrorKind::Misconfigured)).
//!
//! States go out as diffs with a keyframe every `keyframe_every`, and first of all on each
//! connection; whoever begins to read in between waits for the next.
//!
//! Log events are those of [`townlet_nats`].
//!
//! # Example
//! ```
//! use townlet_transport::{ErrorKind, Factory, Settings};
//! use townlet_transport_nats::NatsFactory;
//!
//! let mut settings = Settings::default();
//! settings.endpoint = Some("nats://nats.example:4222".into());
//! let error = NatsFactory.build(&settings).err().unwrap();
//! assert_eq!(error.kind(), ErrorKind::Misconfigured);
//! assert!(error.to_string().contains("allow_plaintext"));
//! ```

mod factory;
mod message;
mod options;
mod transport;

pub use factory::NatsFactory;
pub use options::NatsTransportOptions;
pub use transport::NatsTransport;
