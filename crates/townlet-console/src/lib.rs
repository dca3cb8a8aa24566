//! An operator's way into a running pipeline: an authenticated endpoint on this machine.
//!
//! **What it is.** [`Console`] listens on a Unix socket (mode 0600) or on a
//! loopback port of a process that runs a pipeline, and answers two commands:
//! `status` (the transport status and the books of every sink) and `tap` (the
//! frames as they are made). [`Client`] asks.
//!
//! **What it is not.** It changes nothing in the pipeline or its host, and there
//! is no way to another machine: what should be seen elsewhere is a sink.
//! It runs on Unix only.
//!
//! # Guarantees
//! - Nothing is answered without the token, on either kind of endpoint, and the
//!   check stands in one place, before anything else in a request is looked at.
//!   It takes the same time for every wrong token, failures are counted
//!   ([`Console::refused`]) and answered at most one a second, and no answer says
//!   what was wrong.
//! - A token prints as `[redacted]`, is in no error and no log.
//! - A tap shows frames, which are made after redaction only. One that reads too
//!   slowly misses frames and is told how many; neither the pipeline nor other
//!   taps wait for it.
//! - One request a connection, of at most [`MAX_REQUEST`] bytes, within
//!   [`ConsoleOptions::request_timeout`]; at most [`ConsoleOptions::max_connections`]
//!   connections. Answers are never read as requests.
//! - Dropping the [`Console`] ends everything within about a second.
//!
//! # Protocol, version 1
//! One line of JSON in: `{"v":1,"token":"…","command":"tap"}`, with `kinds`,
//! `streams` (`*` for any characters) and `limit` (frames) for `tap` where not all
//! is wanted. One line of JSON out: `{"v":1,"name":"tap","status":"ok","result":{…}}`,
//! or `"status":"error"` with `error.code` (`usage`, `invalid_args`, `forbidden`,
//! `unsupported`, `unknown_command`, `conflict`) and `error.message`.
//! After the answer to `tap`, every line that starts with `{` is a telemetry
//! line, byte for byte as sinks get it. A line that starts with `[` is from the
//! console: `["missed",{"frames":12,"total":40}]` where frames are missing, and
//! at last `["end",{"reason":"limit","shown":100,"missed":40}]` (or
//! `pipeline_ended`, `console_stopped`). The client ends a tap by closing; a
//! connection whose writing half it has closed counts as closed.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use townlet_console::{Client, Console, ConsoleOptions, Shown, TapRequest, Token};
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
//! let telemetry = Telemetry::builder().sink(Options::default(), SinkInfo::new("null"), transport).start()?;
//! let token = Token::new("correct-horse-battery-staple")?;
//! let console = Console::start(ConsoleOptions::new("tcp:127.0.0.1:0".parse()?, token.clone()), telemetry.clone())?;
//!
//! let client = Client::connect(console.endpoint(), Duration::from_secs(5))?;
//! let mut tap = client.tap(&token, &TapRequest { limit: Some(1), ..TapRequest::default() })?;
//! telemetry.emit_named("door.opened", 1, Json::from("cellar"))?;
//! let Some(Shown::Line(line)) = tap.next(Duration::from_secs(5))? else { panic!("no line") };
//! assert!(line.starts_with(b"{\"schema_version\""));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod endpoint;
mod error;
mod reply;
mod request;
mod server;
mod session;
mod socket;
mod token;

pub use client::{Client, Shown, Tapped};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ClientError, ConsoleError};
pub use request::{MAX_REQUEST, TapRequest};
pub use server::{Console, ConsoleOptions};
pub use token::{Token, TokenError};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;
