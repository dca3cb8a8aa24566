//! Bodies that were compressed: how they say so, and what they are answered.

use super::super::budget::Share;
use super::super::coding::{Coding, Unfit};
use super::head::Head;
use super::response::Response;

/// The answer to a request for which there is no room at the moment.
pub(super) fn no_room() -> Response {
    Response::error(429, "too many bytes of requests at a time; come again").retry_after(1)
}

/// The answer to a body beyond the limit.
pub(super) fn too_large(limit: usize) -> Response {
    Response::error(413, &format!("a body may have {limit} bytes, inflated too; send less at a time"))
}

/// How the body is compressed, if it is.
pub(super) fn coding(head: &Head) -> Result<Option<Coding>, Response> {
    match head.header("content-encoding") {
        None => Ok(None),
        Some(name) if name.eq_ignore_ascii_case("identity") || name.is_empty() => Ok(None),
        Some(name) => Coding::of(name).map(Some).ok_or_else(|| {
            Response::error(415, "a Content-Encoding that is not understood; see Accept-Encoding")
                .with_header("Accept-Encoding", Coding::NAMES)
        }),
    }
}

/// The body as it was before it was compressed.
pub(super) fn undo(coding: Coding, body: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, Response> {
    coding.undo(body, limit, share).map_err(|why| match why {
        Unfit::Broken => Response::error(400, "the body is not compressed as it says, or not whole"),
        Unfit::TooLarge => too_large(limit),
        Unfit::NoRoom => no_room(),
    })
}
