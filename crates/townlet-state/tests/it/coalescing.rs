//! Two states as one.

use townlet_schema::{Json, Object, Section, SectionClass, Snapshot};
use townlet_state::{Items, Limits, coalesce, coalesce_snapshots, per_tick_items};

use crate::data::{object, town};

fn typed(state: &Object) -> Snapshot {
    Json::Object(state.clone()).read().unwrap()
}

#[test]
fn the_newest_state_stays_and_everything_that_happened() {
    for pair in town().windows(2) {
        let (merged, overflow) = coalesce(pair[0].clone(), pair[1].clone(), Limits::default());
        assert_eq!(overflow, Items::new());
        for (key, value) in merged.iter() {
            let lasts = Section::from_name(key).is_none_or(|section| section.class() == SectionClass::State);
            if lasts {
                assert_eq!(Some(value), pair[1].get(key), "{key}");
            } else {
                let of = |state: &Object| state.get(key).and_then(Json::as_array).unwrap_or_default().to_vec();
                assert_eq!(value.as_array().unwrap(), [of(&pair[0]), of(&pair[1])].concat(), "{key}");
            }
        }
    }
}

#[test]
fn typed_states_coalesce_as_their_trees_do() {
    for items in [0, 3, 4096] {
        for pair in town().windows(2) {
            let (merged, overflow) = coalesce(pair[0].clone(), pair[1].clone(), Limits { items });
            let (snapshot, counted) = coalesce_snapshots(typed(&pair[0]), typed(&pair[1]), Limits { items });
            assert!(snapshot == typed(&merged));
            assert_eq!(counted, overflow);
        }
    }
}

#[test]
fn nothing_that_happened_is_lost_uncounted() {
    let states = town();
    let mut merged = states[0].clone();
    let mut lost = Items::new();
    let mut all = per_tick_items(&merged);
    for state in &states[1..] {
        for (section, items) in per_tick_items(state) {
            *all.entry(section).or_default() += items;
        }
        let (next, overflow) = coalesce(merged, state.clone(), Limits { items: 20 });
        for (section, items) in overflow {
            *lost.entry(section).or_default() += items;
        }
        merged = next;
    }
    let mut accounted = per_tick_items(&merged);
    assert!(accounted.values().all(|kept| *kept <= 20));
    assert!(lost[&Section::Events] > 0);
    for (section, items) in lost {
        *accounted.entry(section).or_default() += items;
    }
    assert_eq!(accounted, all);
}

#[test]
fn a_per_tick_section_that_is_no_list_is_counted_where_it_goes() {
    let limits = Limits::default();
    let (merged, overflow) = coalesce(object(r#"{"events":"chat"}"#), object(r#"{"events":[1]}"#), limits);
    assert_eq!((merged, overflow), (object(r#"{"events":[1]}"#), [(Section::Events, 1)].into()));
    let (merged, overflow) = coalesce(object(r#"{"events":[1,2]}"#), object(r#"{"events":{}}"#), limits);
    assert_eq!((merged, overflow), (object(r#"{"events":{}}"#), [(Section::Events, 2)].into()));
    let (merged, overflow) = coalesce(object(r#"{"events":[1,2]}"#), object(r#"{"events":null}"#), limits);
    assert_eq!((merged, overflow), (object(r#"{"events":[1,2]}"#), Items::new()));
    let (merged, overflow) = coalesce(object(r#"{"events":[1,2],"jobs":{}}"#), Object::new(), limits);
    assert_eq!((merged, overflow), (object(r#"{"events":[1,2]}"#), Items::new()));
    assert_eq!(
        per_tick_items(&object(r#"{"events":{},"narrations":null,"social_events":[],"jobs":[1]}"#)),
        [(Section::Events, 1)].into()
    );
}
