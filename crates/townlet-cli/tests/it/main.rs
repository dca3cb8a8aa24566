//! The commands as a user meets them: real processes, real sockets, real files.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where it stopped")]

mod bad_peers;
mod collect_grpc;
mod collect_web;
mod configs;
mod dead_letters;
mod demo;
mod follow;
mod history;
mod host;
mod init;
mod inspect;
mod kills;
mod latency;
mod nats;
mod openssl;
mod otlp;
mod policies;
mod prometheus;
mod readiness;
mod registry;
mod release;
mod reload;
mod replay;
mod rollouts;
mod signals;
mod simulate;
mod smoke;
mod spill;
mod support;
mod tap;
mod telling;
mod tls_matrix;
mod validate;
mod websocket;
