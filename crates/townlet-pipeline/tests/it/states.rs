//! States on their way: diffs for each peer, coalesced ones, and those for old readers.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use townlet_pipeline::{
    Backpressure, Cadence, NoReceipt, Options, SinkInfo, SpillOptions, SpillSettings, StateForm, TapOptions, Telemetry,
};
use townlet_schema::snapshot::{PolicyIdentity, WorldEvent};
use townlet_schema::{ENVELOPE_KEYS, Json, Kind, Object, Snapshot, read_head};
use townlet_state::{Follower, Step as Followed};
use townlet_testkit::{Script, Step};
use townlet_transport::{ErrorKind, Level, Transport};

use crate::fakes::{PATIENCE, With, books, builder, delivered, drops, eager, eventually, lazy, ms, order, text};

/// A town with some prices that stay, one that moves, an event of the tick and a secret.
fn town(tick: u64) -> Snapshot {
    let economy_settings = (0..40).map(|n| (format!("price_{n}"), f64::from(n) + 0.1)).collect();
    let mut town = Snapshot { economy_settings, ..Snapshot::default() };
    town.economy_settings.insert("moving".into(), tick as f64 / 3.0);
    if !tick.is_multiple_of(3) {
        town.economy_settings.insert(format!("only_{}", tick % 5), -0.0);
    }
    town.events = vec![WorldEvent { event: "chat".into(), tick, fields: Object::new() }];
    let secret = Some(format!("secret-{tick}"));
    town.policy_identity = Some(PolicyIdentity { policy_hash: secret, ..PolicyIdentity::default() });
    town
}

/// The states that these lines say, by number, each whole.
fn whole_states(lines: &[Bytes]) -> BTreeMap<u64, Object> {
    let states = lines.iter().filter_map(|line| {
        let head = read_head(line).unwrap();
        (head.payload_type == Some(Kind::Snapshot)).then(|| {
            let mut sections = Json::parse(line).unwrap().as_object().unwrap().clone();
            sections.retain(|key, _| !ENVELOPE_KEYS.contains(&key));
            (head.seq.unwrap(), sections)
        })
    });
    states.collect()
}

/// Follows the lines as a reader does, who has all of them; gives each state that it saw.
fn followed(lines: &[Bytes]) -> BTreeMap<u64, Object> {
    let mut follower = Follower::new("town");
    let mut seen = BTreeMap::new();
    for line in lines {
        let step = follower.feed(line).unwrap();
        assert!(!matches!(step, Followed::Gap { .. }), "{step:?} at {}", String::from_utf8_lossy(line));
        if step != Followed::Other {
            assert!(!follower.is_stale());
            let state = follower.state().unwrap();
            seen.insert(state.seq, Object::clone(&state.sections));
        }
    }
    seen
}

fn kinds(lines: &[Bytes]) -> Vec<Kind> {
    lines.iter().map(|line| read_head(line).unwrap().payload_type.unwrap()).collect()
}

const DIFFS: StateForm = StateForm::Diffs(Cadence { keyframe_every: 0, keyframe_bytes: 0 });

#[test]
fn a_sink_with_diffs_gets_one_whole_state_and_then_what_leads_exactly_to_each_next_one() {
    let (diffs, whole) = (Script::new(), Script::new());
    let telemetry = builder()
        .scripted(eager("main"), &diffs)
        .scripted(eager("side"), &whole)
        .states("main", DIFFS)
        .start()
        .unwrap();
    for tick in 1..=50 {
        telemetry.emit_snapshot(tick, town(tick)).unwrap();
        telemetry.emit_named("door", tick, Json::from("open")).unwrap();
    }
    delivered(&telemetry, "main", 100);
    delivered(&telemetry, "side", 100);
    let (diffs, whole) = (diffs.received(), whole.received());
    let expected = whole_states(&whole);
    assert_eq!(expected.len(), 50, "the other sink has them whole");
    assert_eq!(followed(&diffs), expected);
    let counts = |of: Kind| kinds(&diffs).iter().filter(|kind| **kind == of).count();
    assert_eq!((counts(Kind::Snapshot), counts(Kind::Diff), counts(Kind::Event)), (1, 49, 50));
    let status = telemetry.latest_transport_status();
    assert_eq!((status.keyframes_sent, status.residual), (1, 0));
    let sizes = |lines: &[Bytes]| lines.iter().map(|line| line.len() as u64).sum::<u64>();
    assert_eq!(status.bytes_flushed_total, sizes(&diffs), "what was sent, not what it stands for");
    assert!(sizes(&diffs) * 3 < sizes(&whole));
    for line in text(&diffs).iter().chain(&text(&whole)) {
        assert!(!line.contains("secret-"), "{line}");
    }
}

