//! States: shared while they wait to be encoded, and shared by sinks that render
//! them for their own peers.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Serialize, Serializer};
use townlet_schema::{
    HeapSize, Json, Kind, LineExtra, Number, Object, Payload, Section, SectionClass, Snapshot, encode_into,
};
use townlet_state::{Limits, State, coalesce, per_tick_items};
use townlet_transform::{DropReason as Refusal, Dropped, RedactedTree};
use townlet_transport::StateBody;

use crate::planted;
use crate::stream::ENVELOPE_WEIGHT;
use crate::streams::StreamInfo;

/// A body of at most so many bytes is refused by no reader for its length.
const LONGEST_BODY: usize = townlet_schema::MAX_LINE_BYTES - 1024;

/// No text is longer than this many times what [`length`] makes of it: the
/// longest escape is `\u00XX`.
const LONGEST_ESCAPE: usize = 6;

/// A snapshot that the `latest_*` getters and the queue share: nothing is copied (W27).
#[derive(Clone, Debug)]
pub(crate) struct StateValue(pub(crate) Arc<Snapshot>);

impl Serialize for StateValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl HeapSize for StateValue {
    fn heap_size(&self) -> usize {
        size_of::<Snapshot>() + self.0.heap_size()
    }
}

impl Payload for StateValue {
    const KIND: Kind = Kind::Snapshot;
    const PROVES_SCHEMA: bool = Snapshot::PROVES_SCHEMA;
}

/// A redacted state of a stream, on its way to the sinks.
pub(crate) struct StreamState {
    pub(crate) info: Arc<StreamInfo>,
    state: State,
    /// What it weighs, alone and with `earlier`.
    own: usize,
    weight: usize,
    /// Per-tick sections of the states that this one took the place of, oldest
    /// first, and how many items they have together.
    earlier: Vec<(Arc<Object>, u64)>,
}

impl StreamState {
    /// # Errors
    /// A state that is too large for a line.
    pub(crate) fn new(info: &Arc<StreamInfo>, seq: u64, tick: u64, tree: RedactedTree) -> Result<Self, Dropped> {
        let sections = tree.into_tree();
        let length = sections.iter().map(|(key, value)| key.len() + 4 + length(value)).sum::<usize>();
        // Only what may be too large is looked at closely.
        if length > LONGEST_BODY / LONGEST_ESCAPE {
            let mut text = Vec::new();
            encode_into(&sections, &mut text)?;
            if text.len() > LONGEST_BODY {
                return Err(Dropped::new(Refusal::Oversize, format!("{} bytes as a whole line", text.len())));
            }
        }
        let (info, state, weight) = (Arc::clone(info), State::new(seq, tick, sections), length + ENVELOPE_WEIGHT);
        Ok(Self { info, state, own: weight, weight, earlier: Vec::new() })
    }

    /// The state, with what happened in the ticks of those that it took the place of.
    pub(crate) fn state(&self) -> State {
        let all = Limits { items: usize::MAX };
        let mut earlier = self.earlier.iter().map(|(happened, _)| Object::clone(happened));
        let Some(first) = earlier.next() else { return self.state.clone() };
        let happened =
            earlier.fold(first, |before, after| match planted::is("what happened in merged states is mixed up") {
                true => coalesce(after, before, all).0,
                false => coalesce(before, after, all).0,
            });
        let (merged, _) = coalesce(happened, Object::clone(&self.state.sections), all);
        State::new(self.state.seq, self.state.tick, merged)
    }
}

impl StateBody for StreamState {
    fn weight(&self) -> usize {
        self.weight
    }

    fn write_whole(&self, out: &mut Vec<u8>) {
        let state = self.state();
        let mut body = Vec::with_capacity(self.weight);
        // A tree of finite numbers, not too deep and not too large, as its making has seen.
        let _ = encode_into(&*state.sections, &mut body);
        self.info.prefix.write_line(state.seq, state.tick, LineExtra::default(), &body, out);
    }

    fn after(&self, older: &dyn StateBody) -> Option<Arc<dyn StateBody>> {
        let older = (older as &dyn Any).downcast_ref::<Self>()?;
        let happened = of_the_tick(&older.state.sections);
        let items = per_tick_items(&happened).values().sum();
        let mut earlier = older.earlier.clone();
        if planted::is("a state that was merged before loses what it had then") {
            earlier.clear();
        }
        if items > 0 {
            earlier.push((Arc::new(happened), items));
        }
        earlier.extend(self.earlier.iter().cloned());
        // Bounded, and what does not fit is counted: whole ticks, the oldest first.
        let mut held = earlier.iter().map(|(_, items)| items).sum::<u64>();
        let surplus = earlier.iter().take_while(|(_, items)| {
            let over = held > Limits::default().items as u64;
            held -= if over { *items } else { 0 };
            over
        });
        let surplus = surplus.count();
        let lost: u64 = earlier.drain(..surplus).map(|(_, items)| items).sum();
        self.info.items_lost.fetch_add(lost, Ordering::Relaxed);
        let (info, state, own) = (Arc::clone(&self.info), self.state.clone(), self.own);
        let weight = own + earlier.iter().flat_map(|(happened, _)| happened.values()).map(length).sum::<usize>();
        Some(Arc::new(Self { info, state, own, weight, earlier }))
    }
}

/// The sections that say what happened in the tick, where there is something in them.
fn of_the_tick(sections: &Object) -> Object {
    let of_tick = Section::ALL.iter().filter(|section| section.class() == SectionClass::PerTick);
    let of_tick = of_tick.filter_map(|section| Some((section.name(), sections.get(section.name())?)));
    let happened = of_tick.filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty()));
    happened.map(|(key, value)| (key, value.clone())).collect()
}

/// About the length of the text, escapes left out. A float counts as a long one.
fn length(value: &Json) -> usize {
    match value {
        Json::Null | Json::Bool(_) => 5,
        Json::Number(number) => number_length(number),
        Json::String(text) => text.len() + 2,
        Json::Array(items) => 2 + items.iter().map(|item| length(item) + 1).sum::<usize>(),
        Json::Object(members) => 2 + members.iter().map(|(key, value)| key.len() + 4 + length(value)).sum::<usize>(),
    }
}

fn number_length(number: &Number) -> usize {
    match (number.as_u64(), number.as_i64()) {
        (Some(value), _) => 1 + value.checked_ilog10().unwrap_or(0) as usize,
        (_, Some(value)) => 2 + value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize,
        _ => 18,
    }
}
