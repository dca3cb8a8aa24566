//! Reads one segment from front to back with a bounded buffer, past damage.

use std::io;

use crate::disk::{Disk, read_full};
use crate::frame::{FrameHead, HEADER, MAGIC};
use crate::segment::{Header, MAX_HEADER};

/// What is given up at once where the disk cannot be read.
const BLOCK: u64 = 4096;
const ATTEMPTS: u32 = 3;

/// What a scan meets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// A good record; its content is in [`Scan::content`] until the next step.
    Record { offset: u64, frame: FrameHead },
    /// Bytes that are no record. The scan goes on behind them.
    Damage { offset: u64, bytes: u64, records: u64 },
    /// The rest is no record either: a torn end, or damage up to the end.
    BadEnd { offset: u64, bytes: u64 },
    /// Every byte was accounted for, or a later segment has what comes now.
    End,
}

/// A walk through a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    name: String,
    first: u64,
    /// Records below it are passed over.
    from: u64,
    /// Records from here on belong to a later segment.
    pub(crate) stop: u64,
    /// Bytes to look at.
    pub(crate) len: u64,
    /// Lowest position not yet met or reported.
    pub(crate) expected: u64,
    pub(crate) offset: u64,
    /// Start of bytes found to be no record.
    bad_from: Option<u64>,
    header_read: bool,
    buffer: Vec<u8>,
    buffer_at: u64,
    chunk: usize,
    content: (usize, usize),
    failures: u32,
}

impl Scan {
    /// A walk through the records `from..stop`, beginning at `offset`, which is
    /// 0 or the start of a frame.
    pub(crate) fn new(name: &str, first: u64, len: u64, from: u64, stop: u64, offset: u64, chunk: usize) -> Self {
        Self {
            name: name.to_owned(),
            first,
            from,
            stop,
            len,
            expected: from.max(first),
            offset,
            bad_from: None,
            header_read: offset > 0,
            buffer: Vec::new(),
            buffer_at: 0,
            chunk,
            content: (0, 0),
            failures: 0,
        }
    }

    /// Head and body of the record that was met last.
    pub(crate) fn content(&self) -> &[u8] {
        &self.buffer[self.content.0..self.content.1]
    }

    /// The next thing.
    ///
    /// # Errors
    /// Those of the disk; the same place is tried again by the next call.
    pub(crate) fn next(&mut self, disk: &mut dyn Disk) -> io::Result<Met> {
        if !self.header_read {
            self.pass_header(disk)?;
        }
        loop {
            if self.len.saturating_sub(self.offset) < HEADER as u64 {
                return Ok(self.finish());
            }
            let Some(window) = self.window(disk, HEADER)? else { return Ok(self.finish()) };
            match FrameHead::parse(window).filter(|frame| self.fits(frame)) {
                Some(frame) => {
                    if frame.position >= self.stop {
                        return Ok(self.finish());
                    }
                    if let Some(bad) = self.bad_from.take() {
                        let records = frame.position.saturating_sub(self.expected);
                        self.expected = self.expected.max(frame.position);
                        return Ok(Met::Damage { offset: bad, bytes: self.offset - bad, records });
                    }
                    if let Some(met) = self.take(disk, frame)? {
                        return Ok(met);
                    }
                }
                None => self.search(disk)?,
            }
        }
    }

    /// The next thing, with what cannot be read as damage.
    pub(crate) fn next_readable(&mut self, disk: &mut dyn Disk) -> Met {
        loop {
            match self.next(disk) {
                Ok(met) => return met,
                Err(error) => {
                    self.failed(&error);
                }
            }
        }
    }

    /// After an error. A place that cannot be read is tried three times and then
    /// given up (`true`), so that one bad block stops nobody.
    pub(crate) fn failed(&mut self, error: &io::Error) -> bool {
        self.failures += 1;
        let gone = error.kind() == io::ErrorKind::NotFound;
        if !gone && self.failures < ATTEMPTS {
            return false;
        }
        self.failures = 0;
        self.header_read = true;
        self.buffer.clear();
        if self.offset < self.len {
            self.bad_from.get_or_insert(self.offset);
            let next_block = (self.offset / BLOCK + 1) * BLOCK;
            self.offset = if gone { self.len } else { next_block.min(self.len) };
        }
        true
    }

