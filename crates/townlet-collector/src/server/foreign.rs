//! Lines of a kind that this build does not know.
//!
//! A producer of a later schema may send kinds that did not exist when this was
//! built. A collector keeps them: their envelope is all it needs, and refusing
//! them would lose what somebody else can read.

use std::borrow::Cow;

use serde::Deserialize;
use townlet_schema::{HeadReader, LineHead, ReadError, ReadErrorKind};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    run_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
    tick: Option<u64>,
    base_seq: Option<u64>,
    rendering: Option<u64>,
}

/// The envelope of a line of any kind, as it is taken from a connection and
/// found again in a file. `heads` has read the lines before it.
pub(super) fn read<'a>(heads: &mut HeadReader, line: &'a [u8]) -> Result<LineHead<'a>, ReadError> {
    match heads.read(line) {
        Err(error) if error.kind() == ReadErrorKind::UnknownKind => head(line).ok_or(error),
        known => known,
    }
}

/// The envelope of a line whose `payload_type` is unknown, or `None` where the
/// line is not one valid JSON object.
fn head(line: &[u8]) -> Option<LineHead<'_>> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    Some(LineHead {
        run_id: envelope.run_id,
        stream: envelope.stream,
        seq: envelope.seq,
        tick: envelope.tick,
        base_seq: envelope.base_seq,
        rendering: envelope.rendering,
        ..LineHead::default()
    })
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn the_envelope_of_a_later_kind_is_read_and_a_broken_line_is_not() {
        let line = br#"{"payload_type":"dream","run_id":"r","stream":"town.dreams","seq":7,"tick":3,"x":[{}]}"#;
        let read = head(line).unwrap();
        assert_eq!((read.run_id.as_deref(), read.stream.as_deref()), (Some("r"), Some("town.dreams")));
        assert_eq!((read.seq, read.tick), (Some(7), Some(3)));
        assert!(head(br#"{"payload_type":"dream","seq":7"#).is_none());
        assert!(head(br#"{"payload_type":"dream","seq":7,"seq":8}"#).is_none());
    }
}
