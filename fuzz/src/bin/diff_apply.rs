//! State diffs: what leads from one state to the next does so exactly, as value and as text; any other patch fits whole
//! or changes nothing; a follower holds what the producer had, whatever else it hears; coalescing loses only what it
//! counts.
//!
//! An input is three lines: a state, the next state, and a patch of anybody's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_schema::{
    ENVELOPE_KEYS, Json, Kind, LineExtra, LinePrefix, Object, Patch, RunId, SchemaVersion, StateDiff, encode_into,
};
use townlet_state::{Follower, Items, Limits, State, Step, coalesce, diff, patch, per_tick_items, write_diff};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (Some(base), Some(state), third) = (object(next()), object(next()), next()) else { return };
    leads_exactly(&base, &state);
    loses_what_it_counts(&base, &state);
    if let Some(foreign) = object(third) {
        fits_or_changes_nothing(&base, foreign);
    }
    follows(&base, &state, third);
});

fn object(text: &[u8]) -> Option<Object> {
    if let Ok(Json::Object(object)) = Json::parse(text) { Some(object) } else { None }
}

fn leads_exactly(base: &Object, next: &Object) {
    if let Some(patch) = patch(base, next) {
        let mut state = base.clone();
        patch.apply(&mut state).unwrap_or_else(|error| panic!("our own patch does not fit: {error}: {patch:?}"));
        assert_eq!(&state, next, "{patch:?}");
        assert_eq!(patch.is_empty(), base == next, "{patch:?}");
    }
    if let Some(diff) = diff(base, next) {
        let mut state = base.clone();
        diff.apply(&mut state).unwrap_or_else(|error| panic!("our own diff does not fit: {error}: {diff:?}"));
        assert_eq!(&state, next, "{diff:?}");
        let (mut written, mut encoded) = (Vec::new(), Vec::new());
        assert!(write_diff(base, next, &mut written));
        encode_into(&diff, &mut encoded).unwrap_or_else(|error| panic!("{error}"));
        let read = |text: &[u8]| object(text).and_then(|body| StateDiff::from_body(body).ok());
        assert_eq!((read(&written), read(&encoded)), (Some(diff.clone()), Some(diff)));
    }
}

fn fits_or_changes_nothing(base: &Object, foreign: Object) {
    let mut state = base.clone();
    if let Err(error) = Patch::new(foreign.clone()).apply(&mut state) {
        assert_eq!(&state, base, "half applied: {error}");
        assert!(!error.to_string().is_empty());
    }
    let Ok(diff) = StateDiff::from_body(foreign) else { return };
    let mut state = base.clone();
    if let Err(error) = diff.apply(&mut state) {
        assert_eq!(&state, base, "half applied: {error}");
    }
}

fn loses_what_it_counts(older: &Object, newer: &Object) {
    for items in [0, 1, 4096] {
        let (merged, overflow) = coalesce(older.clone(), newer.clone(), Limits { items });
        assert_eq!(
            sum([&per_tick_items(older), &per_tick_items(newer)]),
            sum([&per_tick_items(&merged), &overflow]),
            "{merged:?}"
        );
    }
}

fn sum(of: [&Items; 2]) -> Items {
    let mut all = Items::new();
    for (section, items) in of.into_iter().flatten() {
        *all.entry(*section).or_default() += items;
    }
    all
}

fn follows(base: &Object, next: &Object, foreign: &[u8]) {
    // The names of a head are no names for sections.
    let is_reserved =
        |state: &Object| state.keys().any(|key| ENVELOPE_KEYS.contains(&key) || key == "dto_schema_version");
    if is_reserved(base) || is_reserved(next) {
        return;
    }
    let run = RunId::from_u128(7);
    let line = |kind, seq, base_seq, body: &[u8]| {
        let mut line = Vec::new();
        let prefix = LinePrefix::new(SchemaVersion::CURRENT, kind, &run, "town");
        prefix.write_line(seq, seq, LineExtra { base_seq, ..LineExtra::default() }, body, &mut line);
        line
    };
    let (mut whole, mut changes) = (Vec::new(), Vec::new());
    Json::Object(base.clone()).write(&mut whole);
    if !write_diff(base, next, &mut changes) {
        return;
    }
    let mut follower = Follower::new("town");
    assert_eq!(follower.feed(&line(Kind::Snapshot, 1, None, &whole)), Ok(Step::Keyframe));
    // Whatever stands on a line of somebody else's, an error leaves the state as it was.
    let mut other = follower.clone();
    if other.feed(foreign).is_err() {
        assert_eq!(other.state(), follower.state());
    }
    let Ok(step) = follower.feed(&line(Kind::Diff, 2, Some(1), &changes)) else {
        panic!("our own diff is refused: {}", String::from_utf8_lossy(&changes));
    };
    assert_eq!((step, follower.is_stale()), (Step::Diff, false));
    assert_eq!(follower.state(), Some(&State::new(2, 2, next.clone())));
}
