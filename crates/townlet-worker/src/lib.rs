//! Bounded queue, back-pressure, batching, retry, restart and ledger for frames.
//!
//! **What it is.** [`Machine`] decides: what is admitted, what is evicted, when
//! a batch is due, when to try again, when to give up. It does no I/O and reads
//! no clock. [`driver::spawn`] runs a thread that carries its decisions out on a
//! [`Transport`](townlet_transport::Transport). [`Worker`] is both together, for
//! a host that has bytes of its own; the pipeline builds on the parts. [`Spooler`]
//! carries frames between machines and a spill on disk, [`Receipt`] tells how far
//! one event has come, [`DeadLetters`] gets what a peer refuses for good.
//!
//! **What it is not.** It knows no payload type and encodes nothing.
//!
//! # Guarantees
//! - The books balance in every read: `accepted = delivered + dropped + coalesced +
//!   buffered + spilled` ([`Statement::residual`] is 0), and every drop has a [`DropReason`].
//! - Memory is bounded by count and bytes, in flight included; up to 1 MiB of
//!   evicted frames may wait beside it for the worker to free them, and with a
//!   spill one event on its way to the disk. A frame larger than the bound is
//!   dropped alone.
//! - A failed send keeps the order and the frames: nothing is dropped because a
//!   sink is down, only because the bound is reached or the shutdown deadline
//!   came. Pauses between attempts double up to a cap, with full jitter, and end
//!   early at shutdown.
//! - `offer` does no I/O and takes no lock that I/O can hold; it waits only
//!   under `block` and `spill`, at most the timeout in all.
//! - With a spill, frames that went to disk come back in the order in which they
//!   went, and before anything newer. A receipt says `durable` only after the
//!   sync. A disk that takes nothing does not hold up a sink that does.
//! - A panic in a transport costs nothing but a restart; more than
//!   `restart_limit` of them in a window park the worker, and the policy keeps
//!   memory bounded meanwhile.
//! - Shutdown returns at its deadline with a balanced statement, even when a
//!   call of the transport is stuck.
//! - Delivery is at least once: after a lost connection, frames whose fate is
//!   unknown are sent again, and receivers deduplicate on `(run_id, stream, seq)`.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use townlet_transport::{Connected, Frame, Label, Level, Outcome, SendError, Transport, TransportError};
//! use townlet_worker::{Offer, Options, Worker};
//!
//! struct Null;
//! impl Transport for Null {
//!     fn connect(&mut self) -> Result<Connected, TransportError> { Ok(Connected::local()) }
//!     fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> { Ok(Outcome::Settled(Level::Sent)) }
//!     fn close(&mut self) {}
//! }
//!
//! let worker = Worker::spawn(Options::default(), || Ok(Box::new(Null) as Box<dyn Transport>))?;
//! let label = Label::new("run-1", "orders");
//! for seq in 1..=1000 {
//!     assert_eq!(worker.offer(Frame::new(label.clone(), "event", seq, seq, "{}\n")), Offer::Accepted);
//! }
//! let books = worker.shutdown(Duration::from_secs(2));
//! assert_eq!((books.account.accepted(), books.residual()), (1000, 0));
//! # Ok::<(), std::io::Error>(())
//! ```

mod age;
mod backoff;
pub mod driver;
mod ledger;
mod machine;
mod options;
mod planted;
mod queue;
mod reason;
mod receipt;
mod refused;
mod sink;
mod spooler;
mod status;
mod sync;
mod worker;

pub use backoff::RestartWindow;
pub use ledger::{Account, Statement};
pub use machine::{Action, Admission, Credit, Machine, OnCredit, PART};
pub use options::{Backpressure, Options, SpillMode};
pub use reason::DropReason;
pub use receipt::{NoReceipt, Reached, Receipt};
pub use refused::{DeadLetters, Refusal};
pub use sink::{Admitted, Route, Sink};
pub use spooler::{SpoolStatus, Spooler, SpoolerOptions};
pub use status::Status;
pub use worker::{Offer, Worker, seed_from};
