//! States of a schedule: what the host makes, and what a reader must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use townlet_pipeline::StateFrames;
use townlet_schema::{Json, Kind, Object};
use townlet_transform::{Chain, ChainBuilder, Head, Record, TransformSpec};
use townlet_transport::Frame;

use super::ground_truth::{End, FIRST_STATES, Id, NAMES, STREAMS, Truth, run_id};
use super::plan::Chance;

/// Sections that say what happened in one tick. The others last.
const OF_THE_TICK: [&str; 2] = ["events", "narrations"];

/// Items of one state are numbered from here times its number.
const ITEMS: u64 = 100;

/// The state of a stream at one number, all sections of it.
pub(crate) type Happened = Arc<Object>;

/// Makes the states of a run.
#[derive(Debug)]
pub(crate) struct Towns {
    chain: Chain,
    streams: Vec<StateFrames>,
    now: [Object; STREAMS - FIRST_STATES],
}

impl Towns {
    pub(crate) fn new(run: u32) -> Self {
        // One link that has nothing to do: without any there would be the standard ones.
        let idle = TransformSpec::EnsureFields {
            required_fields_by_kind: BTreeMap::new(),
            default_required_fields: Vec::new(),
        };
        let chain = ChainBuilder::from_specs([idle]).without_redaction().build();
        let stream = |name: &&str| StateFrames::new(run_id(run), name).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self {
            chain: chain.unwrap_or_else(|e| panic!("a chain without links: {e}")),
            streams: NAMES[FIRST_STATES..].iter().map(stream).collect(),
            now: Default::default(),
        }
    }

    /// The next state of a stream: most of it as it was.
    pub(crate) fn next(&mut self, id: Id, tick: u64, chance: &mut Chance) -> (Frame, Happened) {
        let at = id.stream - FIRST_STATES;
        let town = &mut self.now[at];
        let mut jobs = town.get("jobs").and_then(Json::as_object).cloned().unwrap_or_default();
        for agent in ["ann", "bob", "cy"] {
            match chance.between(0, 5) {
                0 => drop(jobs.remove(agent)),
                1 | 2 => drop(jobs.insert(agent, Object::from_iter([("wallet", chance.between(0, 9)), ("late", 0)]))),
                _ => {}
            }
        }
        town.insert("jobs", jobs);
        let mut history = town.get("history").and_then(Json::as_array).unwrap_or_default().to_vec();
        history.push(Json::from(tick));
        history.drain(..history.len().saturating_sub(4));
        town.insert("history", history);
        let mut item = id.seq * ITEMS;
        for key in OF_THE_TICK {
            let items = (0..chance.between(0, 5).saturating_sub(3)).map(|_| {
                item += 1;
                Json::from(item)
            });
            let items: Vec<Json> = items.collect();
            // A state without the section is not one in which nothing happened.
            match items.is_empty() && chance.percent(30) {
                true => drop(town.remove(key)),
                false => drop(town.insert(key, items)),
            }
        }
        let record = Record::from_tree(Head::new(Kind::Snapshot, NAMES[id.stream], tick), town.clone());
        let tree = record.and_then(|record| self.chain.run_to_tree(record));
        let frame = tree.and_then(|tree| self.streams[at].frame(id.seq, tick, tree));
        (frame.unwrap_or_else(|e| panic!("{id:?}: {e}")), Arc::new(town.clone()))
    }
}

fn items<'j>(state: &'j Object, key: &str) -> &'j [Json] {
    state.get(key).and_then(Json::as_array).unwrap_or_default()
}

impl Truth {
    /// A reader holds `found` as the state `id`: it must be that one exactly, and what
    /// it tells beside it happened in states that never came themselves.
    pub(crate) fn check_state(&mut self, id: Id, found: &Object) {
        let Some(own) = self.facts.get(&id).and_then(|fact| fact.state.clone()) else {
            panic!("a reader holds {id:?}, which is no state");
        };
        if *own == *found {
            return;
        }
        let lasting = |state: &Object| {
            let lasting = state.iter().filter(|(key, _)| !OF_THE_TICK.contains(key));
            lasting.map(|(key, value)| (key.to_owned(), value.clone())).collect::<Vec<_>>()
        };
        assert_eq!(lasting(found), lasting(&own), "a reader holds {id:?}, and it is another state");
        let told = OF_THE_TICK.iter().flat_map(|key| items(found, key)).filter_map(Json::as_u64);
        let told: BTreeSet<u64> = told.map(|item| item / ITEMS).filter(|seq| *seq != id.seq).collect();
        for key in OF_THE_TICK {
            let of = |seq: &u64| {
                let state = self.facts.get(&Id { seq: *seq, ..id }).and_then(|fact| fact.state.as_ref());
                items(state.unwrap_or(&own), key).to_vec()
            };
            let expected: Vec<Json> = told.iter().chain([&id.seq]).flat_map(of).collect();
            assert_eq!(items(found, key), expected, "{key} of {id:?}, which tells of {told:?} too");
        }
        for seq in told {
            let earlier = Id { seq, ..id };
            let Some(fact) = self.facts.get_mut(&earlier) else { panic!("{id:?} tells of {earlier:?}") };
            let by = *fact.told_by.get_or_insert(id.seq);
            assert!(seq < id.seq && by == id.seq, "{id:?} and {by} tell what happened in {earlier:?}");
            let merged = matches!(fact.end, None | Some(End::Coalesced));
            assert!(merged && !fact.received, "{id:?} tells of {earlier:?} again: {:?}", fact.end);
        }
    }

    /// State `id` is there: whatever merged into it is told by it.
    pub(crate) fn check_what_merged(&self, id: Id) {
        for seq in (1..id.seq).rev() {
            let Some(fact) = self.facts.get(&Id { seq, ..id }) else { return };
            if fact.end != Some(End::Coalesced) {
                return;
            }
            let happened =
                fact.state.as_ref().map_or(0, |state| OF_THE_TICK.map(|key| items(state, key).len())[..].iter().sum());
            assert!(
                happened == 0 || fact.told_by == Some(id.seq),
                "{id:?} has the place of number {seq}, and does not tell what happened there"
            );
        }
    }
}
