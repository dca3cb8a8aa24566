//! The body of a request and the key that names it.

use std::io;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use townlet_transport::{Compression, Format, Frame, runs};

/// A request's body and the headers that describe it.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
    pub(crate) encoding: Option<&'static str>,
}

/// Puts `part` into one body.
pub(crate) fn body(part: &[Frame], format: Format, compression: Compression) -> io::Result<Body> {
    let content_type = match format {
        Format::Json => "application/json",
        _ => "application/x-ndjson",
    };
    let pieces = || {
        runs(part).map(|piece| match format {
            Format::Json => piece.strip_suffix(b"\n").unwrap_or(piece),
            _ => piece,
        })
    };
    let smaller = match compression {
        Compression::Gzip => Some((townlet_http::gzip(pieces())?, "gzip")),
        #[cfg(feature = "zstd")]
        Compression::Zstd => Some((townlet_http::zstd(pieces())?, "zstd")),
        _ => None,
    };
    if let Some((bytes, encoding)) = smaller {
        return Ok(Body { bytes, content_type, encoding: Some(encoding) });
    }
    let bytes = match (part, format) {
        ([only], Format::Ndjson) => only.bytes(),
        _ => pieces().collect::<Vec<_>>().concat().into(),
    };
    Ok(Body { bytes, content_type, encoding: None })
}

/// Names what `part` says: the same frames with the same lines have the same key,
/// in this process or another; others have others.
pub(crate) fn key(part: &[Frame]) -> String {
    let mut hash = Sha256::new();
    for frame in part {
        for text in [frame.label().run_id().as_bytes(), frame.label().stream().as_bytes(), frame.line()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(frame.seq().to_le_bytes());
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use townlet_testkit::{event, frames};

    #[test]
    fn a_key_belongs_to_the_frames_and_their_lines() {
        let all = frames(1..=4);
        assert_eq!(key(&all), key(&frames(1..=4)));
        assert_eq!(key(&all).len(), 32);
        let different =
            [key(&all), key(&all[..3]), key(&all[1..]), key(&[]), key(&[event("other", 1)]), key(&all[..1])];
        let different = std::collections::BTreeSet::from(different);
        assert_eq!(different.len(), 6);
        // Two hosts may number lines of their own with equal words.
        let line = |seq| Frame::new(all[0].label().clone(), "event", seq, 1, "{}\n");
        assert_ne!(key(&[line(1)]), key(&[line(2)]));
    }

    #[test]
    fn a_json_body_has_no_line_end() {
        let one = &frames(1..=1);
        let plain = body(one, Format::Json, Compression::None).unwrap();
        assert_eq!((plain.bytes.as_ref(), plain.content_type), (one[0].line().trim_ascii_end(), "application/json"));
        let lines = body(&frames(1..=2), Format::Ndjson, Compression::None).unwrap();
        assert_eq!(lines.bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(lines.content_type, "application/x-ndjson");
    }
}
