//! Every test talks to a real socket or a real file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod endpoint;
mod files;
mod handshake;
mod inspect;
mod plaintext;
mod probe;
mod reload;
mod server;
