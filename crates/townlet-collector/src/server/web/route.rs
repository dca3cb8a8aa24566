//! Paths that a program adds.

use std::net::SocketAddr;
use std::sync::Arc;

use super::head::Head;
use super::response::Response;

/// Answers requests to one path.
///
/// It is called on the thread of the connection, with the whole body, which was
/// inflated where it came as gzip. It may be called by many threads at once. One
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
#[derive(Debug)]
pub struct Request<'a> {
    pub(super) head: &'a Head,
    pub(super) body: &'a [u8],
    pub(super) peer: SocketAddr,
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

    /// The body. A `Content-Encoding` of gzip has been undone.
    pub fn body(&self) -> &[u8] {
        self.body
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.peer
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
