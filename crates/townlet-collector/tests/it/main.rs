//! The collector from outside: sockets, files, reports.

#![expect(clippy::unwrap_used, reason = "a test's support stops where its expectation does not hold, too")]

mod acknowledged;
mod acks;
mod bad_input;
mod compressed;
mod drift;
mod fleet;
mod gaps;
mod grpc_calls;
mod grpc_peers;
mod grpc_support;
mod inspect_files;
mod limits;
mod nats;
mod otlp;
mod otlp_peers;
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
