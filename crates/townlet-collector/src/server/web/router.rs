//! Which path is answered by what.

use serde::Serialize;

use super::super::Shared;
use super::access;
use super::head::Head;
use super::options::WebOptions;
use super::response::Response;
use super::route::{Request, RouteEntry};
use super::{Web, ingest, metrics, ws};
use crate::report::ShardReport;

/// What a request is for.
#[derive(Clone, Copy)]
pub(super) enum Endpoint<'a> {
    Health,
    Metrics,
    Streams,
    Telemetry,
    Socket(ws::Kind),
    Added(&'a RouteEntry),
}

/// What the listener serves itself: path, method, what.
const OWN: &[(&str, &str, Endpoint<'static>)] = &[
    ("/health", "GET", Endpoint::Health),
    ("/metrics", "GET", Endpoint::Metrics),
    ("/v1/streams", "GET", Endpoint::Streams),
    ("/v1/telemetry", "POST", Endpoint::Telemetry),
    (ws::Kind::Lines.path(), "GET", Endpoint::Socket(ws::Kind::Lines)),
    (ws::Kind::Watch.path(), "GET", Endpoint::Socket(ws::Kind::Watch)),
];

impl Endpoint<'_> {
    fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// For metrics: one of few, whatever clients ask for.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Streams => "/v1/streams",
            Self::Telemetry => "/v1/telemetry",
            Self::Socket(kind) => kind.path(),
            Self::Added(entry) => entry.path,
        }
    }
}

/// Finds what answers, after seeing that the client may ask.
pub(super) fn choose<'a>(head: &Head, options: &'a WebOptions) -> Result<Endpoint<'a>, Response> {
    // Whoever may not see anything may see that it is alive: load balancers have no token.
    if head.path != "/health" {
        access::check(head, options, OWN.iter().any(|(path, _, own)| *path == head.path && own.is_socket()))?;
    }
    let suits = |method: &str| head.method == method || (method == "GET" && head.method == "HEAD");
    let mut allowed: Vec<&str> = Vec::new();
    let served =
        |endpoint: &Endpoint<'_>| options.live_streams > 0 || !matches!(endpoint, Endpoint::Socket(ws::Kind::Watch));
    for (_, method, endpoint) in OWN.iter().filter(|(path, _, own)| *path == head.path && served(own)) {
        if suits(method) {
            return Ok(*endpoint);
        }
        allowed.push(method);
    }
    for entry in options.routes.iter().filter(|entry| entry.path == head.path) {
        if suits(entry.method) {
            return Ok(Endpoint::Added(entry));
        }
        allowed.push(entry.method);
    }
    if allowed.is_empty() {
        return Err(Response::error(404, "nothing is served at this path"));
    }
    Err(Response::error(405, "not with this method").with_header("Allow", allowed.join(", ")))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Serialize)]
struct Streams {
    streams: Vec<ShardReport>,
    /// Idle streams that left memory for others.
    retired: u64,
}

/// The answer to a request that was read.
pub(super) fn answer(shared: &Shared, web: &Web, endpoint: Endpoint<'_>, request: &Request<'_>) -> Response {
    match endpoint {
        Endpoint::Health => Response::json(200, &Health { status: "ok" }),
        Endpoint::Metrics => metrics::answer(shared, web),
        Endpoint::Streams => {
            let retired = shared.intake.directory.all().1.streams;
            Response::json(200, &Streams { streams: shared.shards(), retired })
        }
        Endpoint::Telemetry => ingest::post(web, request),
        // Answered before it came here.
        Endpoint::Socket(_) => Response::error(426, "a WebSocket is served here"),
        Endpoint::Added(entry) => entry.route.answer(request),
    }
}
