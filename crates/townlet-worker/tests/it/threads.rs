//! Real threads: producers, readers, stuck calls, the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use townlet_testkit::{Script, event, frame, frame_of_len, on_time};
use townlet_transport::{ErrorKind, Frame, Label, Level, Outcome, SendError};
use townlet_worker::{Backpressure, DropReason, Offer, Options, Worker};

use crate::fakes::{Fake, PATIENCE, eager, error, ms, options, scripted, spawn};
use crate::simulation::Rng;

const PRODUCERS: u64 = 8;
const OFFERS: u64 = 10_000;

/// Stream and seq of each frame, by transport.
type Taken = Arc<Mutex<Vec<Vec<(String, u64)>>>>;

/// A peer that stalls now and then, loses connections, and notes what it took.
fn uneven(seed: u64, taken: &Taken) -> Fake {
    let mut rng = Rng::new(seed);
    let mine = {
        let mut all = taken.lock().unwrap();
        all.push(Vec::new());
        all.len() - 1
    };
    let taken = Arc::clone(taken);
    Fake::sending(move |batch| {
        if rng.chance(10) {
            std::thread::park_timeout(Duration::from_micros(rng.between(1, 800)));
        }
        let settled = if rng.chance(5) { rng.between(0, batch.len() as u64) as usize } else { batch.len() };
        let lines = batch[..settled].iter().map(|f| (f.label().stream().to_owned(), f.seq()));
        taken.lock().unwrap()[mine].extend(lines);
        if settled < batch.len() {
            return Err(SendError::after(settled, error(ErrorKind::Disconnected)));
        }
        Ok(Outcome::Settled(Level::Sent))
    })
}

fn many_producers(backpressure: Backpressure) {
    let taken = Taken::default();
    let log = Arc::clone(&taken);
    let seeds = AtomicUsize::new(1);
    let limits = Options {
        backpressure,
        max_queue_length: 2000,
        max_buffer_bytes: 200_000,
        max_batch_size: 64,
        // Generous: under `block` nothing may be shed while the peer merely stalls.
        block_timeout: PATIENCE,
        ..eager()
    };
    let worker = spawn(limits, move || uneven(seeds.fetch_add(1, Ordering::Relaxed) as u64, &log));
    let done = AtomicBool::new(false);
    let read = |worker: &Worker| {
        let status = worker.status();
        assert_eq!(status.statement.residual(), 0, "{status:?}");
        assert_eq!(status.statement.buffered, status.queue_length as u64);
        assert!(status.queue_length <= 4000 && status.queue_bytes <= 400_000);
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read(&worker);
                    std::thread::yield_now();
                }
            });
        }
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let worker = worker.clone();
                let read = &read;
                scope.spawn(move || {
                    let label = Label::new("run", &producer.to_string());
                    for seq in 1..=OFFERS {
                        let line = "{\"payload_type\":\"event\",\"value\":\"something of sixty bytes\"}\n";
                        let offer = worker.offer(Frame::new(label.clone(), "event", seq, seq, line));
                        assert_ne!(offer, Offer::Closed);
                        if seq % 100 == 0 {
                            read(&worker);
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.accepted(), books.residual(), books.buffered), (PRODUCERS * OFFERS, 0, 0));
    assert_eq!(books.account.dropped_for(DropReason::UndeliveredAtShutdown), 0);
    if backpressure == Backpressure::Block {
        assert_eq!(books.account.dropped(), 0, "every producer was given room in time");
    }
    let taken = taken.lock().unwrap();
    assert_eq!(taken.iter().map(|t| t.len() as u64).sum::<u64>(), books.account.delivered());
    for transport in taken.iter() {
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for (stream, seq) in transport {
            let before = newest.insert(stream, *seq).unwrap_or(0);
            assert!(*seq > before, "{stream}: {seq} after {before}");
        }
    }
}

#[test]
fn eight_producers_under_drop_oldest_keep_order_and_books() {
    many_producers(Backpressure::DropOldest);
}

#[test]
fn eight_producers_under_block_lose_nothing() {
    many_producers(Backpressure::Block);
}

#[test]
fn eight_producers_under_fan_out_keep_order_by_lane_and_books() {
    many_producers(Backpressure::FanOut);
}

#[test]
fn block_waits_its_timeout_once_in_all_and_then_sheds_the_oldest() {
    let script = Script::new();
    script.hold_next_send();
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: ms(3000),
        max_queue_length: 3,
        max_batch_size: 1,
        ..eager()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame(1));
    assert!(script.wait_until_held(PATIENCE));
    worker.offer(frame(2));
    worker.offer(frame(3));
    let started = Instant::now();
    assert_eq!(worker.offer(frame(4)), Offer::Accepted);
    let took = started.elapsed();
    assert!((ms(3000)..ms(6000)).contains(&took), "once: {took:?}");
    assert_eq!(worker.statement().account.dropped_for(DropReason::BlockTimeout), 1);
    script.release();
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 3);
    assert_eq!(script.received_seqs(), [1, 3, 4]);
}

