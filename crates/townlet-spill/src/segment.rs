//! Segment files: how they are named, what stands at their beginning, and what
//! the log remembers about each while it runs.

use std::time::Duration;

use crate::fields::{Reader, Writer};

const MAGIC: [u8; 8] = *b"TLSPILL1";
/// Magic, length of the whole header, checksum of the rest.
const PREFIX: usize = 16;
/// A header names at most 64 sinks with names of at most 128 bytes.
pub(crate) const MAX_HEADER: usize = 16 << 10;
pub(crate) const SUFFIX: &str = ".seg";
pub(crate) const QUARANTINE: &str = ".quarantine";
/// More than a log ever counts to.
const MAX_NUMBER: u64 = 1 << 62;
/// An index point per so many bytes: what a rewind has to skip at most.
const INDEX_EVERY: u64 = 64 << 10;

/// A sink as segment headers and the state file name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedSlot {
    pub(crate) slot: u8,
    pub(crate) name: String,
    /// Positions below it were for somebody else who had the slot before.
    pub(crate) since: u64,
}

/// What stands at the beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ordinal: u64,
    /// Position of its first record.
    pub(crate) first: u64,
    pub(crate) created: Duration,
    /// The sinks of that time, so that a lost state file costs no name.
    pub(crate) slots: Vec<NamedSlot>,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut rest = Writer::default();
        rest.u64(self.ordinal).u64(self.first).duration(self.created);
        encode_slots(&mut rest, &self.slots);
        let rest = rest.done();
        let mut out = Vec::with_capacity(PREFIX + rest.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&((PREFIX + rest.len()) as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
        out.extend_from_slice(&rest);
        out
    }

    /// The length that the start of a header says it has.
    pub(crate) fn claimed_len(bytes: &[u8]) -> Option<usize> {
        let mut prefix = Reader::new(bytes);
        (prefix.take(8)? == MAGIC).then_some(())?;
        prefix.u32().map(|len| len as usize)
    }

    /// The header at the start of `bytes` and its length, if it is undamaged.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut prefix = Reader::new(bytes);
        if prefix.take(8)? != MAGIC {
            return None;
        }
        let (len, crc) = (prefix.u32()? as usize, prefix.u32()?);
        let rest = bytes.get(PREFIX..len)?;
        if crc32fast::hash(rest) != crc {
            return None;
        }
        let mut rest = Reader::new(rest);
        let (ordinal, first) = (rest.u64()?, rest.u64()?);
        let created = rest.duration()?;
        let slots = parse_slots(&mut rest)?;
        Some((Self { ordinal, first, created, slots }, len))
    }
}

pub(crate) fn encode_slots(out: &mut Writer, slots: &[NamedSlot]) {
    out.u8(slots.len() as u8);
    for slot in slots {
        out.u8(slot.slot).u64(slot.since).text(&slot.name);
    }
}

pub(crate) fn parse_slots(from: &mut Reader<'_>) -> Option<Vec<NamedSlot>> {
    let count = from.u8()?;
    let slots: Option<Vec<NamedSlot>> = (0..count)
        .map(|_| Some(NamedSlot { slot: from.u8()?, since: from.u64()?, name: from.text()?.to_owned() }))
        .collect();
    slots.filter(|slots| slots.iter().all(|slot| slot.slot < 64))
}

/// The name of a segment. It repeats two numbers of the header, so that a start
/// reads no headers, and a damaged header costs no record.
pub(crate) fn file_name(ordinal: u64, first: u64) -> String {
    format!("{ordinal:010}-{first:020}{SUFFIX}")
}

/// Ordinal and first position, from a name exactly as [`file_name`] makes it.
pub(crate) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (ordinal, first) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let numbers: (u64, u64) = (ordinal.parse().ok()?, first.parse().ok()?);
    // A name that nobody gave must not bring the counters near their end.
    let sane = numbers.0 < MAX_NUMBER && numbers.1 < MAX_NUMBER;
    (sane && file_name(numbers.0, numbers.1) == name).then_some(numbers)
}

/// A segment of the open log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) ordinal: u64,
    pub(crate) first: u64,
    /// Bytes that belong to it. What a failed write left behind them does not.
    pub(crate) len: u64,
    /// From the header, once that was read.
    pub(crate) created: Option<Duration>,
    /// Some (position, offset) pairs, ascending.
    index: Vec<(u64, u64)>,
    /// Where damage was met, so that several readers report it once.
    pub(crate) damaged_at: Vec<u64>,
}

impl Segment {
    pub(crate) fn new(name: String, ordinal: u64, first: u64, len: u64) -> Self {
        Self { name, ordinal, first, len, created: None, index: Vec::new(), damaged_at: Vec::new() }
    }

    /// Remembers that the record at `position` begins at `offset`.
    pub(crate) fn note(&mut self, position: u64, offset: u64) {
        let at = self.index.partition_point(|(_, known)| *known <= offset);
        let far = |(_, known): &(u64, u64)| known.abs_diff(offset) >= INDEX_EVERY;
        if at.checked_sub(1).is_none_or(|before| far(&self.index[before])) && self.index.get(at).is_none_or(far) {
            self.index.insert(at, (position, offset));
        }
    }

    /// A known place at or before the record at `position`: (position, offset).
    /// Offset 0 is the header.
    pub(crate) fn place_before(&self, position: u64) -> (u64, u64) {
        let after = self.index.partition_point(|(known, _)| *known <= position);
        after.checked_sub(1).map_or((self.first, 0), |at| self.index[at])
    }
}