#[test]
fn values_and_ready_bytes_of_a_stream_make_the_same_states() {
    let of = |emit: &dyn Fn(&Telemetry, u64)| {
        let script = Script::new();
        let telemetry = builder().scripted(eager("main"), &script).states("main", DIFFS).start().unwrap();
        (1..=10).for_each(|tick| emit(&telemetry, tick));
        delivered(&telemetry, "main", 10);
        script.received()
    };
    let values = of(&|telemetry, tick| assert_eq!(telemetry.emit_snapshot(tick, town(tick)).unwrap().seq, tick));
    let named =
        of(&|telemetry, tick| assert_eq!(telemetry.emit_event("loop.tick", tick, &town(tick)).unwrap().seq, tick));
    assert_eq!(text(&values), text(&named));
}

#[test]
fn a_new_connection_and_a_rejected_line_are_followed_by_a_whole_state() {
    let script = Script::new();
    let telemetry = builder().scripted(eager("main"), &script).states("main", DIFFS).start().unwrap();
    let emit = |ticks: std::ops::RangeInclusive<u64>| {
        for tick in ticks {
            telemetry.emit_snapshot(tick, town(tick)).unwrap();
            eventually("it is settled", || books(&telemetry, "main").buffered == 0);
        }
    };
    emit(1..=2);
    script.cut(ErrorKind::Disconnected);
    emit(3..=4);
    script.then(Step::Fail { settled: 0, kind: ErrorKind::Rejected });
    emit(5..=7);
    let heads = script.received();
    let heads: Vec<_> = heads.iter().map(|line| read_head(line).unwrap()).collect();
    let seen: Vec<_> = heads.iter().map(|head| (head.seq.unwrap(), head.base_seq)).collect();
    assert_eq!(seen, [(1, None), (2, Some(1)), (3, None), (4, Some(3)), (6, None), (7, Some(6))]);
    assert_eq!(drops(&books(&telemetry, "main")), BTreeMap::from([("rejected".to_owned(), 1)]));
    assert_eq!(telemetry.latest_transport_status().keyframes_sent, 3);
}

#[test]
fn a_keyframe_comes_as_often_as_it_is_asked_for() {
    let script = Script::new();
    let every = StateForm::Diffs(Cadence { keyframe_every: 3, keyframe_bytes: 0 });
    let telemetry = builder().scripted(eager("main"), &script).states("main", every).start().unwrap();
    for tick in 1..=9 {
        telemetry.emit_snapshot(tick, town(tick)).unwrap();
    }
    delivered(&telemetry, "main", 9);
    let whole: Vec<u64> = whole_states(&script.received()).into_keys().collect();
    assert_eq!(whole, [1, 5, 9]);
}

fn coalescing(name: &str) -> Options {
    Options { backpressure: Backpressure::Coalesce, max_queue_length: 8, max_batch_size: 1, ..eager(name) }
}

