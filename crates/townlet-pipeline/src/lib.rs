//! The embedder's API: emit, transforms, encoding, one worker per sink, status and health.
//!
//! **What it is.** [`Telemetry`] joins the parts: values go through one bounded
//! intake and one stage (transforms, redaction, encoding), then to one worker
//! per sink. One dead sink neither slows nor starves another.
//!
//! **What it is not.** It knows no transport: sinks come as closures that build
//! one. It reads no configuration file; `townlet-config` does.
//!
//! # Guarantees
//! - The loop pays for a move or for one encode. `emit` does bounded work, no
//!   I/O, takes no lock that I/O or a transform can hold, and allocates nothing
//!   in the steady state; only the policy `block` (at most its timeout, in all)
//!   and a validator in mode `raise` make it wait, because the host chose so.
//! - Every accepted event is on the books of every sink until it is delivered or
//!   dropped for a reason: [`Telemetry::statements`] balances in every read.
//! - Only what passed the transform chain becomes a frame; frames are all that a
//!   sink sees. The default chain redacts.
//! - Events of a stream reach a sink in order (with `fan_out`: per lane).
//! - Under `drop_oldest` the oldest waiting event goes first; the at most 256
//!   that are being rendered and those in the transport's hands are passed over.
//! - An event is sent `flush_interval` after it was emitted, or sooner; with
//!   several sinks up to a quarter of it (at most 100 ms) later.
//! - Memory is that of the sinks' bounds and at most 16 MiB more, also while a
//!   sink or a transform is stuck, for values whose text is not longer than what
//!   they declare: until it is encoded a value counts by that.
//! - [`Telemetry::shutdown`] returns on time with balanced books.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use townlet_pipeline::{Options, SinkInfo, Telemetry};
//! use townlet_schema::Json;
//! # use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};
//! # struct Null;
//! # impl Transport for Null {
//! #     fn connect(&mut self) -> Result<Connected, TransportError> { Ok(Connected::local()) }
//! #     fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> { Ok(Outcome::Settled(Level::Sent)) }
//! #     fn close(&mut self) {}
//! # }
//! # fn transport() -> Result<Box<dyn Transport>, TransportError> { Ok(Box::new(Null)) }
//!
//! let telemetry = Telemetry::builder().producer("shard-7").sink(Options::default(), SinkInfo::new("null"), transport).start()?;
//! for tick in 1..=100 {
//!     // … the host's own work …
//!     telemetry.emit_named("door.opened", tick, Json::from("cellar"))?;
//! }
//! let books = telemetry.shutdown(Duration::from_secs(2));
//! assert_eq!(books.residual(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod arena;
mod body;
mod books;
mod builder;
mod dead_letters;
mod dynamic;
mod error;
mod figures;
mod frames;
mod health;
mod intake;
mod lane;
mod latest;
mod ledger;
mod peer;
mod planted;
mod receipts;
mod rendering;
mod replay;
mod shared;
mod sinks;
mod slots;
mod spills;
mod spooling;
mod stage;
mod state;
mod status;
mod stream;
mod streams;
mod stub;
mod tap;
mod telemetry;
mod tuning;

pub use admission::Emitted;
pub use books::Recovered;
pub use builder::Builder;
pub use dead_letters::{DeadLetterReport, DeadLetterSettings};
pub use error::{BuildError, EmitError, ReplaceError, StreamError};
pub use frames::StateFrames;
pub use health::TickHealth;
pub use latest::View;
pub use peer::StateForm;
pub use receipts::Receipts;
pub use replay::Replay;
pub use spills::SpillState;
pub use spooling::SpillSettings;
pub use status::SinkInfo;
pub use stream::Stream;
pub use stub::{STUB_WARNING, StubSink};
pub use tap::{Tap, TapOptions};
pub use telemetry::{FinalStatement, Telemetry};
pub use townlet_spill::{FsyncPolicy, SpillOptions};
pub use townlet_state::Cadence;
pub use townlet_worker::{Account, Backpressure, DropReason, NoReceipt, Options, Receipt, SpillMode, Statement};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
