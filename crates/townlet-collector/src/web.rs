//! The web listener: the same streams over HTTP and WebSocket, and what
//! operators ask.
//!
//! **What it is.** A second listener of a [`Collector`](crate::Collector), set by
//! [`CollectorOptions::web`](crate::CollectorOptions::web): HTTP/1.1, synchronous,
//! a thread for each connection, under the same TLS as the stream listener.
//!
//! **What it is not.** It serves no files and speaks no HTTP/2. It is no general
//! web server: a program may add [`Route`]s, and that is all.
//!
//! # Paths
//! | path | answer |
//! |---|---|
//! | `GET /health` | `{"status":"ok"}`, always and to everybody |
//! | `GET /metrics` | Prometheus text |
//! | `GET /v1/streams` | each stream: gaps, losses, since when nothing came |
//! | `POST /v1/telemetry` | takes lines of JSON, plain, gzip or zstd, all or none |
//! | `/v1/telemetry/ws` | WebSocket: takes lines in messages |
//! | `/ws/telemetry` | WebSocket: the states as they are, then what changes |
//!
//! # Lines in requests
//! Lines take the same way as those of the stream listener: the same check, the
//! same deduplication, the same store. 200 means that they are where
//! [`Settle`](crate::store::Settle) says. A line that is not valid refuses its
//! request whole (400, with the number and the reason), and counts as invalid once
//! it comes alone. Where files cannot be written and 64 MiB of lines wait for that, no
//! more are taken, on either listener. 413 asks for less at a time, 429 and 503 to come again, after
//! `Retry-After`. Under an `Idempotency-Key` the last 8,192 requests are known, so
//! that lines without a number are stored once, too; another body under the
//! same key is refused (422). Over WebSocket a message has whole lines; with the
//! subprotocol `townlet.v1` each message is answered with `{"ack":N}`, the lines
//! taken on this connection so far, those that were refused and counted included.
//! What is gathered of a message beyond 64 KiB takes of the same room as bodies; where
//! that is full, the connection is closed with 1013, to come again.
//! `Townlet-Resume` says what is here already, `Townlet-Settle: durable` is
//! promised where the store syncs.
//!
//! # Watching
//! A subscriber gets a message for each new state of each stream, or of the
//! streams that `?run_id=` and `?stream=` name: whole at first, then a diff whose
//! `base_seq` is what this subscriber was sent before. One that reads slowly gets
//! several states as one; sections that last are those of the newest, and of those
//! that happen in a tick up to 1,024 items, and 1 MiB of the ticks that were passed
//! over, are kept: the newest. `{"type":"keyframe"}` asks for the state whole. Up to 64 streams are followed
//! ([`WebOptions::live_streams`]); only lines of schema 1.0 and later that have
//! `run_id`, `stream` and `seq` can be. A mode other than `spectator` is closed
//! with 4403. Pages cannot set headers for a WebSocket: here the token may stand
//! in the query, as `?token=`.
//!
//! # Who may ask
//! With a [`BearerToken`] everybody who shows it as `Authorization: Bearer …`,
//! compared in constant time. Without one only loopback is listened on, and a
//! request must name this machine in `Host`, so that no page of somebody else
//! reaches it by a name of its own. A browser's `Origin` has to be that of the
//! request itself, or one of [`WebOptions::allowed_origins`].
//!
//! # Limits
//! Heads, bodies (as sent and as inflated), the bytes of all bodies at a time,
//! connections, and the time for each step are bounded by [`WebOptions`]. What is
//! beyond a limit is answered (408, 413, 429, 431), or closed where it did not
//! even get that far, and counted.
//!
//! # Example
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//! use townlet_collector::web::{Request, Response, WebOptions};
//! use townlet_collector::{Collector, CollectorOptions, Security};
//!
//! let web = WebOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback)
//!     .with_route("GET", "/v1/greeting", Arc::new(|request: &Request<'_>| {
//!         Response::text(200, &format!("hello {}\n", request.query().unwrap_or("world")))
//!     }));
//! let options = CollectorOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback).with_web(web);
//! let collector = Collector::bind(options)?;
//!
//! let mut client = TcpStream::connect(collector.web_addr().ok_or("no web listener")?)?;
//! client.write_all(b"GET /v1/greeting?you HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello you\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::server::web::{BearerToken, Request, Response, Route, RouteEntry, Taken, TokenError, WebOptions};
