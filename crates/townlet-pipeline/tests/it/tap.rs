//! The live tap: what it shows, what it misses, and that nobody else notices.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use townlet_pipeline::{Backpressure, DropReason, Options, Tap, TapOptions, TickHealth};
use townlet_schema::snapshot::PolicyIdentity;
use townlet_schema::{ConsoleResult, Json, Kind, Snapshot};
use townlet_testkit::Script;
use townlet_transform::Dropped;
use townlet_transport::Frame;

use crate::fakes::{
    PATIENCE, With, books, builder, chain, delivered, drops, eager, eventually, lazy, nan, noted, order, single, text,
};

fn everything() -> TapOptions {
    TapOptions::default()
}

fn kinds(kinds: &[Kind]) -> TapOptions {
    TapOptions { kinds: kinds.to_vec(), ..everything() }
}

fn streams(patterns: &[&str]) -> TapOptions {
    TapOptions { streams: patterns.iter().map(|p| (*p).to_owned()).collect(), ..everything() }
}

/// Reads a tap of a pipeline that has been shut down to its end.
fn rest(tap: &mut Tap) -> Vec<Frame> {
    let frames = std::iter::from_fn(|| tap.next(PATIENCE)).collect();
    assert!(tap.is_over());
    frames
}

fn lines(frames: &[Frame]) -> Vec<Bytes> {
    frames.iter().map(|frame| Bytes::copy_from_slice(frame.line())).collect()
}

fn names(frames: &[Frame]) -> BTreeSet<&str> {
    frames.iter().map(|frame| frame.label().stream()).collect()
}

