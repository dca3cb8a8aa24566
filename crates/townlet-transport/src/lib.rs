//! The contract between a worker and a backend.
//!
//! **What it is.** Four things that every part of the pipeline agrees on: a
//! [`Frame`] (one line, ready to send, with the name of its stream and its
//! place in it), the [`Transport`] trait that a backend implements, the
//! [`TransportError`] whose [`ErrorKind`] is all a worker needs to decide what
//! to do next, and the [`Level`] that says how far a frame got.
//!
//! A frame may carry a state instead of its line ([`StateBody`]). What becomes
//! of it depends on the peer, so it is rendered ([`FrameEncoder`]) when it is sent:
//! a transport gets frames with bytes, and no others.
//!
//! A transport that publishes what its pipeline does, rather than what goes
//! through it, is given the [`Figures`] to read ([`Transport::watch`]).
//!
//! **What it is not.** It knows no payload type, no JSON and no retry. A schema
//! change touches nothing here.
//!
//! # Guarantees a transport gives
//! - [`Transport::connect`] and [`Transport::send`] return within the bounds of
//!   their configuration. They are never called concurrently.
//! - A transport never retries and never drops: it reports, the worker decides.
//! - A frame is reported settled only at a [`Level`] that has truly been reached.
//!
//! # Example
//! ```
//! use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};
//!
//! /// Keeps what it was sent.
//! struct Memory(Vec<u8>);
//!
//! impl Transport for Memory {
//!     fn connect(&mut self) -> Result<Connected, TransportError> {
//!         Ok(Connected::local())
//!     }
//!     fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
//!         for frame in batch {
//!             self.0.extend_from_slice(frame.line());
//!         }
//!         Ok(Outcome::Settled(Level::Sent))
//!     }
//!     fn close(&mut self) {}
//! }
//!
//! let stream = townlet_transport::Label::new("run-1", "town.events");
//! let mut sink = Memory(Vec::new());
//! sink.connect()?;
//! sink.send(&[Frame::new(stream, "event", 1, 7, "{\"tick\":7}\n")])?;
//! assert_eq!(sink.0, b"{\"tick\":7}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod contract;
mod error;
mod factory;
mod figures;
mod frame;
mod state;

pub use contract::{Connected, Level, Outcome, Transport};
pub use error::{ErrorKind, SendError, TransportError};
pub use factory::{Auth, BrokerSettings, BrokerStream, Compression, Factory, Format, Fsync, SecretSource, Settings};
pub use figures::{Durations, Figure, Figures, Reading};
pub use frame::{Frame, Label, runs};
pub use state::{FrameEncoder, StateBody};
