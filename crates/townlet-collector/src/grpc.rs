//! The gRPC listener: OTLP over gRPC, as SDKs of OpenTelemetry send it by default.
//!
//! **What it is.** A listener of a [`Collector`](crate::Collector), set by
//! [`CollectorOptions::grpc`](crate::CollectorOptions::grpc), for the three services of
//! OTLP/gRPC 1.x (`LogsService`, `MetricsService`, `TraceService`, each with
//! `Export`), plain or gzip, under the same TLS as the others (ALPN `h2`), or in the
//! open on loopback. What comes is stored as [`otlp`](crate::otlp) says, before it is
//! answered for. OTLP's own port is 4317.
//!
//! **What it is not.** It is no general gRPC server: no reflection, no health
//! service, no streams. It takes no HTTP/1, so no gRPC-Web.
//!
//! # Answers
//! | status | the records |
//! |---|---|
//! | `OK` | are where [`Settle`](crate::store::Settle) says; what no line can hold is a partial success with a reason |
//! | `INVALID_ARGUMENT` | are no request of this service, or name a run that cannot be stored |
//! | `RESOURCE_EXHAUSTED` | are too many at a time, and always will be: there is no `RetryInfo` |
//! | `UNAVAILABLE` | find no room, the store cannot take them, or the collector is stopping; to come again after the delay of `RetryInfo` |
//! | `DEADLINE_EXCEEDED` | did not come within [`GrpcOptions::message_timeout`] |
//! | `UNAUTHENTICATED`, `PERMISSION_DENIED` | were not looked at: token, name of this machine, or a page's `Origin` |
//! | `UNIMPLEMENTED` | are for another service, or compressed otherwise than by gzip |
//! | `INTERNAL` | were not framed as gRPC wants it |
//!
//! By OTLP's rules a sender tries again after `UNAVAILABLE` and `DEADLINE_EXCEEDED`,
//! and after `RESOURCE_EXHAUSTED` only with `RetryInfo`. The delay stands in
//! `grpc-status-details-bin`, and in `google.rpc.retryinfo-bin` for those who read that.
//!
//! # Limits
//! Messages (as sent and as inflated), the bytes of all of them at a time, what they
//! are decoded to, heads, calls and bytes under way on one connection, connections,
//! and the time for each step are bounded by [`GrpcOptions`]. A length that is only
//! announced takes nothing. A connection without a call is closed after
//! [`GrpcOptions::keep_alive`], one whose peer does not answer a ping sooner.
//!
//! # Threads
//! An async runtime runs on one thread of this listener, for the network alone, and
//! shows nowhere. What a message says is read and stored by at most eight others.
//!
//! # Example
//! ```
//! use townlet_collector::grpc::GrpcOptions;
//! use townlet_collector::{Collector, CollectorOptions, Security};
//!
//! let grpc = GrpcOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback);
//! let options = CollectorOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback).with_grpc(grpc);
//! let collector = Collector::bind(options)?;
//! println!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", collector.grpc_addr().ok_or("no gRPC listener")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::server::grpc::GrpcOptions;
