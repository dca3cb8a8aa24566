//! What was rendered together, for those who tap. Gathered on the worker's path.

use std::ops::Range;

use bytes::Bytes;
use townlet_transport::Frame;

/// Lines that make less than this part of their chunk are copied out of it.
const SHARED_FROM: usize = 8;

/// Lines that were rendered together.
///
/// Lines that lie one behind the other become one piece, so that a frame costs a
/// comparison and no reference of its own.
#[derive(Default)]
pub(crate) struct Showing {
    pieces: Vec<Piece>,
    frames: usize,
    bytes: usize,
    /// The piece that is still growing.
    chunk: Bytes,
    range: Range<usize>,
}

/// A part of a batch.
pub(super) enum Piece {
    /// Lines of this run, one behind the other, each with an envelope of today.
    Lines(Bytes),
    /// A captured line, which does not always say who it is.
    Captured(Frame),
}

/// What one batch holds.
pub(super) struct Batch {
    pub(super) pieces: Vec<Piece>,
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Showing {
    /// A line of this run, at `range` of `chunk`. What else lies there is not looked at.
    #[inline]
    pub(crate) fn line(&mut self, chunk: &Bytes, range: &Range<usize>) {
        self.frames += 1;
        // The chunk of the growing piece is alive: no other has its address.
        if self.range.end == range.start && self.chunk.as_ptr() == chunk.as_ptr() {
            self.range.end = range.end;
        } else {
            self.begin(chunk, range);
        }
    }

    /// A captured line.
    #[cold]
    pub(crate) fn captured(&mut self, frame: &Frame) {
        self.end_piece();
        self.frames += 1;
        self.bytes += frame.len();
        self.pieces.push(Piece::Captured(frame.clone()));
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, chunk: &Bytes, range: &Range<usize>) {
        self.end_piece();
        self.chunk = chunk.clone();
        self.range = range.clone();
    }

    fn end_piece(&mut self) {
        let (chunk, range) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.range));
        let end = range.end.min(chunk.len());
        let range = range.start.min(end)..end;
        if range.is_empty() {
            return;
        }
        // Few bytes must not keep a large chunk in memory; what is kept counts as a whole.
        let few = range.len() < chunk.len() / SHARED_FROM;
        self.bytes += if few { range.len() } else { chunk.len() };
        let lines = if few { Bytes::copy_from_slice(&chunk[range]) } else { chunk.slice(range) };
        self.pieces.push(Piece::Lines(lines));
    }

    pub(super) fn finish(mut self) -> Batch {
        self.end_piece();
        Batch { pieces: self.pieces, frames: self.frames, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use townlet_transport::Label;

    use super::*;

    fn text(batch: &Batch) -> Vec<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Lines(lines) => String::from_utf8_lossy(lines).into_owned(),
            Piece::Captured(frame) => format!("captured {}", String::from_utf8_lossy(frame.line())),
        };
        batch.pieces.iter().map(piece).collect()
    }

    #[test]
    fn neighbours_become_one_piece_and_nothing_between_them_is_shown() {
        let (one, other) = (Bytes::from_static(b"aabbSECRETccdd"), Bytes::from_static(b"eeff"));
        let mut showing = Showing::default();
        showing.line(&one, &(0..2));
        showing.line(&one, &(2..4));
        showing.line(&one, &(10..12));
        showing.line(&other, &(0..2));
        showing.line(&other, &(2..4));
        showing.line(&one, &(12..14));
        showing.captured(&Frame::new(Label::new("r", "s"), "event", 1, 1, "gg"));
        showing.line(&other, &(2..4));
        let batch = showing.finish();
        assert_eq!(text(&batch), ["aabb", "cc", "eeff", "dd", "captured gg", "ff"]);
        assert_eq!(batch.frames, 8);
        assert_eq!(batch.bytes, 14 + 14 + 4 + 14 + 2 + 4, "what is kept in memory");
    }

    #[test]
    fn few_bytes_are_copied_and_many_are_shared() {
        let chunk = Bytes::from(vec![b'x'; 1000]);
        for (range, shared) in [(0..124, false), (0..125, true), (0..1000, true), (999..1000, false)] {
            let mut showing = Showing::default();
            showing.line(&chunk, &range);
            let batch = showing.finish();
            let [Piece::Lines(lines)] = &batch.pieces[..] else { panic!("one piece") };
            assert_eq!(lines.as_ptr() == chunk[range.clone()].as_ptr(), shared, "{range:?}");
            assert_eq!(lines.len(), range.len());
            assert_eq!(batch.bytes, if shared { 1000 } else { range.len() });
        }
        assert_eq!(Showing::default().finish().pieces.len(), 0);
    }
}
