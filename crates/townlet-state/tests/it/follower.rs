//! The rules of the receiving side, one by one.

use townlet_schema::{Kind, LineExtra, LinePrefix, Object, RunId, SchemaVersion};
use townlet_state::{FollowError, Follower, Step};

use crate::data::{object, predecessor};

fn line(run: u128, kind: Kind, seq: u64, extra: LineExtra, body: &str) -> Vec<u8> {
    let mut line = Vec::new();
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, kind, &RunId::from_u128(run), "town");
    prefix.write_line(seq, seq + 100, extra, body.as_bytes(), &mut line);
    line
}

fn keyframe(run: u128, seq: u64, body: &str) -> Vec<u8> {
    line(run, Kind::Snapshot, seq, LineExtra { base_seq: None, rendering: Some(0) }, body)
}

fn diff(run: u128, base: u64, seq: u64, body: &str) -> Vec<u8> {
    line(run, Kind::Diff, seq, LineExtra { base_seq: Some(base), rendering: None }, body)
}

fn state(follower: &Follower) -> Option<(u64, Object)> {
    follower.state().map(|state| (state.seq, (*state.sections).clone()))
}

#[test]
fn a_diff_before_any_keyframe_is_a_gap() {
    let mut follower = Follower::new("town");
    assert!(follower.is_stale() && follower.state().is_none());
    let step = follower.feed(&diff(1, 1, 2, r#"{"patch":{"a":1}}"#)).unwrap();
    assert_eq!(step, Step::Gap { needs: 1, has: None });
    assert!(follower.resync_needed() && follower.state().is_none());
}

#[test]
fn w6_a_lost_diff_is_found_by_the_next_one_and_mended_by_one_keyframe() {
    let mut follower = Follower::new("town");
    assert_eq!(follower.feed(&keyframe(1, 1, r#"{"a":1}"#)), Ok(Step::Keyframe));
    assert_eq!(follower.feed(&diff(1, 1, 2, r#"{"patch":{"a":2}}"#)), Ok(Step::Diff));
    // 3 is lost.
    assert_eq!(follower.feed(&diff(1, 3, 4, r#"{"patch":{"a":4}}"#)), Ok(Step::Gap { needs: 3, has: Some(2) }));
    assert!(follower.is_stale());
    assert_eq!(state(&follower), Some((2, object(r#"{"a":2}"#))), "what it has stays exact");
    assert_eq!(follower.feed(&diff(1, 4, 5, r#"{"patch":{"a":5}}"#)), Ok(Step::Gap { needs: 4, has: Some(2) }));
    assert_eq!(follower.feed(&keyframe(1, 5, r#"{"a":5}"#)), Ok(Step::Keyframe));
    assert!(!follower.is_stale());
    assert_eq!(follower.state().map(|state| state.tick), Some(105));
    assert_eq!(follower.feed(&diff(1, 5, 6, r#"{"patch":{"a":6}}"#)), Ok(Step::Diff));
}

#[test]
fn a_late_line_closes_the_gap_as_well() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"a":1}"#)).unwrap();
    let late = diff(1, 1, 2, r#"{"patch":{"a":2}}"#);
    let early = diff(1, 2, 3, r#"{"patch":{"a":3}}"#);
    follower.feed(&early).unwrap();
    assert_eq!(follower.feed(&late), Ok(Step::Diff));
    assert!(follower.is_stale(), "3 is known of");
    assert_eq!(follower.feed(&early), Ok(Step::Diff));
    assert!(!follower.is_stale());
}

#[test]
fn what_comes_again_or_late_changes_nothing() {
    let mut follower = Follower::new("town");
    let (first, second) = (keyframe(1, 1, r#"{"a":1}"#), diff(1, 1, 2, r#"{"patch":{"a":2}}"#));
    follower.feed(&first).unwrap();
    follower.feed(&second).unwrap();
    assert_eq!(follower.feed(&second), Ok(Step::Old));
    assert_eq!(follower.feed(&first), Ok(Step::Old));
    assert_eq!(follower.feed(&keyframe(1, 2, r#"{"a":2}"#)), Ok(Step::Again));
    assert!(!follower.is_stale());
    assert_eq!(state(&follower), Some((2, object(r#"{"a":2}"#))));
}

#[test]
fn a_keyframe_before_what_is_known_of_is_taken_and_does_not_make_it_current() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"a":1}"#)).unwrap();
    follower.feed(&diff(1, 8, 9, r#"{"patch":{"a":9}}"#)).unwrap();
    assert_eq!(follower.feed(&keyframe(1, 5, r#"{"a":5}"#)), Ok(Step::Keyframe));
    assert!(follower.is_stale());
    follower.feed(&keyframe(1, 9, r#"{"a":9}"#)).unwrap();
    assert!(!follower.is_stale());
}

#[test]
fn a_new_run_begins_anew_and_late_lines_of_the_old_one_are_old() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 50, r#"{"a":50}"#)).unwrap();
    // A diff of another run says that this one is over, and nothing more.
    assert_eq!(follower.feed(&diff(2, 50, 51, r#"{"patch":{"a":51}}"#)), Ok(Step::Gap { needs: 50, has: None }));
    assert!(follower.is_stale());
    assert_eq!(follower.feed(&keyframe(2, 51, r#"{"a":1}"#)), Ok(Step::Keyframe));
    assert_eq!(follower.run_id(), Some(&RunId::from_u128(2)));
    assert!(!follower.is_stale());
    assert_eq!(follower.feed(&keyframe(1, 60, r#"{"a":60}"#)), Ok(Step::Old));
    assert_eq!(follower.feed(&diff(1, 50, 51, r#"{"patch":{"a":51}}"#)), Ok(Step::Old));
    assert_eq!(state(&follower), Some((51, object(r#"{"a":1}"#))));
}

#[test]
fn a_late_keyframe_of_an_older_run_does_not_end_the_current_one() {
    // A reader that joined after the restart: it has never seen the older run.
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(2, 5, r#"{"a":5}"#)).unwrap();
    assert_eq!(follower.feed(&keyframe(1, 60, r#"{"a":60}"#)), Ok(Step::Old));
    assert_eq!(follower.feed(&diff(2, 5, 6, r#"{"patch":{"a":6}}"#)), Ok(Step::Diff));
    assert_eq!((follower.run_id(), state(&follower)), (Some(&RunId::from_u128(2)), Some((6, object(r#"{"a":6}"#)))));
    assert!(!follower.is_stale());
}

#[test]
fn a_late_diff_of_an_older_run_does_not_hide_that_a_later_one_began() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"a":1}"#)).unwrap();
    // The keyframe of run 2 is still on its way.
    follower.feed(&diff(2, 1, 2, r#"{"patch":{"a":9}}"#)).unwrap();
    assert_eq!(follower.feed(&diff(1, 1, 2, r#"{"patch":{"a":2}}"#)), Ok(Step::Diff));
    assert!(follower.is_stale(), "a later run is known of");
    // But one line alone, of a run that is never heard of again, does not say so for ever.
    for seq in 2..9 {
        follower.feed(&diff(1, seq, seq + 1, r#"{"patch":{"a":3}}"#)).unwrap();
    }
    assert!(!follower.is_stale());
}

#[test]
fn a_run_that_goes_on_is_current_whatever_its_id_says() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(7, 1, r#"{"a":70}"#)).unwrap();
    // It was started after the clock was put back.
    assert_eq!(follower.feed(&keyframe(3, 1, r#"{"a":1}"#)), Ok(Step::Old));
    for seq in 2..8 {
        assert_eq!(follower.feed(&diff(3, seq - 1, seq, &format!(r#"{{"patch":{{"a":{seq}}}}}"#))), Ok(Step::Old));
    }
    assert_eq!(state(&follower), Some((1, object(r#"{"a":70}"#))));
    assert_eq!(follower.feed(&diff(3, 7, 8, r#"{"patch":{"a":8}}"#)), Ok(Step::Keyframe));
    assert_eq!((follower.run_id(), state(&follower)), (Some(&RunId::from_u128(3)), Some((8, object(r#"{"a":8}"#)))));
    // From now on the other one is the old one.
    assert_eq!(follower.feed(&keyframe(7, 2, r#"{"a":71}"#)), Ok(Step::Old));
    assert_eq!(follower.feed(&diff(3, 8, 9, r#"{"patch":{"a":9}}"#)), Ok(Step::Diff));
    assert!(!follower.is_stale());
}

#[test]
fn old_lines_between_current_ones_never_add_up() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(2, 1, r#"{"a":1}"#)).unwrap();
    for seq in 2..40 {
        assert_eq!(follower.feed(&keyframe(1, seq, r#"{"a":0}"#)), Ok(Step::Old));
        assert_eq!(follower.feed(&diff(2, seq - 1, seq, r#"{"patch":{"a":2}}"#)), Ok(Step::Diff));
    }
    // A broken line of an old run, and a diff that does not fit it, say nothing of the current one.
    assert!(follower.feed(&keyframe(1, 60, r#"{"a":1,"a":2}"#)).is_err());
    assert_eq!(follower.feed(&diff(1, 39, 61, r#"{"patch":{"b":{"c":1}}}"#)), Ok(Step::Old));
    assert!(!follower.is_stale());
}

#[test]
fn other_streams_and_kinds_are_none_of_its_business() {
    let mut follower = Follower::new("town.other");
    assert_eq!(follower.feed(&keyframe(1, 1, r#"{"a":1}"#)), Ok(Step::Other));
    let event = line(1, Kind::Event, 7, LineExtra::default(), r#"{"event":"door","payload":{}}"#);
    assert_eq!(Follower::new("town").feed(&event), Ok(Step::Other));
    assert_eq!(Follower::new("town").feed(br#"{"tick":9,"status":"error","error":"E: x"}"#), Ok(Step::Other));
}

#[test]
fn sections_of_1_0_replace_the_old_ones() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"jobs":{"ann":1,"bob":2},"utilities":{}}"#)).unwrap();
    let sectioned = diff(1, 1, 2, r#"{"changes":{"jobs":{"bob":3}},"removed":["utilities"]}"#);
    assert_eq!(follower.feed(&sectioned), Ok(Step::Diff));
    assert_eq!(state(&follower), Some((2, object(r#"{"jobs":{"bob":3}}"#))));
}

#[test]
fn a_state_that_a_reader_holds_does_not_change_under_it() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"a":1}"#)).unwrap();
    let held = follower.state().unwrap().clone();
    follower.feed(&diff(1, 1, 2, r#"{"patch":{"a":2}}"#)).unwrap();
    assert_eq!(*held.sections, object(r#"{"a":1}"#));
}

#[test]
fn a_line_that_cannot_be_taken_leaves_the_state_and_says_that_it_is_stale() {
    let mut follower = Follower::new("town");
    follower.feed(&keyframe(1, 1, r#"{"a":1}"#)).unwrap();
    assert!(matches!(follower.feed(b"{\"seq\":2"), Err(FollowError::Read(_))));
    assert!(!follower.is_stale(), "nobody knows what it was");
    let error = follower.feed(&diff(1, 1, 2, r#"{"patch":{"b":{"c":1}}}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the diff of seq 2 does not fit its base: b: there is nothing to change; ask for a keyframe"
    );
    assert!(follower.is_stale());
    assert_eq!(state(&follower), Some((1, object(r#"{"a":1}"#))));
    for body in ["{}", r#"{"patch":1}"#, r#"{"changes":1}"#, r#"{"patch":{},"patch":{}}"#] {
        assert!(matches!(follower.feed(&diff(1, 1, 3, body)), Err(FollowError::Read(_))), "{body}");
    }
    assert!(follower.feed(&keyframe(1, 4, r#"{"a":1,"a":2}"#)).is_err());
    follower.feed(&keyframe(1, 3, r#"{"a":3}"#)).unwrap();
    assert!(follower.is_stale(), "4 could not be read, and is known of");
}

#[test]
fn lines_without_a_place_are_refused_with_the_field() {
    let bytes = predecessor();
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let error = Follower::new("town").feed(first).unwrap_err();
    assert_eq!(error.to_string(), "stream: missing, or not what it must be on a snapshot line of 1.0 or later");
    let diff = line(1, Kind::Diff, 2, LineExtra::default(), r#"{"patch":{}}"#);
    let error = Follower::new("town").feed(&diff).unwrap_err();
    assert_eq!(error, FollowError::Envelope { field: "base_seq", kind: Kind::Diff });
}
