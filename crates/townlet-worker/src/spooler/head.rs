//! What the spill knows of a frame beside its line.

use townlet_transport::{Frame, Label};

const VERSION: u8 = 1;

/// Who a stored frame is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) kind: &'a str,
    pub(super) seq: u64,
    pub(super) tick: u64,
    pub(super) run_id: &'a str,
    pub(super) stream: &'a str,
}

/// Version, seq, tick, and three texts with their lengths in front; little-endian.
pub(super) fn encode(frame: &Frame, out: &mut Vec<u8>) {
    out.clear();
    out.push(VERSION);
    out.extend_from_slice(&frame.seq().to_le_bytes());
    out.extend_from_slice(&frame.tick().to_le_bytes());
    for text in [frame.kind(), frame.label().run_id(), frame.label().stream()] {
        // Names are far shorter; the rest of a longer one would not tell it from others anyway.
        let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text);
    }
}

/// None for what this version did not write.
pub(super) fn decode(bytes: &[u8]) -> Option<Head<'_>> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let (seq, rest) = rest.split_first_chunk()?;
    let (tick, mut rest) = rest.split_first_chunk()?;
    let mut text = || {
        let (len, after) = rest.split_first_chunk()?;
        let (text, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        rest = after;
        std::str::from_utf8(text).ok()
    };
    let (kind, run_id, stream) = (text()?, text()?, text()?);
    let (mut seq, tick) = (u64::from_le_bytes(*seq), u64::from_le_bytes(*tick));
    if crate::planted::is("a number is read back wrong") {
        seq &= 7;
    }
    Some(Head { kind, seq, tick, run_id, stream })
}

impl Head<'_> {
    pub(super) fn label(&self) -> Label {
        Label::new(self.run_id, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_no_prefix_of_it_does() {
        let frame = Frame::new(Label::new("run-1", "town.events"), "event", u64::MAX, 7, "{}\n");
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes);
        let expected = Head { kind: "event", seq: u64::MAX, tick: 7, run_id: "run-1", stream: "town.events" };
        assert_eq!(decode(&bytes), Some(expected));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "{len}");
        }
        bytes[0] = 2;
        assert_eq!(decode(&bytes), None, "of another version");
    }
}
