//! Cuts a byte stream into lines without copying them and without holding more
//! than the limit.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes asked of the source in one read, where it has so many.
pub(crate) const CHUNK: usize = 128 * 1024;

/// Bytes asked of a source that has shown no more yet: most of a thousand
/// connections say little at a time.
pub(crate) const FIRST: usize = 4 * 1024;

/// What to ask for next, after a read that filled all it was given, or did not.
pub(crate) fn next_ask(ask: usize, filled: bool) -> usize {
    if filled { (ask * 4).min(CHUNK) } else { ask }
}

/// A buffer that keeps its allocation beyond this size only while a line needs it.
const KEEP: usize = 2 * CHUNK;

/// What [`LineBuffer::next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole line, its newline included, at this place of the buffer.
    Line(Range<usize>),
    /// A line of so many bytes (newline included) that was longer than the limit
    /// and was therefore not held.
    Overlong(u64),
}

/// A reusable read buffer over which lines are found in place.
///
/// Invariant: `start <= scanned <= end <= buf.len()`, and `buf[start..scanned]`
/// holds no newline.
pub(crate) struct LineBuffer {
    buf: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    limit: usize,
    /// Bytes to ask for.
    ask: usize,
    /// Bytes already thrown away of a line that is longer than the limit.
    discarded: Option<u64>,
}

impl LineBuffer {
    /// `limit`: the longest line to hold, in bytes without its newline.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buf: Vec::new(), start: 0, scanned: 0, end: 0, limit, ask: FIRST, discarded: None }
    }

    /// Reads once from `source` into the free part; `Ok(0)` is the end.
    pub(crate) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let free = self.buf.len() - self.end;
        let read = source.read(&mut self.buf[self.end..])?;
        self.end += read;
        self.ask = next_ask(self.ask, read == free);
        Ok(read)
    }

    /// Gives the memory back, where no line is held. The next read begins small again.
    pub(crate) fn release(&mut self) {
        if self.start == self.end {
            (self.buf, self.start, self.scanned, self.end, self.ask) = (Vec::new(), 0, 0, 0, FIRST);
        }
    }

    /// The next line, or `None` until more has been read.
    pub(crate) fn next_line(&mut self) -> Option<Found> {
        match memchr::memchr(b'\n', &self.buf[self.scanned..self.end]) {
            Some(offset) => {
                let line = self.start..self.scanned + offset + 1;
                self.start = line.end;
                self.scanned = line.end;
                Some(match self.discarded.take() {
                    Some(gone) => Found::Overlong(gone + line.len() as u64),
                    None if line.len() - 1 > self.limit => Found::Overlong(line.len() as u64),
                    None => Found::Line(line),
                })
            }
            None => {
                self.scanned = self.end;
                if self.discarded.is_some() || self.end - self.start > self.limit {
                    *self.discarded.get_or_insert(0) += (self.end - self.start) as u64;
                    self.start = self.end;
                }
                None
            }
        }
    }

    /// The bytes of a line that was found. Valid until the next [`fill`](Self::fill).
    pub(crate) fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.buf[line]
    }

    /// The begun line after the last newline; empty where the last line is
    /// complete or was too long to hold.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Length of the begun line, what was thrown away of it included.
    pub(crate) fn partial_len(&self) -> u64 {
        self.discarded.unwrap_or(0) + (self.end - self.start) as u64
    }

    /// True while the begun line is longer than the limit.
    pub(crate) fn is_discarding(&self) -> bool {
        self.discarded.is_some()
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.scanned -= self.start;
            self.start = 0;
            self.end = held;
        }
        if held == 0 && self.buf.len() > KEEP {
            self.buf.truncate(KEEP);
            self.buf.shrink_to_fit();
        }
        if self.buf.len() - self.end < self.ask {
            // Doubling keeps the copying linear in the length of a long line.
            let doubled = self.buf.len().saturating_mul(2).min(self.limit.saturating_add(self.ask));
            self.buf.resize((self.end + self.ask).max(doubled), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &[u8], limit: usize, read_size: usize) -> (Vec<Result<Vec<u8>, u64>>, u64) {
        let mut buffer = LineBuffer::new(limit);
        let mut out = Vec::new();
        let mut rest = input;
        loop {
            let n = read_size.min(rest.len());
            let mut piece = &rest[..n];
            if buffer.fill(&mut piece).unwrap() == 0 {
                break;
            }
            rest = &rest[n..];
            while let Some(found) = buffer.next_line() {
                out.push(match found {
                    Found::Line(range) => Ok(buffer.bytes(range).to_vec()),
                    Found::Overlong(len) => Err(len),
                });
            }
        }
        (out, buffer.partial_len())
    }

    #[test]
    fn lines_come_out_whole_whatever_the_read_size() {
        let input = b"one\n\ntwo\r\nthree";
        for read_size in 1..=input.len() {
            let (lines, rest) = cut(input, 100, read_size);
            assert_eq!(lines, [Ok(b"one\n".to_vec()), Ok(b"\n".to_vec()), Ok(b"two\r\n".to_vec())]);
            assert_eq!(rest, 5);
        }
    }

    #[test]
    fn a_line_above_the_limit_is_measured_and_not_held() {
        let mut input = vec![b'x'; 1000];
        input.extend_from_slice(b"\nok\n");
        for read_size in [1, 7, 999, 1000, 1001, 1004] {
            let (lines, _) = cut(&input, 10, read_size);
            assert_eq!(lines, [Err(1001), Ok(b"ok\n".to_vec())], "read size {read_size}");
        }
        let (lines, _) = cut(b"0123456789\n0123456789a\n", 10, 64);
        assert_eq!(lines, [Ok(b"0123456789\n".to_vec()), Err(12)], "the limit itself is allowed");
    }

    #[test]
    fn memory_follows_what_comes_and_goes_when_nothing_does() {
        let mut buffer = LineBuffer::new(1 << 20);
        let mut drip: &[u8] = b"one\ntw";
        buffer.fill(&mut drip).unwrap();
        assert_eq!(buffer.buf.len(), FIRST);
        assert!(buffer.next_line().is_some());
        buffer.release();
        assert_eq!(buffer.partial(), b"tw", "a begun line is kept");
        let mut flood = io::Cursor::new(b"o\n".repeat(1 << 20));
        for _ in 0..10 {
            buffer.fill(&mut flood).unwrap();
            while buffer.next_line().is_some() {}
        }
        assert!(buffer.buf.len() >= CHUNK, "{} bytes at a time", buffer.buf.len());
        while buffer.fill(&mut flood).unwrap() > 0 {
            while buffer.next_line().is_some() {}
        }
        buffer.release();
        assert_eq!(buffer.buf.capacity(), 0);
    }

    #[test]
    fn memory_follows_the_limit_not_the_line() {
        let mut buffer = LineBuffer::new(1000);
        let mut endless = io::repeat(b'x');
        for _ in 0..100 {
            buffer.fill(&mut endless).unwrap();
            assert_eq!(buffer.next_line(), None);
        }
        assert!(buffer.is_discarding());
        assert!(buffer.buf.len() <= 1000 + 2 * CHUNK, "{} bytes held", buffer.buf.len());
    }
}
