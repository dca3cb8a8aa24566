//! Another transport for a running sink: what it ends, and when the one before comes back.

use townlet_transport::{Connected, ErrorKind, Level};
use townlet_worker::{Action, Admission, Admitted, Backpressure, DropReason, Machine, Options, Route, Sink};

use crate::fakes::{balanced, error, expect_batch, ms, offer, options, seqs};

fn closed(options: Options) -> Machine {
    let mut machine = Machine::new(options, 1);
    assert_eq!(machine.failed(ms(1), Vec::new(), &error(ErrorKind::Closed)), None);
    assert_eq!(offer(&mut machine, 1, 50), Admission::Dropped(DropReason::SinkClosed));
    machine
}

#[test]
fn a_sink_whose_reader_went_away_works_again_with_another_transport() {
    let mut machine = closed(options());
    machine.renew(Some(3));
    assert_eq!(offer(&mut machine, 2, 50), Admission::Upstream, "from now on there is somebody to send to");
    assert_eq!(machine.poll(ms(2)), Action::Rebuild);
    let batch = expect_batch(&mut machine, ms(3));
    assert_eq!(seqs(&batch), [2]);
    machine.delivered(ms(4), 1, Level::Sent, 2, ms(1));
    assert!(!machine.is_on_trial());
    balanced(&machine);
}

#[test]
fn a_new_transport_whose_reader_is_gone_gives_way_to_the_one_before() {
    let mut machine = Machine::new(options(), 1);
    offer(&mut machine, 1, 50);
    machine.renew(Some(3));
    assert_eq!(machine.poll(ms(1)), Action::Rebuild);
    let batch = expect_batch(&mut machine, ms(2));
    machine.failed(ms(3), batch, &error(ErrorKind::Closed));
    assert_eq!(machine.poll(ms(3)), Action::Revert, "its reader does not come back, whatever it may try");
    assert!(machine.take_trial_failure().is_some());
    assert_eq!(seqs(&expect_batch(&mut machine, ms(4))), [1]);
    machine.delivered(ms(5), 1, Level::Sent, 1, ms(1));
    assert_eq!((machine.statement().account.dropped(), machine.status().rollbacks_total), (0, 1));
    balanced(&machine);
}

/// It is exchanged because it fails, most of all in the middle of a call that fails.
#[test]
fn what_the_transport_before_still_reports_says_nothing_of_the_new_one() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Closed] {
        let mut machine = Machine::new(Options { max_batch_size: 1, ..options() }, 1);
        offer(&mut machine, 1, 50);
        let batch = expect_batch(&mut machine, ms(1));
        machine.renew(Some(0));
        machine.failed(ms(3), batch, &error(kind).asking_to_wait(ms(60_000)));
        assert_eq!(machine.poll(ms(3)), Action::Rebuild, "{kind}: the new one was not even tried");
        assert_eq!(seqs(&expect_batch(&mut machine, ms(3))), [1], "{kind}: and waits for no pause of the other's");
        assert_eq!(machine.statement().account.dropped(), 0, "{kind}");
        balanced(&machine);
    }
    let mut machine = Machine::new(Options { max_batch_size: 1, restart_limit: 0, ..options() }, 1);
    offer(&mut machine, 1, 50);
    let batch = expect_batch(&mut machine, ms(1));
    machine.renew(Some(0));
    machine.panicked(ms(3), batch, "boom");
    assert_eq!(machine.poll(ms(3)), Action::Rebuild);
    let batch = expect_batch(&mut machine, ms(3));
    machine.renew(Some(0));
    machine.delivered(ms(5), batch.len(), Level::Sent, 1, ms(1));
    assert_eq!(machine.poll(ms(5)), Action::Rebuild);
    assert!(machine.is_on_trial(), "it was the one before that delivered");
    balanced(&machine);
}

#[test]
fn panics_of_a_transform_do_not_open_a_closed_sink() {
    let mut machine = closed(Options { restart_limit: 1, restart_window: ms(1000), ..options() });
    for at in 2..5 {
        machine.stage_panicked(ms(at), "boom");
    }
    assert_eq!(offer(&mut machine, 2, 50), Admission::Dropped(DropReason::SinkClosed));
    assert!(matches!(machine.poll(ms(5000)), Action::Wait(_)), "there is nothing to build a transport for");
    assert_eq!(offer(&mut machine, 3, 50), Admission::Dropped(DropReason::SinkClosed));
    balanced(&machine);
}

/// The lane is used when the peer is slow or gone: its first failures say nothing of a
/// transport that has delivered for as long as it was enough alone.
#[test]
fn a_lane_that_was_not_needed_so_far_has_no_trial_of_its_own() {
    let limits = Options { backpressure: Backpressure::FanOut, max_queue_length: 1, max_batch_size: 1, ..options() };
    let mut sink = Sink::new(limits, 1, false);
    sink.machines().for_each(|machine| machine.renew(Some(0)));
    let admit = |sink: &mut Sink, seq: u64| {
        let frame = townlet_testkit::frame_of_len(seq, 50);
        let Admitted::Upstream(route) = sink.admit(0, frame.tick(), frame.len()) else { panic!("no room for {seq}") };
        sink.machine(route).fill(0, seq, frame.len(), frame);
        route
    };
    let connected = Connected::fresh("peer", Level::Sent, false);

    assert_eq!(admit(&mut sink, 1), Route::Main);
    let main = sink.machine(Route::Main);
    assert_eq!(main.poll(ms(1)), Action::Rebuild);
    assert_eq!(seqs(&expect_batch(main, ms(2))), [1]);
    main.delivered(ms(3), 1, Level::Sent, 1, ms(1));
    assert_eq!(sink.machine(Route::Lane).poll(ms(3)), Action::Rebuild);

    // Much later the peer is down.
    assert_eq!((admit(&mut sink, 2), admit(&mut sink, 3)), (Route::Main, Route::Lane));
    assert!(sink.machines().all(|machine| !machine.is_on_trial()), "the transport has delivered");
    let lane = sink.machine(Route::Lane);
    assert_eq!(lane.poll(ms(9000)), Action::Send);
    lane.failed(ms(9001), Vec::new(), &error(ErrorKind::Unavailable));
    assert_ne!(sink.machine(Route::Lane).poll(ms(9001)), Action::Revert);
    sink.machine(Route::Lane).connected(&connected).unwrap();
    assert_eq!(sink.status().rollbacks_total, 0);
}
