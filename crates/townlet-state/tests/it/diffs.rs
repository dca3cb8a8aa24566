//! `apply(base, diff) == next`, exactly.

use proptest::prelude::*;
use townlet_schema::{Json, Object, StateDiff};
use townlet_state::{diff, patch, write_diff};

use crate::data::{recorded, state, step, stepped};

/// What a peer makes of the diff, and the body.
fn applied(base: &Object, next: &Object) -> (Object, Json) {
    let mut body = Vec::new();
    assert!(write_diff(base, next, &mut body));
    let tree = Json::parse(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)));
    assert_eq!(Json::to_string(&tree).len(), body.len(), "compact");
    let diff = StateDiff::from_body(tree.as_object().unwrap().clone()).unwrap();
    let mut state = base.clone();
    diff.apply(&mut state).unwrap_or_else(|e| panic!("{e}: {tree}"));
    (state, tree)
}

#[test]
fn every_recorded_state_follows_exactly_from_the_one_before_and_from_one_long_before() {
    for stream in recorded() {
        assert!(stream.len() > 20);
        for distance in [1, 7, 19] {
            for (base, next) in stream.iter().zip(&stream[distance..]) {
                assert_eq!(applied(base, next).0, *next);
                assert_eq!(applied(next, base).0, *base);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_state_follows_exactly_from_any_other(base in state(), next in state()) {
        prop_assert_eq!(applied(&base, &next).0, next);
    }

    #[test]
    fn a_state_follows_exactly_from_one_that_it_grew_out_of(base in state(), steps in step()) {
        let next = stepped(&base, &steps);
        let (state, _) = applied(&base, &next);
        prop_assert_eq!(&state, &next);
        let patch = patch(&base, &next).unwrap();
        let mut state = base.clone();
        patch.apply(&mut state).unwrap();
        prop_assert_eq!(&state, &next);
        prop_assert_eq!(patch.is_empty(), base == next);
        let mut same = Vec::new();
        prop_assert!(write_diff(&next, &next, &mut same));
        prop_assert_eq!(diff(&next, &next).map(|d| d.patch.is_empty()), Some(true));
    }
}