#[test]
fn a_tap_shows_the_bytes_that_the_sinks_get() {
    for sinks in [1, 2] {
        let script = Script::new();
        let mut pipeline = builder().scripted(eager("main"), &script);
        if sinks == 2 {
            pipeline = pipeline.scripted(eager("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let mut tap = telemetry.tap(&everything());
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..500 {
            orders.emit(n, order(n)).unwrap();
            if n % 400 == 0 {
                telemetry.emit_snapshot(n, Snapshot::default()).unwrap();
                telemetry.emit_console(n, ConsoleResult::default()).unwrap();
                // Longer than a shared allocation may be.
                orders.emit(n, noted(n, 100_000)).unwrap();
            }
            // Three ways in: encoded by the stage, by our encoder here, by the host.
            orders.emit_ref(n, &order(n)).unwrap();
            orders.emit_encoded(n, Bytes::from_static(b"{\"event\": \"own\", \"payload\": {}}")).unwrap();
        }
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
        let shown = rest(&mut tap);
        assert!(lines(&shown) == script.received(), "{sinks} sinks");
        assert_eq!(tap.missed(), 0);
        for frame in &shown {
            let head = townlet_schema::read_head(frame.line()).unwrap();
            assert_eq!(head.stream.as_deref(), Some(frame.label().stream()));
            assert_eq!(head.run_id.as_deref(), Some(frame.label().run_id()));
            assert_eq!((head.seq, head.tick), (Some(frame.seq()), Some(frame.tick())));
            assert_eq!(head.payload_type.unwrap().as_str(), frame.kind());
        }
    }
}

#[test]
fn what_was_redacted_or_refused_is_not_shown() {
    let refuse = |record: &mut townlet_transform::Record| match record.event() {
        Some("secret") => {
            Err(Dropped::new(townlet_transform::DropReason::Transform("secret".into()), "not for others"))
        }
        _ => Ok(()),
    };
    let script = Script::new();
    let telemetry = builder().transforms(chain(refuse)).scripted(eager("main"), &script).start().unwrap();
    let mut tap = telemetry.tap(&everything());
    let identity = PolicyIdentity { policy_hash: Some("c0ffee-planted".into()), ..PolicyIdentity::default() };
    for tick in 1..=20 {
        let policy_identity = Some(identity.clone());
        telemetry.emit_snapshot(tick, Snapshot { policy_identity, ..Snapshot::default() }).unwrap();
        let nested = Json::parse(br#"{"policy_hash":"c0ffee-planted","provider":"ppo"}"#).unwrap();
        telemetry.emit_named("policy.metadata", tick, nested).unwrap();
        telemetry.emit_named("secret", tick, Json::Null).unwrap();
        telemetry.stream("orders").unwrap().emit(tick, nan()).unwrap();
    }
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(drops(&last.sinks[0].1).values().sum::<u64>(), 40);
    let shown = rest(&mut tap);
    assert_eq!(shown.len(), 40);
    for line in text(&lines(&shown)) {
        assert!(!line.contains("c0ffee") && !line.contains("secret"), "{line}");
    }
    assert_eq!(lines(&shown), script.received());
}

#[test]
fn a_filter_takes_kinds_and_streams() {
    let (telemetry, _) = single(Options { max_buffer_bytes: 64 << 20, ..eager("main") });
    let mut healths = telemetry.tap(&kinds(&[Kind::Health, Kind::Failure]));
    let mut dotted = telemetry.tap(&streams(&["town.o*s", "nowhere"]));
    let both = TapOptions { kinds: vec![Kind::Event], ..streams(&["town.health", "town.events"]) };
    let mut both = telemetry.tap(&both);
    let mut nothing = telemetry.tap(&kinds(&[Kind::Diff]));
    for tick in 1..=100 {
        telemetry.tick_health(tick, &TickHealth::default()).unwrap();
        telemetry.emit_named("door", tick, Json::Null).unwrap();
        telemetry.emit_snapshot(tick, Snapshot::default()).unwrap();
        telemetry.stream("orders").unwrap().emit(tick, order(tick)).unwrap();
        // Alone in its allocation.
        telemetry.stream("orders").unwrap().emit(tick, noted(tick, 100_000)).unwrap();
    }
    let _ = telemetry.shutdown(PATIENCE);
    let shown = rest(&mut healths);
    assert_eq!((shown.len(), names(&shown)), (100, ["town.health"].into()));
    let shown = rest(&mut dotted);
    assert_eq!((shown.len(), names(&shown)), (200, ["town.orders"].into()));
    let shown = rest(&mut both);
    assert_eq!((shown.len(), names(&shown)), (100, ["town.events"].into()));
    assert!(rest(&mut nothing).is_empty());
    assert_eq!(healths.missed() + dotted.missed() + both.missed() + nothing.missed(), 0);
}

#[test]
fn a_tap_that_nobody_reads_costs_the_sinks_nothing() {
    let options = Options { backpressure: Backpressure::Block, block_timeout: PATIENCE, ..eager("main") };
    let (telemetry, script) = single(options);
    let mut slow = telemetry.tap(&TapOptions { capacity: 10, ..everything() });
    let mut narrow = telemetry.tap(&TapOptions { max_bytes: 1, ..everything() });
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..50_000 {
        orders.emit(n, order(n)).unwrap();
    }
    delivered(&telemetry, "main", 50_000);
    let statement = books(&telemetry, "main");
    assert_eq!(
        (statement.account.accepted(), statement.account.delivered(), statement.residual()),
        (50_000, 50_000, 0)
    );
    assert_eq!(script.received_seqs(), (1..=50_000).collect::<Vec<_>>());
    let _ = telemetry.shutdown(PATIENCE);
    for tap in [&mut slow, &mut narrow] {
        let shown = rest(tap).len() as u64;
        assert!((1..=10 + 256).contains(&shown), "the bound and at most one batch: {shown}");
        assert_eq!(shown + tap.missed(), 50_000);
    }
}

#[test]
fn taps_come_and_go_by_themselves() {
    let (telemetry, script) = single(eager("main"));
    let orders = telemetry.stream("orders").unwrap();
    let mut first = telemetry.tap(&everything());
    orders.emit(1, order(1)).unwrap();
    assert_eq!(first.next(PATIENCE).unwrap().seq(), 1);
    let mut second = telemetry.tap(&everything());
    orders.emit(2, order(2)).unwrap();
    assert_eq!(first.next(PATIENCE).unwrap().seq(), 2);
    assert_eq!(second.next(PATIENCE).unwrap().seq(), 2, "nothing from before it came");
    drop(first);
    orders.emit(3, order(3)).unwrap();
    assert_eq!(second.next(PATIENCE).unwrap().seq(), 3);
    assert!(second.next(Duration::ZERO).is_none() && !second.is_over(), "nothing there is not the end");
    drop(second);
    orders.emit(4, order(4)).unwrap();
    assert!(script.wait_for_lines(4, PATIENCE));
    let mut last = telemetry.tap(&everything());
    let _ = telemetry.shutdown(PATIENCE);
    assert!(rest(&mut last).is_empty());
    let mut late = telemetry.tap(&everything());
    assert!(late.next(PATIENCE).is_none() && late.is_over(), "of a pipeline that has ended");
}

#[test]
fn a_tap_ends_with_the_last_handle_too() {
    let (telemetry, _) = single(eager("main"));
    let mut tap = telemetry.tap(&everything());
    drop(telemetry);
    assert!(tap.next(PATIENCE).is_none() && tap.is_over());
}

#[test]
fn captured_lines_keep_their_identity_on_a_tap() {
    let (telemetry, script) = single(eager("main"));
    let mut tap = telemetry.tap(&everything());
    let replay = telemetry.replay().unwrap();
    for tick in 1..=3 {
        replay.emit_line(Bytes::from(format!(r#"{{"schema_version":"0.9.0","tick":{tick}}}"#))).unwrap();
    }
    let own = r#"{"schema_version":"1.0.0","payload_type":"event","run_id":"r","stream":"s","seq":9,"tick":4,"event":"e","payload":{}}"#;
    replay.emit_line(Bytes::from(own)).unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let shown = rest(&mut tap);
    assert_eq!(lines(&shown), script.received());
    let identities: Vec<_> = shown.iter().map(|f| (f.label().stream(), f.kind(), f.seq(), f.tick())).collect();
    let older = |n| ("town.replay", "snapshot", n, n);
    assert_eq!(identities, [older(1), older(2), older(3), ("s", "event", 9, 4)]);
}

#[test]
fn a_tap_shows_what_a_dead_sink_does_not_deliver() {
    let script = Script::new();
    script.fail_next_connects(100_000, townlet_transport::ErrorKind::Unavailable);
    let limits = Options { max_buffer_bytes: 20_000, ..eager("main") };
    let telemetry = builder().scripted(limits, &script).scripted(eager("other"), &Script::new()).start().unwrap();
    let mut tap = telemetry.tap(&everything());
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..2000 {
        orders.emit(n, order(n)).unwrap();
    }
    delivered(&telemetry, "other", 2000);
    assert!(books(&telemetry, "main").account.dropped_for(DropReason::Backpressure) > 0);
    let last = telemetry.shutdown(Duration::from_millis(50));
    assert_eq!(last.residual(), 0);
    let shown = rest(&mut tap);
    assert!(shown.iter().map(Frame::seq).eq(1..=2000));
}

#[test]
fn taps_that_come_and_go_while_producers_emit_lose_nothing_uncounted() {
    let options = Options { backpressure: Backpressure::Block, block_timeout: PATIENCE, ..eager("main") };
    let (telemetry, script) = single(options);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let whole = scope.spawn(|| {
            let mut tap = telemetry.tap(&TapOptions { capacity: 300, ..everything() });
            // Not before the tap is there.
            let orders = telemetry.stream("orders").unwrap();
            for n in 0..30_000 {
                orders.emit(n, order(n)).unwrap();
            }
            done.store(true, Ordering::Release);
            let mut shown = 0;
            // Where the last ones were missed, no frame comes that would say so: it is not waited for.
            let late = Instant::now() + PATIENCE;
            while shown + tap.missed() < 30_000 {
                shown += u64::from(tap.next(Duration::from_millis(10)).is_some());
                assert!(Instant::now() < late, "shown {shown}, missed {}", tap.missed());
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let mut tap = telemetry.tap(&TapOptions { capacity: 1, ..everything() });
                    let mut expected = None;
                    for _ in 0..50 {
                        let Some(frame) = tap.next(Duration::from_millis(1)) else { continue };
                        let gone = tap.missed();
                        let (from, missed) = *expected.get_or_insert((frame.seq(), gone));
                        assert_eq!(frame.seq(), from + gone - missed, "the gap is what was missed");
                        expected = Some((frame.seq() + 1, gone));
                    }
                }
            });
        }
        whole.join().unwrap();
    });
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.sinks[0].1.account.delivered(), last.residual()), (30_000, 0));
    assert_eq!(script.received_seqs().len(), 30_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against the model: of one stream, the number of each frame is one more than
    /// what was shown and what was missed before it.
    #[test]
    fn shown_and_missed_together_are_what_was_emitted(
        capacity in 1usize..600,
        steps in prop::collection::vec((1u64..400, 0usize..500, any::<bool>()), 1..12),
    ) {
        let (telemetry, _) = single(lazy("main"));
        let mut tap = telemetry.tap(&TapOptions { capacity, ..everything() });
        let orders = telemetry.stream("orders").unwrap();
        let (mut emitted, mut shown) = (0, 0);
        for (emit, read, long) in steps {
            for n in 0..emit {
                // A long one stands apart from its batch, and its neighbours with it.
                let len = if long && n == 7 { 70_000 } else { 0 };
                orders.emit(1, noted(n, len)).unwrap();
            }
            emitted += emit;
            eventually("it is all sent", || telemetry.flush(PATIENCE));
            for _ in 0..read {
                let Some(frame) = tap.next(Duration::ZERO) else { break };
                shown += 1;
                prop_assert_eq!(frame.seq(), shown + tap.missed());
            }
        }
        let _ = telemetry.shutdown(PATIENCE);
        let waiting = rest(&mut tap);
        prop_assert!(waiting.len() < capacity + 256);
        prop_assert_eq!(shown + waiting.len() as u64 + tap.missed(), emitted);
        if let Some(last) = waiting.last() {
            prop_assert!(last.seq() <= emitted);
        }
    }
}