    /// Takes the whole frame at `offset`; `None` if it was passed over.
    fn take(&mut self, disk: &mut dyn Disk, frame: FrameHead) -> io::Result<Option<Met>> {
        let offset = self.offset;
        if frame.position < self.from {
            self.offset += frame.total_len();
            return Ok(None);
        }
        // `fits` bounded it by the length of the segment.
        let total = frame.total_len() as usize;
        if self.window(disk, total)?.is_none() {
            self.bad_from = Some(offset);
            self.offset = self.len;
            return Ok(Some(self.finish()));
        }
        let start = (offset - self.buffer_at) as usize;
        self.content = (start + HEADER, start + total);
        self.offset += total as u64;
        let missing = frame.position.saturating_sub(self.expected);
        let stale = frame.position < self.expected;
        self.expected = self.expected.max(frame.position + 1);
        if !stale && missing == 0 && frame.matches(self.content()) {
            return Ok(Some(Met::Record { offset, frame }));
        }
        if missing > 0 && frame.matches(self.content()) {
            // Whole frames are gone without a trace: say so first, then come back for this one.
            (self.offset, self.expected) = (offset, frame.position);
            return Ok(Some(Met::Damage { offset, bytes: 0, records: missing }));
        }
        let records = if stale { 0 } else { missing + 1 };
        Ok(Some(Met::Damage { offset, bytes: total as u64, records }))
    }

    fn fits(&self, frame: &FrameHead) -> bool {
        let room = self.len - self.offset;
        // Positions count up by one within a segment, a frame takes at least a
        // header: no genuine frame is further than this.
        frame.total_len() <= room
            && frame.position >= self.first
            && frame.position - self.first <= self.offset / HEADER as u64
    }

    /// Moves to the next place that could be a frame.
    fn search(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        self.bad_from.get_or_insert(self.offset);
        let mut at = self.offset + 1;
        loop {
            self.offset = at.min(self.len);
            if self.len - self.offset < HEADER as u64 {
                self.offset = self.len;
                return Ok(());
            }
            let Some(window) = self.window(disk, HEADER)? else {
                self.offset = self.len;
                return Ok(());
            };
            debug_assert!(window.len() >= HEADER);
            let rest = &self.buffer[(self.offset - self.buffer_at) as usize..];
            match rest.iter().position(|byte| *byte == MAGIC[0]) {
                Some(0) => return Ok(()),
                Some(skip) => at = self.offset + skip as u64,
                None => at = self.offset + rest.len() as u64,
            }
        }
    }

    /// Nothing more that is ours. Where a later segment has what comes now, the
    /// rest is what a failed sync left.
    fn finish(&mut self) -> Met {
        let bad = self.bad_from.take().unwrap_or(self.offset);
        self.offset = self.len;
        if bad < self.len { Met::BadEnd { offset: bad, bytes: self.len - bad } } else { Met::End }
    }

    fn pass_header(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        let have = 256.min(self.len) as usize;
        let start = self.window(disk, have)?.unwrap_or_default();
        let claimed = Header::claimed_len(start).filter(|claimed| *claimed <= MAX_HEADER);
        let len = claimed.unwrap_or(0).max(have).min(self.len as usize);
        let parsed = Header::parse(self.window(disk, len)?.unwrap_or_default());
        self.header_read = true;
        match parsed {
            Some((_, len)) => self.offset = len as u64,
            // A damaged header costs nothing but the search for the first record.
            None => self.search(disk)?,
        }
        Ok(())
    }

    /// At least `need` bytes from `offset` on, or `None` where the file ends before.
    fn window(&mut self, disk: &mut dyn Disk, need: usize) -> io::Result<Option<&[u8]>> {
        let buffered =
            self.offset >= self.buffer_at && self.offset + need as u64 <= self.buffer_at + self.buffer.len() as u64;
        if !buffered {
            self.fill(disk, need)?;
        }
        let start = (self.offset - self.buffer_at) as usize;
        Ok(self.buffer.get(start..start + need))
    }

    fn fill(&mut self, disk: &mut dyn Disk, need: usize) -> io::Result<()> {
        let end = self.buffer_at + self.buffer.len() as u64;
        if self.offset >= self.buffer_at && self.offset < end {
            self.buffer.drain(..(self.offset - self.buffer_at) as usize);
        } else {
            self.buffer.clear();
        }
        self.buffer_at = self.offset;
        let have = self.buffer.len();
        let left = (self.len - self.offset) as usize;
        let target = need.max(self.chunk).min(left);
        if target > have {
            if self.buffer.capacity() > 4 * target {
                self.buffer.shrink_to(target);
            }
            self.buffer.resize(target, 0);
            let at = self.offset + have as u64;
            let got = match read_full(disk, &self.name, at, &mut self.buffer[have..]) {
                Ok(got) => got,
                Err(error) => {
                    self.buffer.truncate(have);
                    return Err(error);
                }
            };
            self.failures = 0;
            self.buffer.truncate(have + got);
        }
        Ok(())
    }
}
