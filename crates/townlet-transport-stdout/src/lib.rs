//! Frames on standard output, or on any other writer.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) that writes
//! each batch in one piece while it holds the lock of standard output.
//!
//! **What it is not.** It does not keep other parts of the program from
//! printing between two batches: send logs to standard error.
//!
//! # Guarantees
//! - Within this process nothing is printed into the middle of a batch.
//! - A write that takes only a part is continued. Where it then fails, exactly
//!   the frames written whole count as settled, and the next send goes on in the
//!   middle of the line where this one stopped: no line is cut, none comes twice.
//! - A reader that went away, as `head` does, is
//!   [`Closed`](townlet_transport::ErrorKind::Closed): a clean end, nothing to retry.
//! - `send` takes as long as the reader of a pipe makes it take: standard output
//!   has no timeout. The worker's shutdown deadline does not wait for it.
//!
//! # Example
//! ```
//! use townlet_transport::{Frame, Label, Transport};
//! use townlet_transport_stdout::StdoutTransport;
//!
//! let mut sink = StdoutTransport::to_writer(Vec::new());
//! sink.connect()?;
//! sink.send(&[Frame::new(Label::new("run", "town"), "event", 1, 1, "{\"tick\":1}\n")])?;
//! assert_eq!(sink.output(), b"{\"tick\":1}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod factory;
mod output;
mod transport;

pub use factory::StdoutFactory;
pub use output::{Output, StandardOutput};
pub use transport::StdoutTransport;
