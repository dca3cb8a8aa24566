//! The commands as a user meets them: real processes, real sockets, real files.

mod bad_peers;
mod configs;
mod demo;
mod inspect;
mod replay;
mod simulate;
mod support;
mod validate;
