//! Whatever is taken for a patch.

use proptest::prelude::*;
use townlet_schema::{Object, Patch, StateDiff};

use crate::data::state;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_is_taken_for_a_patch_makes_it_panic_or_half_apply(base in state(), changes in state()) {
        let mut state = base.clone();
        if Patch::new(changes.clone()).apply(&mut state).is_err() {
            prop_assert_eq!(&state, &base);
        }
        let mut body = changes;
        body.insert("patch", Object::new());
        let diff = StateDiff::from_body(body).unwrap();
        let mut state = base.clone();
        prop_assert!(diff.apply(&mut state).is_ok());
    }
}
