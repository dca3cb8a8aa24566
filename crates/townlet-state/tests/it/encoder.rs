//! Keyframe or diff.

use proptest::collection::vec;
use proptest::prelude::*;
use townlet_schema::{Json, Kind, LinePrefix, Object, RunId, SchemaVersion, StateDiff};
use townlet_state::{Cadence, Follower, Reason, Rendered, State, StateEncoder, Step};

use crate::data::{object, town};

/// A state in which only the tick moves.
fn at(seq: u64) -> State {
    let text =
        format!(r#"{{"affordance_runtime":{{"tick":{seq}}},"jobs":{{"ann":{{"shift_state":"idle","wallet":2.5}}}}}}"#);
    State::new(seq, seq + 100, object(&text))
}

fn render(encoder: &mut StateEncoder, state: &State) -> (Rendered, String) {
    let mut body = b"kept".to_vec();
    let rendered = encoder.render(state, &mut body);
    let text = String::from_utf8(body).unwrap();
    (rendered, text.strip_prefix("kept").unwrap().to_owned())
}

fn reasons(encoder: &mut StateEncoder, seqs: std::ops::RangeInclusive<u64>) -> Vec<Option<Reason>> {
    seqs.map(|seq| render(encoder, &at(seq)).0.reason).collect()
}

#[test]
fn a_peer_gets_a_keyframe_first_and_then_diffs_against_what_it_has() {
    let mut encoder = StateEncoder::new(Cadence::default());
    let (first, body) = render(&mut encoder, &at(1));
    assert_eq!((first.kind, first.seq, first.tick, first.base_seq), (Kind::Snapshot, 1, 101, None));
    assert_eq!((first.rendering, first.reason), (Some(0), Some(Reason::NoBase)));
    assert_eq!(object(&body), *at(1).sections);
    let (second, body) = render(&mut encoder, &at(2));
    assert_eq!((second.kind, second.seq, second.tick, second.base_seq), (Kind::Diff, 2, 102, Some(1)));
    assert_eq!((second.rendering, second.reason), (None, None));
    assert_eq!(body, r#"{"patch":{"affordance_runtime":{"tick":2}}}"#);
    // States that back-pressure shed are simply not the base.
    let (later, body) = render(&mut encoder, &at(9));
    assert_eq!((later.seq, later.base_seq), (9, Some(2)));
    assert_eq!(body, r#"{"patch":{"affordance_runtime":{"tick":9}}}"#);
    assert_eq!((encoder.keyframes(), encoder.diffs()), (1, 2));
}

#[test]
fn a_lost_connection_a_request_and_a_withdrawn_state_bring_a_keyframe() {
    let mut encoder = StateEncoder::new(Cadence::default());
    assert_eq!(reasons(&mut encoder, 1..=2), [Some(Reason::NoBase), None]);
    encoder.connection_lost();
    assert_eq!(encoder.base(), None);
    assert_eq!(reasons(&mut encoder, 3..=4), [Some(Reason::NoBase), None]);
    encoder.request_keyframe();
    assert_eq!(reasons(&mut encoder, 5..=6), [Some(Reason::Requested), None]);
    encoder.withdraw(6);
    assert_eq!(reasons(&mut encoder, 7..=8), [Some(Reason::NoBase), None]);
    // Long before what the peer has: the base has it in it.
    encoder.withdraw(3);
    assert_eq!(encoder.base(), None, "what came after a state that did not arrive was based on it");
    reasons(&mut encoder, 9..=9);
    encoder.withdraw(10);
    assert_eq!(encoder.base().map(|base| base.seq), Some(9), "a state that was never rendered");
}

#[test]
fn a_peer_that_may_be_ahead_of_the_base_gets_no_diff_across_what_it_may_have() {
    let mut encoder = StateEncoder::new(Cadence::default());
    assert_eq!(reasons(&mut encoder, 1..=4), [Some(Reason::NoBase), None, None, None]);
    // It got all four, and nobody heard of it. Of what is sent again, number 3 is shed.
    encoder.connection_lost();
    assert_eq!(reasons(&mut encoder, 1..=2), [Some(Reason::NoBase), None]);
    assert_eq!(reasons(&mut encoder, 4..=6), [Some(Reason::Ahead), None, None]);
    // Now it has what the encoder thinks: what is shed costs no keyframe.
    assert_eq!(reasons(&mut encoder, 9..=9), [None]);
    // State 10 went there by another way, and then the connection was lost as well.
    encoder.bypassed(10);
    assert_eq!(encoder.base(), None);
    encoder.connection_lost();
    assert_eq!(reasons(&mut encoder, 9..=9), [Some(Reason::NoBase)]);
    assert_eq!(reasons(&mut encoder, 11..=12), [Some(Reason::Ahead), None]);
}

/// One connection: how far behind the newest state it begins, how many states are shed before each
/// that it takes, how many of those get there, and how many of the others come when the next one is open.
type Connection = (u64, Vec<u64>, usize, usize);

fn connections() -> impl Strategy<Value = Vec<Connection>> {
    let shed = prop_oneof![3 => Just(0_u64), 1 => 1..4_u64];
    vec((0..5_u64, vec(shed, 1..7), 0..7_usize, 0..4_usize), 1..6)
}

proptest! {
    #[test]
    fn over_whatever_connections_no_diff_misses_its_base(connections in connections(), at in 0..7_usize) {
        let run = RunId::from_u128(1);
        let mut encoder = StateEncoder::new(Cadence::default());
        let mut peer = Follower::new("town");
        let mut late: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut newest = 0;
        let last = connections.len();
        for (number, (back, takes, there, of_the_rest)) in connections.into_iter().enumerate() {
            encoder.connection_lost();
            let mut seq = newest - back.min(newest);
            let mut lines = Vec::new();
            for shed in takes {
                seq += 1 + shed;
                let (rendered, body) = render(&mut encoder, &at_seq(seq));
                let (prefix, mut line) = (LinePrefix::new(SchemaVersion::CURRENT, rendered.kind, &run, "town"), Vec::new());
                prefix.write_line(seq, rendered.tick, rendered.extra(), body.as_bytes(), &mut line);
                lines.push((seq, line));
            }
            newest = newest.max(seq);
            let there = if number + 1 == last { lines.len() } else { there.min(lines.len()) };
            for (index, (seq, line)) in lines[..there].iter().enumerate() {
                if index == at {
                    for (_, line) in late.drain(..) {
                        peer.feed(&line).unwrap();
                    }
                }
                let before = peer.state().map(|state| state.seq);
                let step = peer.feed(line).unwrap();
                prop_assert!(!matches!(step, Step::Gap { .. }), "{seq} at {before:?}: {step:?}");
                prop_assert!(peer.state().is_some_and(|state| state.seq >= *seq), "{seq} at {before:?}");
            }
            let end = lines.len().min(there + of_the_rest);
            late.extend(lines.drain(there..end));
        }
    }
}

/// As [`at`], with a body that no diff is longer than.
fn at_seq(seq: u64) -> State {
    let jobs = Object::from_iter([("ann", "idle at the counter of the corner shop"), ("bob", "asleep")]);
    let sections = [("jobs", Json::Object(jobs)), ("weather", Json::Object(Object::from_iter([("rain", seq)])))];
    State::new(seq, seq + 100, Object::from_iter(sections))
}

#[test]
fn a_keyframe_comes_after_so_many_diffs_or_bytes() {
    let mut encoder = StateEncoder::new(Cadence { keyframe_every: 3, keyframe_bytes: 0 });
    let expected = [Some(Reason::NoBase), None, None, None, Some(Reason::Due), None, None, None, Some(Reason::Due)];
    assert_eq!(reasons(&mut encoder, 1..=9), expected);
    // Diffs of 43 bytes.
    let mut encoder = StateEncoder::new(Cadence { keyframe_every: 0, keyframe_bytes: 50 });
    assert_eq!(reasons(&mut encoder, 1..=5), [Some(Reason::NoBase), None, None, Some(Reason::Due), None]);
}

#[test]
fn a_state_that_changed_altogether_travels_whole() {
    let mut encoder = StateEncoder::new(Cadence::default());
    render(&mut encoder, &State::new(1, 1, object(r#"{"a":"one text","b":{"c":[1,2,3]}}"#)));
    let (other, body) = render(&mut encoder, &State::new(2, 2, object(r#"{"d":"another","e":{"f":[4,5,6]}}"#)));
    assert_eq!((other.kind, other.reason), (Kind::Snapshot, Some(Reason::NoShorter)));
    assert_eq!(body, r#"{"d":"another","e":{"f":[4,5,6]}}"#);
    // Too deep for a diff, and not for a keyframe.
    let deep = format!("{}1{}", r#"{"a":"#.repeat(128), "}".repeat(128));
    let (deep, body) = render(&mut encoder, &State::new(3, 3, object(&deep)));
    assert_eq!(deep.reason, Some(Reason::NoShorter));
    assert!(Json::parse(body.as_bytes()).is_ok());
}

#[test]
fn a_state_out_of_order_is_no_base_for_a_diff() {
    let mut encoder = StateEncoder::new(Cadence::default());
    reasons(&mut encoder, 5..=6);
    assert_eq!(reasons(&mut encoder, 6..=6), [Some(Reason::OutOfOrder)]);
    assert_eq!(reasons(&mut encoder, 4..=4), [Some(Reason::OutOfOrder)]);
}

#[test]
fn each_rendering_of_a_state_has_its_own_number() {
    let mut encoder = StateEncoder::new(Cadence::default());
    let (first, _) = render(&mut encoder, &at(1));
    render(&mut encoder, &at(2));
    let mut body = Vec::new();
    let again = encoder.refresh(&mut body).unwrap();
    assert_eq!((first.seq, first.rendering), (1, Some(0)));
    // State 2 went as a diff: this is its first rendering whole.
    assert_eq!((again.seq, again.tick, again.rendering), (2, 102, Some(0)));
    assert_eq!(object(std::str::from_utf8(&body).unwrap()), *at(2).sections);
    assert_eq!(encoder.refresh(&mut body).and_then(|again| again.rendering), Some(1));
    // Sent again after a reconnect, as long as nobody confirmed it.
    encoder.connection_lost();
    assert_eq!(encoder.refresh(&mut body), None);
    assert_eq!(render(&mut encoder, &at(1)).0.rendering, Some(1));
    assert_eq!(render(&mut encoder, &at(2)).0.base_seq, Some(1));
    encoder.settled(2);
    assert_eq!(encoder.refresh(&mut body).and_then(|again| again.rendering), Some(2), "the latest is remembered");
}

#[test]
fn what_is_remembered_of_renderings_is_bounded() {
    let mut encoder = StateEncoder::new(Cadence { keyframe_every: 1, keyframe_bytes: 0 });
    for seq in 1..=20_000 {
        encoder.connection_lost();
        let (rendered, _) = render(&mut encoder, &at(seq));
        assert_eq!(rendered.rendering, Some(0));
    }
    encoder.connection_lost();
    assert_eq!(render(&mut encoder, &at(20_000)).0.rendering, Some(1));
    encoder.connection_lost();
    assert_eq!(render(&mut encoder, &at(1)).0.rendering, Some(0), "forgotten: settled long ago");
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut encoder = StateEncoder::new(Cadence { keyframe_every: 10, keyframe_bytes: 0 });
        let mut all = Vec::new();
        for (state, seq) in town().into_iter().zip(1..) {
            let rendered = encoder.render(&State::new(seq, seq, state), &mut all);
            all.extend_from_slice(format!("{rendered:?}").as_bytes());
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn peers_that_have_different_states_get_different_diffs_of_the_same_state() {
    let states: Vec<State> =
        town().into_iter().zip(1..).map(|(sections, seq)| State::new(seq, seq, sections)).collect();
    // One peer takes every state, one every third: both end where the producer is.
    for every in [1, 3] {
        let mut encoder = StateEncoder::new(Cadence::default());
        let mut peer = Object::new();
        for state in states.iter().filter(|state| state.seq % every == 0) {
            let (rendered, body) = render(&mut encoder, state);
            if rendered.is_keyframe() {
                peer = object(&body);
            } else {
                StateDiff::from_body(object(&body)).unwrap().apply(&mut peer).unwrap();
            }
            assert_eq!(peer, *state.sections);
        }
        assert!(encoder.diffs() > 5 && encoder.keyframes() < 3, "{encoder:?}");
    }
}
