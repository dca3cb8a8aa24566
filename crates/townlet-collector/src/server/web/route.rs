//! Paths that a program adds.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::super::batch::Taken;
use super::head::Head;
use super::ingest::Inbox;
use super::response::Response;
use crate::otlp::Room;

/// Answers requests to one path.
///
/// It is called on the thread of the connection, with the whole body, which was
/// inflated where it came compressed. It may be called by many threads at once. One
/// that panics is answered for with 500.
pub trait Route: Send + Sync {
    /// The answer to `request`.
    fn answer(&self, request: &Request<'_>) -> Response;
}

impl<F: Fn(&Request<'_>) -> Response + Send + Sync> Route for F {
    fn answer(&self, request: &Request<'_>) -> Response {
        self(request)
    }
}

/// A request with its body.
pub struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) body: &'a [u8],
    /// Bytes of the budget that the body has, as sent and as inflated.
    pub(super) held: usize,
    pub(super) inbox: Inbox<'a>,
}

impl fmt::Debug for Request<'_> {
    /// The method, the path and the size, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.head.method, self.head.path, self.body.len())
    }
}

impl Request<'_> {
    /// The method, as sent: `POST`.
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The path, as sent, without the query.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// What stands behind the `?`, as sent.
    pub fn query(&self) -> Option<&str> {
        self.head.query.as_deref()
    }

    /// The value of a header, whatever the case of its name; the first one where
    /// there are several, none where it is no UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body. A `Content-Encoding` has been undone.
    pub fn body(&self) -> &[u8] {
        self.body
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.inbox.peer()
    }

    /// Room for what the body becomes, out of the budget of all bodies; it is given
    /// back when this is dropped.
    pub(crate) fn rooms(&self) -> impl FnMut(usize) -> Room + use<'_> {
        self.inbox.rooms(self.held)
    }

    /// Takes lines (newline-delimited JSON) into the store, as those of a
    /// `POST /v1/telemetry`: all checked before the first is taken, deduplicated
    /// by `(run_id, stream, seq)`, and stored as far as the store promises for an
    /// acknowledgement. Lines without a `seq` are stored without a check.
    ///
    /// # Errors
    /// The answer that such a request gets: 400 for a line that is not valid, 413
    /// for too many, 503 where the store cannot take them now.
    pub fn take_lines(&self, lines: &[u8]) -> Result<Taken, Response> {
        self.inbox.take(lines)
    }
}

/// One path that was added.
#[derive(Clone)]
pub struct RouteEntry {
    /// The method it answers: `POST`. Who answers `GET` answers `HEAD`.
    pub method: &'static str,
    /// The path, without a query. Also the label in the metrics.
    pub path: &'static str,
    /// What answers.
    pub route: Arc<dyn Route>,
}
