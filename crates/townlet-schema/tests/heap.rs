//! `HeapSize` against an allocator that counts.
//!
//! One test, because the count is the process's.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "it/samples.rs"]
#[expect(dead_code, reason = "shared with the other test binary, which uses the rest")]
mod samples;

use std::alloc::System;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use cap::Cap;
use townlet_schema::{
    Event, EventRecord, HeapSize, Json, PolicyMetadata, Record, Snapshot, TransportStatus, read_record,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What the allocator holds for a value, against what the value says.
fn check<T: HeapSize>(name: &str, make: impl Fn() -> T) {
    within(0.8..=1.2, name, make);
}

fn within<T: HeapSize>(bounds: RangeInclusive<f64>, name: &str, make: impl Fn() -> T) {
    // The first call may fill caches of its own.
    drop(make());
    let measure = || {
        let before = ALLOCATOR.allocated();
        let value = make();
        let held = ALLOCATOR.allocated().wrapping_sub(before);
        let said = value.heap_size();
        drop(value);
        (ALLOCATOR.allocated() == before).then_some((held, said))
    };
    // The harness has a thread of its own, which may allocate meanwhile.
    let measured = (0..100).find_map(|_| measure());
    let (held, said) = measured.unwrap_or_else(|| panic!("{name}: something else allocates all the time"));
    let ratio = said as f64 / held as f64;
    println!("{name:24} held {held:8} said {said:8} ratio {ratio:.3}");
    assert!(bounds.contains(&ratio), "{name}: holds {held} bytes and says {said}");
}

#[test]
fn the_declared_size_is_within_a_fifth_of_what_was_allocated() {
    for agents in [1, 3, 6, 10, 12, 13, 20, 29, 35, 47, 50, 75, 100, 200] {
        check(&format!("town of {agents}"), || samples::town(agents, 42));
    }
    // Where nothing but the nodes counts: the limit that `HeapSize` documents.
    for len in [5usize, 11, 12, 30, 50, 100, 1000] {
        let names = || (0..len).map(|n| format!("agent_{n:04}"));
        check(&format!("map of {len}, ascending"), || {
            let mut map = BTreeMap::new();
            names().for_each(|name| assert!(map.insert(name, 0.5f64).is_none()));
            map
        });
        check(&format!("map of {len}, descending"), || {
            let mut map = BTreeMap::new();
            names().rev().for_each(|name| assert!(map.insert(name, 0.5f64).is_none()));
            map
        });
        within(0.8..=1.45, &format!("map of {len}, collected"), || {
            names().map(|name| (name, 0.5f64)).collect::<BTreeMap<_, _>>()
        });
    }
    // A clone has no spare capacity; a map collected at once has fuller nodes than a grown one.
    for agents in [6, 12, 20, 35, 50, 100, 200] {
        check(&format!("town of {agents}, cloned"), || samples::town(agents, 42).clone());
        check(&format!("town of {agents}, collected"), || collected(samples::town(agents, 42)));
    }
    let line = samples::line(&samples::town(6, 42), Default::default());
    check("town of 6, read", || read(&line));
    check("town of 6, as a tree", || Json::parse(&line).unwrap());
    let event = || samples::object(r#"{"agent_id":"agent_0","object_id":"fridge_1","duration":15,"tags":["a","b"]}"#);
    check("event", || EventRecord::new("affordance_start", event()));
    check("event, owned name", || EventRecord::new("affordance_start".to_owned(), event()));
    check("typed event", || {
        let mut event = PolicyMetadata::default();
        event.metadata.possessed_agents = vec!["ann".to_owned(), "bob".to_owned()];
        event.metadata.option_switch_counts = [("ann".to_owned(), 2), ("bob".to_owned(), 3)].into();
        Event(event)
    });
    check("health", samples::health);
    check("failure", samples::failure);
    check("console", samples::console);
    check("run", samples::run_marker);
    check("diff", samples::diff);
    check("status", || {
        let mut status = TransportStatus { last_error: Some("refused".to_owned()), ..TransportStatus::default() };
        status.dropped = [("backpressure".to_owned(), 4), ("oversize".to_owned(), 1)].into();
        let sinks = ["archive", "lake"].map(|name| (name.to_owned(), status.clone()));
        TransportStatus { sinks: sinks.into(), ..status }
    });
    let lines = samples::lines(samples::stream());
    for tick in [1, 60, 120] {
        check(&format!("recorded tick {tick}"), || Json::parse(lines[tick - 1]).unwrap());
        check(&format!("recorded tick {tick}, typed"), || read(lines[tick - 1]));
    }
}

/// The same town with each large map collected from a sorted iterator.
fn collected(mut town: Snapshot) -> Snapshot {
    fn again<V>(map: &mut BTreeMap<String, V>) {
        *map = std::mem::take(map).into_iter().collect();
    }
    again(&mut town.jobs);
    again(&mut town.conflict.rivalry);
    again(&mut town.relationship_snapshot);
    again(&mut town.relationship_overlay);
    again(&mut town.reward_breakdown);
    again(&mut town.stability.inputs.hunger_levels);
    again(&mut town.stability.inputs.reward_samples);
    again(&mut town.policy_snapshot);
    again(&mut town.personalities);
    town
}

/// The record, measured without the box around it.
fn read(line: &[u8]) -> Body {
    match read_record(line).unwrap() {
        Record::Snapshot(snapshot) => Body::Current(snapshot),
        Record::LegacySnapshot(snapshot) => Body::Legacy(snapshot),
        other => panic!("{other:?}"),
    }
}

enum Body {
    Current(Box<townlet_schema::Snapshot>),
    Legacy(Box<townlet_schema::legacy::LegacySnapshot>),
}

impl HeapSize for Body {
    fn heap_size(&self) -> usize {
        match self {
            Self::Current(snapshot) => snapshot.heap_size(),
            Self::Legacy(snapshot) => snapshot.heap_size(),
        }
    }
}
