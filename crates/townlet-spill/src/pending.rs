//! Records that are not yet safe, encoded and in order.

use crate::frame;

/// Room kept for the next group after a large one.
const KEEP: usize = 2 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) targets: u64,
    /// Head and body.
    pub(crate) content: u64,
    /// Where its frame begins, in [`Pending::bytes`].
    pub(crate) start: usize,
}

/// Records from position `first` on. They leave when they are safe: a failed
/// sync may have lost them on disk, so the copy here is what is written again.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) first: u64,
    bytes: Vec<u8>,
    records: Vec<Waiting>,
    /// How many of the records are written, though not safe.
    written: usize,
}

impl Pending {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// Position of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Position of the first record that is not written.
    pub(crate) fn written_to(&self) -> u64 {
        self.first + self.written as u64
    }

    pub(crate) fn push(&mut self, targets: u64, head: &[u8], body: &[u8]) -> u64 {
        let position = self.next();
        let start = self.bytes.len();
        frame::encode_into(&mut self.bytes, position, targets, head, body);
        self.records.push(Waiting { targets, content: (head.len() + body.len()) as u64, start });
        position
    }

    /// Bytes of all records.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn written_bytes(&self) -> usize {
        self.records.get(self.written).map_or(self.bytes.len(), |record| record.start)
    }

    /// Bytes that are not written.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written_bytes()..]
    }

    /// Positions of unwritten records, with offsets from the first of them.
    pub(crate) fn unwritten_offsets(&self) -> impl Iterator<Item = (u64, u64)> {
        let base = self.written_bytes();
        let records = self.records[self.written..].iter().zip(self.written_to()..);
        records.map(move |(record, position)| (position, (record.start - base) as u64))
    }

    pub(crate) fn get(&self, position: u64) -> Option<Waiting> {
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.records.get(at).copied()
    }

    /// Those from `position` on.
    pub(crate) fn from(&self, position: u64) -> &[Waiting] {
        let at = position.saturating_sub(self.first).min(self.records.len() as u64);
        &self.records[at as usize..]
    }

    pub(crate) fn mark_written(&mut self) {
        self.written = self.records.len();
    }

    /// Written, perhaps, but lost: to be written again.
    pub(crate) fn mark_unwritten(&mut self) {
        self.written = 0;
    }

    /// Lets go of what is written, for it is safe.
    pub(crate) fn release(&mut self) {
        let bytes = self.written_bytes();
        self.first += self.written as u64;
        self.bytes.drain(..bytes);
        self.records.drain(..self.written);
        self.written = 0;
        for record in &mut self.records {
            record.start -= bytes;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > KEEP {
            (self.bytes, self.records) = (Vec::new(), Vec::new());
        }
    }
}
