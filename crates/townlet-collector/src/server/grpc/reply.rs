//! The body of an answer: bytes, then trailers; or nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use hyper::{HeaderMap, Response, StatusCode};

use super::message::framed;
use super::status::{Code, Status, ok_or};

/// What stays to be sent.
pub(super) struct Reply(std::vec::IntoIter<Frame<Bytes>>);

impl Reply {
    fn of(frames: Vec<Frame<Bytes>>) -> Self {
        Self(frames.into_iter())
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

/// The call went well, and this is what it gives.
pub(super) fn gives(message: &[u8]) -> Response<Reply> {
    let frames = vec![Frame::data(framed(message).into()), Frame::trailers(ok_or(Code::Ok))];
    headed(HeaderMap::new(), Reply::of(frames))
}

/// The call failed: its trailers come as headers, and nothing after them.
pub(super) fn fails(status: &Status) -> Response<Reply> {
    headed(status.trailers(), Reply::of(Vec::new()))
}

fn headed(mut headers: HeaderMap, body: Reply) -> Response<Reply> {
    use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(HeaderName::from_static("grpc-accept-encoding"), HeaderValue::from_static("identity,gzip"));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// What came was no call of gRPC at all.
pub(super) fn no_call(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::of(Vec::new()));
    *response.status_mut() = status;
    response
}
