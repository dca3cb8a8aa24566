//! What the state file says: where the log begins and ends, and how far each sink is.

use crate::fields::{Reader, Writer};
use crate::segment::NamedSlot;

pub(crate) const FILE: &str = "state";
const VERSION: u32 = 1;
/// Longest block that the caller may store along.
pub(crate) const MAX_EXTRA: usize = 64 << 10;
/// Longest name of a sink.
pub(crate) const MAX_NAME: usize = 128;

/// A sink at the time of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotState {
    pub(crate) named: NamedSlot,
    /// All of its records below this position are settled.
    pub(crate) settled: u64,
    /// Its unsettled records below `State::next`, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) exact: bool,
    /// A place at or before the record at `settled`.
    pub(crate) hint_ordinal: u64,
    pub(crate) hint_position: u64,
    pub(crate) hint_offset: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) first_ordinal: u64,
    pub(crate) next_ordinal: u64,
    /// Position of the next record.
    pub(crate) next: u64,
    /// Where the next record would have been written: what comes after it is
    /// read at the next start.
    pub(crate) tail_ordinal: u64,
    pub(crate) tail_offset: u64,
    pub(crate) slots: Vec<SlotState>,
    pub(crate) extra: Vec<u8>,
}

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(VERSION).u64(self.first_ordinal).u64(self.next_ordinal).u64(self.next);
        out.u64(self.tail_ordinal).u64(self.tail_offset).u8(self.slots.len() as u8);
        for slot in &self.slots {
            out.u8(slot.named.slot).u64(slot.named.since).text(&slot.named.name);
            out.u64(slot.settled).u64(slot.records).u64(slot.bytes).u8(slot.exact.into());
            out.u64(slot.hint_ordinal).u64(slot.hint_position).u64(slot.hint_offset);
        }
        out.block(&self.extra);
        out.done()
    }

    /// `None` for what a later version wrote, or for what makes no sense: then
    /// the segments themselves are asked.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u32()? != VERSION {
            return None;
        }
        let (first_ordinal, next_ordinal, next) = (from.u64()?, from.u64()?, from.u64()?);
        let (tail_ordinal, tail_offset) = (from.u64()?, from.u64()?);
        let count = from.u8()?;
        let slots: Option<Vec<SlotState>> = (0..count).map(|_| parse_slot(&mut from)).collect();
        let extra = from.block()?.to_vec();
        let slots = slots.filter(|slots| slots.iter().all(|slot| slot.named.slot < 64 && slot.settled <= next))?;
        Some(Self { first_ordinal, next_ordinal, next, tail_ordinal, tail_offset, slots, extra })
    }
}

fn parse_slot(from: &mut Reader<'_>) -> Option<SlotState> {
    let named = NamedSlot { slot: from.u8()?, since: from.u64()?, name: from.text()?.to_owned() };
    Some(SlotState {
        named,
        settled: from.u64()?,
        records: from.u64()?,
        bytes: from.u64()?,
        exact: from.u8()? != 0,
        hint_ordinal: from.u64()?,
        hint_position: from.u64()?,
        hint_offset: from.u64()?,
    })
}
