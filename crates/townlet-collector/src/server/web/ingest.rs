//! `POST /v1/telemetry`: lines in the body of a request.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::batch::{NotTaken, Taken, take_request};
use super::super::{Shared, Slot};
use super::Web;
use super::idempotency::Seen;
use super::response::Response;
use super::route::Request;
use crate::otlp::Room;
use crate::report::EndKind;

/// What a sender may call lines of JSON. A missing type is taken for one of them.
const TYPES: &[&str] =
    &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json"];

/// Seconds after which to try again.
const SOON: u32 = 1;
/// The same where a disk has to be mended.
const LATER: u32 = 10;

/// The way of a request's lines into the store.
#[derive(Clone, Copy)]
pub(super) struct Inbox<'a> {
    shared: &'a Arc<Shared>,
    slot: &'a Slot,
}

impl<'a> Inbox<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, slot: &'a Slot) -> Self {
        Self { shared, slot }
    }

    pub(super) fn peer(self) -> SocketAddr {
        self.slot.peer
    }

    /// See [`Request::rooms`]. `held`: what the request has of the budget already.
    pub(super) fn rooms(self, held: usize) -> impl FnMut(usize) -> Room + use<> {
        let mut rooms = self.shared.web.as_ref().map(|web| web.budget.rooms(held));
        move |bytes| rooms.as_mut().map_or(Room::Never, |rooms| rooms(bytes))
    }

    /// Takes the lines; an error is the answer to give.
    pub(super) fn take(self, lines: &[u8]) -> Result<Taken, Response> {
        let mut taken = Taken::default();
        self.take_rest(lines, &mut taken).map(|()| taken)
    }

    /// As [`take`](Self::take), where an earlier try may have `taken` some already.
    fn take_rest(self, lines: &[u8], taken: &mut Taken) -> Result<(), Response> {
        take_request(&self.shared.intake, self.slot, lines, taken).map_err(|why| refusal(&why))
    }
}

fn refusal(why: &NotTaken) -> Response {
    match why {
        NotTaken::Line { number, reason } => {
            let body =
                serde_json::json!({ "error": "a line is not valid; none was taken", "line": number, "reason": reason });
            Response::json(400, &body)
        }
        NotTaken::TooMany(what) => Response::error(413, what),
        NotTaken::NotNow(ending) => match ending.kind {
            // Paths of the store are nobody else's business.
            EndKind::StoreFailed => {
                Response::error(503, "the store cannot take lines at the moment").retry_after(LATER)
            }
            EndKind::TooManyStreams => Response::error(503, &ending.detail).retry_after(LATER),
            _ => Response::error(500, "the lines were not all taken in"),
        },
    }
}

pub(super) fn post(shared_web: &Web, request: &Request<'_>) -> Response {
    if let Some(given) = request.header("content-type") {
        let essence = given.split(';').next().unwrap_or_default().trim();
        if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(essence)) {
            return Response::error(415, "send lines of JSON as application/x-ndjson");
        }
    }
    if request.inbox.shared.stop.is_asked() {
        return Response::error(503, "the collector is stopping").retry_after(SOON);
    }
    let mut work = match shared_web.keys.look(request.header("idempotency-key"), request.body()) {
        Seen::New(work) => work,
        Seen::Before(taken) => return Response::json(200, &taken),
        Seen::AtWork => return Response::error(409, "the same request is being worked on").retry_after(SOON),
        Seen::Other => return Response::error(422, "another request had this Idempotency-Key"),
        Seen::NoKey => return Response::error(400, "Idempotency-Key is not one word of at most 128 characters"),
    };
    // Where it fails, what was taken is remembered under the key: it is in memory
    // or in its file, and the same request again settles it and takes the rest.
    match request.inbox.take_rest(request.body(), &mut work.taken) {
        Ok(()) => Response::json(200, &work.done()),
        Err(answer) => answer,
    }
}
