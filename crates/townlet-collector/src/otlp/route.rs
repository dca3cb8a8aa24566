//! The paths of OTLP on the web listener.

use std::sync::Arc;

use super::lines::receive_within;
use super::{Encoding, Signal};
use crate::web::{Request, Response, WebOptions};

/// Seconds after which a sender may try again: where others have the room, and where
/// a disk has to be mended.
const SOON: u32 = 1;
const LATER: u32 = 10;

impl WebOptions {
    /// The same with the paths of OTLP/HTTP, `POST /v1/logs`, `/v1/metrics` and
    /// `/v1/traces`, in protobuf and JSON, plain or gzip. What comes there is
    /// stored as [`otlp`](crate::otlp) says, before it is answered for. No line is
    /// longer than `max_line_bytes`, which should be what
    /// [`CollectorOptions::max_line_bytes`](crate::CollectorOptions::max_line_bytes) says.
    #[must_use]
    pub fn with_otlp(mut self, max_line_bytes: usize) -> Self {
        for signal in Signal::ALL {
            let answer = move |request: &Request<'_>| answer(signal, request, max_line_bytes);
            self = self.with_route("POST", signal.path(), Arc::new(answer));
        }
        self
    }
}

fn answer(signal: Signal, request: &Request<'_>, max_line_bytes: usize) -> Response {
    let Some(encoding) = Encoding::of(request.header("content-type").unwrap_or_default()) else {
        return Response::error(415, "send application/x-protobuf or application/json");
    };
    let failed = |status, message: &str| Response::new(status, encoding.content_type(), encoding.failed(message));
    let mut rooms = request.rooms();
    let received = match receive_within(signal, encoding, request.body(), max_line_bytes, &mut rooms) {
        Ok(received) => received,
        Err(error) if error.is_too_much() => return failed(413, &format!("{error}: send smaller batches")),
        Err(error) if error.is_for_later() => return failed(429, &error.to_string()).retry_after(SOON),
        Err(error) => return failed(400, &error.to_string()),
    };
    // An empty request is a success.
    if !received.lines.is_empty()
        && let Err(refused) = request.take_lines(&received.lines)
    {
        return match refused.status() {
            413 => failed(413, "more records than one request may bring: send smaller batches"),
            400 => failed(400, "a record names a run, or makes a line of a length, that cannot be stored"),
            // Senders of OTLP try again after 429, 502, 503 and 504 alone, and nothing here is their fault.
            _ => failed(503, "the records cannot be stored at the moment").retry_after(LATER),
        };
    }
    Response::new(200, encoding.content_type(), encoding.taken(signal, &received))
}
