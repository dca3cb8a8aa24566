//! Bodies that were compressed.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::budget::Share;
use super::head::Head;
use super::response::Response;

/// Bytes inflated at a time.
const PIECE: usize = 64 * 1024;

/// The answer to a request for which there is no room at the moment.
pub(super) fn no_room() -> Response {
    Response::error(429, "too many bytes of requests at a time; come again").retry_after(1)
}

/// The answer to a body beyond the limit.
pub(super) fn too_large(limit: usize) -> Response {
    Response::error(413, &format!("a body may have {limit} bytes, inflated too; send less at a time"))
}

/// True where the body is compressed.
pub(super) fn is_gzip(head: &Head) -> Result<bool, Response> {
    match head.header("content-encoding") {
        None => Ok(false),
        Some(coding) if coding.eq_ignore_ascii_case("identity") || coding.is_empty() => Ok(false),
        Some(coding) if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => Ok(true),
        Some(_) => Err(Response::error(415, "no other Content-Encoding than gzip is understood")
            .with_header("Accept-Encoding", "gzip")),
    }
}

/// Inflates `body`, as far as `limit` and the share allow: some kilobytes can be
/// the beginning of gigabytes.
pub(super) fn inflate(body: &[u8], limit: usize, share: &mut Share<'_>) -> Result<Vec<u8>, Response> {
    let mut decoder = MultiGzDecoder::new(body);
    let mut out = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = decoder.read(&mut piece).map_err(|_| Response::error(400, "the body is not gzip, or not whole"))?;
        if read == 0 {
            return Ok(out);
        }
        if out.len() + read > limit {
            return Err(too_large(limit));
        }
        if !share.grow(read) {
            return Err(no_room());
        }
        out.extend_from_slice(&piece[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::budget::Budget;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit_and_never_held() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 4 << 10);
        let budget = Budget::new(usize::MAX);
        let mut share = budget.share();
        assert_eq!(inflate(&bomb, 200 << 10, &mut share).unwrap_err().status, 413);
        assert!(budget.used() <= 200 << 10);
        drop(share);
        let small = Budget::new(200 << 10);
        assert_eq!(inflate(&bomb, usize::MAX, &mut small.share()).unwrap_err().status, 429);
        assert_eq!(small.used(), 0);
    }

    #[test]
    fn whole_bodies_come_out_and_torn_ones_do_not() {
        let budget = Budget::new(usize::MAX);
        let body = gzip(b"one\ntwo\n");
        assert_eq!(inflate(&body, 8, &mut budget.share()).unwrap(), b"one\ntwo\n");
        assert_eq!(inflate(&[&body[..], &body[..]].concat(), 16, &mut budget.share()).unwrap().len(), 16);
        for torn in [&body[..body.len() - 1], &body[1..], &b"{}\n"[..], &[]] {
            let status = inflate(torn, 100, &mut budget.share()).map_err(|answer| answer.status);
            assert_eq!(status, Err(400), "{torn:?}");
        }
    }
}