#[test]
fn states_that_find_no_room_merge_and_events_of_their_ticks_are_kept() {
    for form in [StateForm::Whole, DIFFS] {
        let script = Script::new();
        let telemetry = builder().scripted(coalescing("main"), &script).states("main", form).start().unwrap();
        let mut tap = telemetry.tap(&TapOptions { kinds: vec![Kind::Snapshot], ..TapOptions::default() });
        let mut rendered = |seq| {
            let frame = tap.next(PATIENCE).unwrap();
            assert_eq!(frame.seq(), seq);
        };
        script.hold_next_send();
        telemetry.emit_snapshot(1, town(1)).unwrap();
        rendered(1);
        assert!(script.wait_until_held(PATIENCE));
        let orders = telemetry.stream("orders").unwrap();
        for id in 1..=4 {
            orders.emit(id, order(id)).unwrap();
        }
        for tick in 2..=40 {
            let seq = telemetry.emit_snapshot(tick, town(tick)).unwrap();
            assert_eq!((seq.seq, seq.dropped), (tick, None));
            // Each is rendered before the next one comes: what waits to be rendered cannot merge.
            rendered(tick);
            assert_eq!(books(&telemetry, "main").residual(), 0);
        }
        script.release();
        eventually("all is settled", || books(&telemetry, "main").buffered == 0);
        let statement = books(&telemetry, "main");
        let account = statement.account;
        assert_eq!((account.accepted(), statement.residual()), (44, 0));
        assert!(account.coalesced() > 20, "{statement:?}");
        assert_eq!(account.dropped(), 0, "no event had to go: {statement:?}");
        let states = followed(&script.received());
        let (last, state) = states.last_key_value().unwrap();
        let moving = state.get("economy_settings").unwrap().get("moving").unwrap().as_number().map(|n| n.as_f64());
        assert_eq!((*last, moving), (40, Some(40.0 / 3.0)));
        let events = states.values().flat_map(|state| state.get("events").unwrap().as_array().unwrap().to_vec());
        let ticks: Vec<u64> = events.map(|event| event.get("tick").unwrap().as_u64().unwrap()).collect();
        assert!(ticks.into_iter().eq(1..=40), "each event of each tick, once and in order");
        assert_eq!(telemetry.latest_transport_status().coalesced, account.coalesced());
    }
}

