//! Transports that are exchanged while the pipeline runs.

use townlet_pipeline::{DropReason, Options, ReplaceError, SinkInfo, Telemetry};
use townlet_testkit::Script;
use townlet_transport::{ErrorKind, Transport};

use crate::fakes::{PATIENCE, With, books, builder, delivered, eager, eventually, ms, order};

fn replace(telemetry: &Telemetry, sink: &str, script: &Script, trial: u32) -> Result<(), ReplaceError> {
    let script = script.clone();
    let make = move || Ok(Box::new(script.transport()) as Box<dyn Transport>);
    telemetry.replace_transport(sink, SinkInfo::new("other"), trial, make)
}

fn emit(telemetry: &Telemetry, ids: std::ops::Range<u64>) {
    let orders = telemetry.stream("orders").unwrap();
    for id in ids {
        orders.emit(id, order(id)).unwrap();
    }
}

/// The distinct numbers that two peers got, and whether either got one twice.
fn seen(scripts: &[&Script]) -> Vec<u64> {
    let mut all: Vec<u64> = scripts.iter().flat_map(|script| script.received_seqs()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_swap_under_load_loses_nothing() {
    for acked in [false, true] {
        let (old, new) = (Script::new(), Script::new());
        if acked {
            old.acknowledge_by_hand();
        }
        let telemetry = builder().scripted(eager("main"), &old).start().unwrap();
        emit(&telemetry, 0..300);
        assert!(old.wait_for_lines(1, PATIENCE));
        replace(&telemetry, "main", &new, 3).unwrap();
        emit(&telemetry, 300..600);
        delivered(&telemetry, "main", 600);
        assert_eq!(seen(&[&old, &new]), (1..=600).collect::<Vec<_>>(), "acked: {acked}");
        assert!(!new.received().is_empty() && old.closes() > 0);
        assert_eq!(telemetry.latest_transport_status().provider, "other");
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!((last.residual(), last.sinks[0].1.account.dropped()), (0, 0));
    }
}

#[test]
fn a_transport_that_fails_its_trial_gives_way_to_the_last_good_one() {
    for panics in [false, true] {
        let (old, new) = (Script::new(), Script::new());
        if panics {
            (0..3).for_each(|_| new.panic_on_send(1));
        } else {
            new.fail_next_connects(1000, ErrorKind::Unavailable);
        }
        let telemetry = builder().scripted(Options { restart_limit: 1, ..eager("main") }, &old).start().unwrap();
        emit(&telemetry, 0..10);
        delivered(&telemetry, "main", 10);
        replace(&telemetry, "main", &new, 1).unwrap();
        emit(&telemetry, 10..50);
        delivered(&telemetry, "main", 50);
        assert!(new.received().is_empty() && old.received_seqs().into_iter().eq(1..=50), "panics: {panics}");
        assert_eq!(telemetry.latest_transport_status().provider, "script");
        assert!(telemetry.latest_transport_status().worker_alive);
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    }
}

#[test]
fn one_bad_transport_after_the_other_leads_back_to_the_last_that_delivered() {
    let (good, bad, worse) = (Script::new(), Script::new(), Script::new());
    bad.fail_next_connects(1000, ErrorKind::Tls);
    worse.fail_next_connects(1000, ErrorKind::Misconfigured);
    let slow = Options { backoff: ms(200), max_backoff: ms(200), ..eager("main") };
    let telemetry = builder().scripted(slow, &good).start().unwrap();
    emit(&telemetry, 0..1);
    delivered(&telemetry, "main", 1);
    replace(&telemetry, "main", &bad, 1000).unwrap();
    emit(&telemetry, 1..5);
    assert!(bad.wait_for_connect_attempts(1, PATIENCE));
    replace(&telemetry, "main", &worse, 0).unwrap();
    delivered(&telemetry, "main", 5);
    assert!(good.received_seqs().into_iter().eq(1..=5));
    // A transport that delivered is the one to go back to from then on.
    let better = Script::new();
    replace(&telemetry, "main", &better, 0).unwrap();
    emit(&telemetry, 5..6);
    delivered(&telemetry, "main", 6);
    replace(&telemetry, "main", &worse, 0).unwrap();
    emit(&telemetry, 6..7);
    delivered(&telemetry, "main", 7);
    assert_eq!(better.received_seqs(), [6, 7]);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn sinks_that_are_not_there_keep_no_transport() {
    let telemetry = builder().scripted(eager("main"), &Script::new()).start().unwrap();
    assert_eq!(replace(&telemetry, "mian", &Script::new(), 0), Err(ReplaceError::NoSuchSink("mian".into())));
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    assert_eq!(replace(&telemetry, "main", &Script::new(), 0), Err(ReplaceError::Closed));
    assert_eq!(books(&telemetry, "main").residual(), 0);
}

#[test]
fn a_sink_whose_reader_went_away_is_brought_back_by_a_swap() {
    let (old, new) = (Script::new(), Script::new());
    let telemetry = builder().scripted(eager("main"), &old).start().unwrap();
    emit(&telemetry, 0..1);
    delivered(&telemetry, "main", 1);
    old.fail_next_sends(1, ErrorKind::Closed);
    emit(&telemetry, 1..2);
    eventually("it is closed", || books(&telemetry, "main").account.dropped_for(DropReason::SinkClosed) == 1);
    replace(&telemetry, "main", &new, 3).unwrap();
    emit(&telemetry, 2..10);
    delivered(&telemetry, "main", 9);
    assert_eq!(new.received_seqs(), (3..=10).collect::<Vec<_>>());
    // One that is closed already is none to change to.
    let gone = Script::new();
    gone.fail_next_connects(1000, ErrorKind::Closed);
    replace(&telemetry, "main", &gone, 1000).unwrap();
    emit(&telemetry, 10..20);
    delivered(&telemetry, "main", 19);
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.residual(), last.sinks[0].1.account.dropped()), (0, 1));
}
