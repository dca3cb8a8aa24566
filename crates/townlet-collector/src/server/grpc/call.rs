//! One call: read by the network's thread, taken in by another.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::access;
use super::message::{Assembly, Message, broken, no_room, too_large};
use super::place::Place;
use super::reply::{Reply, fails, gives, no_call};
use super::status::{Code, Status};
use crate::otlp::{Encoding, Signal, receive_within};
use crate::report::EndKind;
use crate::server::batch::{NotTaken, Taken, take_request};
use crate::server::budget::Share;
use crate::server::coding::{Coding, Unfit};

/// Seconds after which to try again: when others have the room or take over, and when
/// a disk has to be mended.
const SOON: u32 = 1;
const LATER: u32 = 10;

/// Answers one request, whatever it is.
pub(super) async fn serve(place: Arc<Place>, request: Request<Incoming>) -> Response<Reply> {
    let _open = place.call();
    let grpc = Arc::clone(&place.grpc);
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        grpc.count("none", "NO_CALL");
        return no_call(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !is_grpc(&head.headers) {
        grpc.count("none", "NO_CALL");
        return no_call(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let signal = Signal::ALL.into_iter().find(|signal| signal.method() == head.uri.path());
    let name = signal.map_or("none", Signal::method);
    let admitted = access::check(&head.headers, head.uri.authority(), &grpc.options)
        .and_then(|()| signal.ok_or_else(|| Status::new(Code::Unimplemented, "no such service is here")))
        .and_then(|signal| Ok((signal, coding(&head.headers)?)));
    let outcome = match admitted {
        Ok((signal, coding)) => exchange(&place, signal, coding, body).await,
        Err(status) => Err(status),
    };
    match outcome {
        Ok(answer) => {
            grpc.count(name, Code::Ok.as_str());
            gives(&answer)
        }
        Err(status) => {
            grpc.count(name, status.code.as_str());
            fails(&status)
        }
    }
}

/// `application/grpc`, or with `+proto`. Other messages than protobuf are not OTLP's.
fn is_grpc(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|known| known.eq_ignore_ascii_case(essence))
}

/// How messages that say that they are compressed are.
fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Status> {
    match headers.get("grpc-encoding").map(|value| value.to_str().unwrap_or_default()) {
        None | Some("identity") => Ok(None),
        Some("gzip") => Ok(Some(Coding::Gzip)),
        Some(_) => Err(Status::new(Code::Unimplemented, "no other grpc-encoding than gzip is understood")),
    }
}

async fn exchange(
    place: &Arc<Place>,
    signal: Signal,
    coding: Option<Coding>,
    body: Incoming,
) -> Result<Vec<u8>, Status> {
    if place.shared.stop.is_asked() {
        return Err(Status::later(SOON, "the collector is stopping"));
    }
    let grpc = &place.grpc;
    let mut share = grpc.budget.share();
    let message =
        match timeout(grpc.options.message_timeout, read(body, grpc.options.max_message_bytes, &mut share)).await {
            Ok(message) => message?,
            Err(_) => return Err(Status::new(Code::DeadlineExceeded, "the message did not come in time")),
        };
    let place = Arc::clone(place);
    let taking = tokio::task::spawn_blocking(move || {
        // Whatever the reader of a message does, its sender is answered.
        let taken = catch_unwind(AssertUnwindSafe(|| take(&place, signal, coding, message, share)));
        taken.unwrap_or_else(|_| {
            tracing::error!(peer = %place.slot.peer, "collector_call_panicked");
            Err(Status::new(Code::Internal, "the message could not be worked on"))
        })
    });
    taking.await.unwrap_or_else(|_| Err(Status::later(SOON, "the collector is stopping")))
}

async fn read(mut body: Incoming, limit: usize, share: &mut Share) -> Result<Message, Status> {
    let mut assembly = Assembly::new(limit);
    while let Some(frame) = (NextFrame(&mut body)).await {
        let frame = frame.map_err(|_| broken("the call was given up"))?;
        if let Ok(bytes) = frame.into_data() {
            assembly.push(&bytes, share)?;
        }
    }
    assembly.finish()
}

/// The next frame of a body.
struct NextFrame<'a>(&'a mut Incoming);

impl Future for NextFrame<'_> {
    type Output = Option<Result<Frame<Bytes>, hyper::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_frame(context)
    }
}

/// What blocks: inflates, decodes and stores, and writes the answer.
fn take(
    place: &Place,
    signal: Signal,
    coding: Option<Coding>,
    message: Message,
    mut share: Share,
) -> Result<Vec<u8>, Status> {
    let grpc = &place.grpc;
    let limit = grpc.options.max_message_bytes;
    let body = match (message.compressed, coding) {
        (false, _) => message.bytes,
        (true, None) => return Err(broken("a message is compressed, and no grpc-encoding says how")),
        (true, Some(coding)) => coding.undo(&message.bytes, limit, &mut share).map_err(|why| match why {
            Unfit::Broken => broken("the message is not gzip, or not whole"),
            Unfit::TooLarge => too_large(limit),
            Unfit::NoRoom => no_room(),
        })?,
    };
    let mut rooms = grpc.budget.rooms(share.held());
    let line_limit = place.shared.options.max_line_bytes;
    let received = receive_within(signal, Encoding::Protobuf, &body, line_limit, &mut rooms).map_err(|error| {
        if error.is_too_much() {
            Status::new(Code::ResourceExhausted, format!("{error}: send smaller batches"))
        } else if error.is_for_later() {
            Status::later(SOON, error.to_string())
        } else {
            Status::new(Code::InvalidArgument, error.to_string())
        }
    })?;
    // An empty request is a success.
    if !received.lines.is_empty() {
        take_request(&place.shared.intake, &place.slot, &received.lines, &mut Taken::default())
            .map_err(|why| refusal(&why))?;
    }
    Ok(Encoding::Protobuf.taken(signal, &received))
}

fn refusal(why: &NotTaken) -> Status {
    match why {
        NotTaken::Line { .. } => Status::new(
            Code::InvalidArgument,
            "a record names a run, or makes a line of a length, that cannot be stored",
        ),
        NotTaken::TooMany(what) => Status::new(Code::ResourceExhausted, format!("{what}: send smaller batches")),
        // Paths of the store are nobody else's business.
        NotTaken::NotNow(ending) if ending.kind == EndKind::TooManyStreams => Status::later(LATER, &*ending.detail),
        NotTaken::NotNow(_) => Status::later(LATER, "the records cannot be stored at the moment"),
    }
}
