//! A console from both sides: real sockets, a real pipeline, transports in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod authority;
mod endpoints;
mod fakes;
mod limits;
mod status;
mod tap;