#[test]
fn a_sink_for_old_readers_gets_states_in_their_form_and_nothing_else() {
    let (old, new) = (Script::new(), Script::new());
    let telemetry = builder()
        .scripted(eager("main"), &new)
        .scripted(eager("old"), &old)
        .states("old", StateForm::Legacy(Cadence::default()))
        .start()
        .unwrap();
    for tick in 1..=3 {
        telemetry.emit_snapshot(tick, town(tick)).unwrap();
        telemetry.emit_named("door", tick, Json::Null).unwrap();
    }
    delivered(&telemetry, "main", 6);
    delivered(&telemetry, "old", 3);
    assert_eq!(books(&telemetry, "old").account.accepted(), 3, "the others are not on its books");
    let lines = text(&old.received());
    assert!(lines[0].starts_with(r#"{"schema_version":"0.9.7","tick":1,"payload_type":"snapshot","#), "{}", lines[0]);
    assert!(lines[2].starts_with(r#"{"schema_version":"0.9.7","tick":3,"payload_type":"diff","changes":{"#));
    assert!(lines.iter().all(|line| !line.contains("secret-")));
    assert_eq!(whole_states(&new.received()).len(), 3);
}

#[test]
fn states_that_went_through_a_spill_are_whole_and_diffs_go_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.fail_next_connects(20, ErrorKind::Unavailable);
    let options = Options {
        backpressure: Backpressure::Spill,
        block_timeout: PATIENCE,
        max_queue_length: 20,
        max_batch_size: 5,
        ..eager("main")
    };
    let spill = SpillSettings { options: SpillOptions::default(), ..SpillSettings::new(folder.path()) };
    let telemetry = builder().scripted(options, &script).spill("main", spill).states("main", DIFFS).start().unwrap();
    for tick in 1..=200 {
        telemetry.emit_snapshot(tick, town(tick)).unwrap();
    }
    delivered(&telemetry, "main", 200);
    for tick in 201..=210 {
        telemetry.emit_snapshot(tick, town(tick)).unwrap();
    }
    delivered(&telemetry, "main", 210);
    let states = followed(&script.received());
    assert!(states.keys().copied().eq(1..=210));
    assert!(kinds(&script.received()).ends_with(&[Kind::Diff; 5]));
}

#[test]
fn a_form_for_a_sink_that_is_not_there_or_fans_out_is_refused() {
    let script = Script::new();
    let refusal = |options: Options, sink: &str, form| {
        let start = builder().scripted(options, &script).states(sink, form).start();
        start.err().map(|error| error.to_string())
    };
    assert!(refusal(eager("main"), "other", DIFFS).unwrap().contains("`other`, which there is not"));
    let fan_out = || Options { backpressure: Backpressure::FanOut, ..eager("main") };
    let legacy = StateForm::Legacy(Cadence::default());
    assert!(refusal(fan_out(), "main", legacy).unwrap().contains("one lane"));
    assert_eq!(refusal(fan_out(), "main", DIFFS), None);
}

/// What happens to one batch, or between two.
fn fault() -> impl Strategy<Value = Option<Step>> {
    let kind = || prop_oneof![Just(ErrorKind::Disconnected), Just(ErrorKind::Unavailable), Just(ErrorKind::Rejected)];
    prop_oneof![
        4 => Just(Some(Step::Take)),
        2 => (0..4usize, kind()).prop_map(|(settled, kind)| Some(Step::Fail { settled, kind })),
        1 => (0..4usize).prop_map(|taken| Some(Step::TakeButFail { taken, kind: ErrorKind::Disconnected })),
        1 => Just(Some(Step::Panic)),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is dropped, cut, refused and sent again: what the reader holds is exactly a state of the producer,
    /// and the last one at the end.
    #[test]
    fn no_pattern_of_losses_and_reconnects_shows_a_reader_anything_but_true_states(
        faults in prop::collection::vec(fault(), 1..40),
        policy in prop_oneof![Just(Backpressure::DropOldest), Just(Backpressure::Coalesce)],
        every in 0..4u32,
    ) {
        let (script, whole) = (Script::new(), Script::new());
        let side = whole.clone();
        let options = Options { backpressure: policy, max_queue_length: 6, max_batch_size: 3, ..eager("main") };
        let telemetry = builder()
            .scripted(options, &script)
            .sink(lazy("side"), SinkInfo::new("script"), move || Ok(Box::new(side.transport()) as Box<dyn Transport>))
            .states("main", StateForm::Diffs(Cadence { keyframe_every: every, keyframe_bytes: 0 }))
            .start()
            .unwrap();
        let ticks = 1..=faults.len() as u64 * 2;
        let mut faults = faults.iter().copied();
        for tick in ticks.clone() {
            match (tick % 2, faults.next()) {
                (_, Some(Some(step))) => script.then(step),
                (_, Some(None)) => script.cut(ErrorKind::Disconnected),
                _ => {}
            }
            telemetry.emit_snapshot(tick, town(tick)).unwrap();
            telemetry.emit_named("door", tick, Json::Null).unwrap();
        }
        telemetry.flush(PATIENCE);
        // All faults are over by the end of this one.
        let last = *ticks.end() + 100;
        for tick in *ticks.end() + 1..=last {
            telemetry.emit_snapshot(tick, town(tick)).unwrap();
            telemetry.flush(PATIENCE);
        }
        let expected = whole_states(&whole.received());
        let seen = followed(&script.received());
        prop_assert_eq!(seen.last_key_value().map(|(seq, _)| *seq), Some(last));
        for (seq, mut state) in seen {
            let mut expected = expected[&seq].clone();
            if policy == Backpressure::Coalesce {
                // It may have the events of earlier ticks in front of its own.
                let (all, own) = (state.remove("events").unwrap(), expected.remove("events").unwrap());
                prop_assert!(all.as_array().unwrap().ends_with(own.as_array().unwrap()));
            }
            prop_assert_eq!(state, expected, "state {}", seq);
        }
        prop_assert_eq!(books(&telemetry, "main").residual(), 0);
        script.assert_contract_kept();
    }
}

#[test]
fn the_receipt_of_a_state_that_another_took_the_place_of_says_so() {
    let script = Script::new();
    let telemetry = builder().scripted(coalescing("main"), &script).start().unwrap();
    script.hold_next_send();
    let states = telemetry.stream::<Snapshot>("states").unwrap();
    states.emit(1, town(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    let (_, receipts) = states.emit_with_receipt(2, town(2)).unwrap();
    let mut tick = 2;
    eventually("it is merged", || {
        tick += 1;
        states.emit(tick, town(tick)).unwrap();
        books(&telemetry, "main").account.coalesced() > 0
    });
    assert_eq!(receipts.wait(Level::Sent, ms(0)), Err(NoReceipt::Coalesced));
    script.release();
}
