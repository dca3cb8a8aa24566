//! The collector from outside: sockets, files, reports. All of it needs `--features grpc,nats`,
//! which a build of the workspace turns on.

#![expect(clippy::unwrap_used, reason = "a test's support stops where its expectation does not hold, too")]

mod acknowledged;
mod acks;
mod bad_input;
mod compressed;
mod drift;
mod fleet;
mod gaps;
#[cfg(feature = "grpc")]
mod grpc_calls;
#[cfg(feature = "grpc")]
mod grpc_peers;
#[cfg(feature = "grpc")]
mod grpc_support;
mod inspect_files;
mod limits;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod nats_figures;
mod otlp;
#[cfg(feature = "grpc")]
mod otlp_forms;
#[cfg(feature = "grpc")]
mod otlp_peers;
#[cfg(feature = "grpc")]
mod otlp_python;
mod receive;
mod relay;
mod renewal;
mod sequence_model;
mod stop;
mod store_files;
mod stuck_disk;
mod support;
mod web_ingest;
mod web_messages;
mod web_metrics;
mod web_python;
mod web_requests;
mod web_support;
mod web_transports;
mod web_watch;