#[test]
fn a_newcomer_goes_itself_where_all_that_is_held_is_in_flight() {
    let script = Script::new();
    script.hold_next_send();
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: ms(50),
        max_queue_length: 2,
        max_batch_size: 2,
        ..options()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame(1));
    worker.offer(frame(2));
    assert!(script.wait_until_held(PATIENCE));
    assert_eq!(worker.offer(frame(3)), Offer::Dropped(DropReason::BlockTimeout));
    script.release();
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 2);
}

#[test]
fn hosts_that_wait_are_let_go_as_room_appears() {
    let script = Script::new();
    script.hold_next_send();
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: PATIENCE,
        max_queue_length: 4,
        max_batch_size: 1,
        ..eager()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame(1));
    assert!(script.wait_until_held(PATIENCE));
    for seq in 2..=4 {
        worker.offer(frame(seq));
    }
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..6)
            .map(|n| {
                scope.spawn({
                    let worker = worker.clone();
                    move || worker.offer(event(&n.to_string(), 1))
                })
            })
            .collect();
        assert!(waiting.iter().all(|t| !t.is_finished()), "there is no room while the send is stuck");
        script.release();
        for host in waiting {
            assert_eq!(host.join().unwrap(), Offer::Accepted);
        }
    });
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), books.account.dropped()), (10, 0));
}

#[test]
fn a_host_that_waits_while_the_batch_is_not_due_yet_is_let_go_at_once() {
    let script = Script::new();
    let hour = Duration::from_secs(3600);
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: PATIENCE,
        flush_interval: hour,
        poll: hour,
        max_buffer_bytes: 1000,
        ..options()
    };
    let worker = scripted(limits, &script);
    assert_eq!(worker.offer(frame_of_len(1, 400)), Offer::Accepted);
    assert_eq!(worker.offer(frame_of_len(2, 700)), Offer::Accepted, "the sink was idle: it only had to be told");
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 2);
}

#[test]
fn a_full_main_queue_is_sent_although_newcomers_go_to_the_lane() {
    let script = Script::new();
    let hour = Duration::from_secs(3600);
    let limits = Options {
        backpressure: Backpressure::FanOut,
        flush_interval: hour,
        poll: hour,
        max_buffer_bytes: 1000,
        ..options()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame_of_len(1, 400));
    worker.offer(frame_of_len(2, 700));
    assert!(script.wait_for_lines(2, PATIENCE), "the lane's frame is due by bytes, the main one because it was full");
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 2);
}

#[test]
fn a_lone_event_arrives_within_the_flush_interval() {
    let script = Script::new();
    let worker = scripted(Options { flush_interval: ms(300), poll: ms(300), ..options() }, &script);
    let mut seq = 0;
    for _ in 0..4 {
        on_time("a lone event", ms(300) + ms(200), || {
            seq += 1;
            let offered = Instant::now();
            worker.offer(frame(seq));
            assert!(script.wait_for_lines(seq as usize, PATIENCE));
            offered.elapsed()
        });
    }
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), seq);
}

#[test]
fn each_stream_has_an_account_of_its_own_whatever_the_order_of_events() {
    let script = Script::new();
    let worker = scripted(Options { max_batch_size: 50, max_buffer_bytes: 20_000, ..options() }, &script);
    let (one, two, other_run) = (Label::new("run", "one"), Label::new("run", "two"), Label::new("another run", "one"));
    for (seq, label) in [&one, &one, &two, &one, &other_run, &two, &one].into_iter().enumerate() {
        // The same stream under a label of its own each time: equal, not identical.
        let label = Label::new(label.run_id(), label.stream());
        worker.offer(Frame::new(label, "event", seq as u64 + 1, 1, "{}\n"));
    }
    worker.offer(Frame::new(two.clone(), "event", 8, 1, vec![b'x'; 20_001]));
    assert_eq!(worker.shutdown(PATIENCE).account.accepted(), 8);
    let delivered = [&one, &two, &other_run].map(|label| worker.account(label).delivered());
    assert_eq!(delivered, [4, 2, 1]);
    assert_eq!(worker.account(&two).dropped_for(DropReason::Oversize), 1);
    assert_eq!(worker.account(&Label::new("run", "never seen")).accepted(), 0);
}
