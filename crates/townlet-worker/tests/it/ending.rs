//! Shutdown on real threads: on time, whatever is stuck, and nothing afterwards.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use townlet_testkit::{Script, frame};
use townlet_transport::{Connected, ErrorKind, Level, Outcome, Transport};
use townlet_worker::{Backpressure, DropReason, Offer, Options, Worker};

use crate::fakes::{Fake, PATIENCE, SLACK, eager, error, eventually, ms, scripted, spawn};

#[test]
fn shutdown_releases_hosts_that_wait_and_refuses_what_comes_later() {
    let script = Script::new();
    script.hold_next_send();
    let limits = Options { backpressure: Backpressure::Block, block_timeout: PATIENCE, max_queue_length: 1, ..eager() };
    let worker = scripted(limits, &script);
    worker.offer(frame(1));
    assert!(script.wait_until_held(PATIENCE));
    let host = std::thread::spawn({
        let worker = worker.clone();
        move || worker.offer(frame(2))
    });
    let books = worker.shutdown(ms(50));
    assert_eq!(host.join().unwrap(), Offer::Closed);
    assert_eq!(worker.offer(frame(3)), Offer::Closed);
    assert_eq!(worker.shutdown(PATIENCE), books, "a second shutdown returns the same books at once");
    assert_eq!(books.account.accepted(), 1);
    script.release();
}

#[test]
fn shutdown_of_a_parked_worker_and_of_a_closed_sink_returns_at_once() {
    for parked in [true, false] {
        let limits = Options { restart_limit: 0, restart_window: Duration::from_secs(3600), ..eager() };
        let worker = spawn(limits, move || {
            Fake::sending(move |_| if parked { panic!("parks") } else { Err(error(ErrorKind::Closed).into()) })
        });
        worker.offer(frame(1));
        eventually("it has failed", || {
            let status = worker.status();
            !status.worker_alive || status.send_failures_total > 0
        });
        let started = Instant::now();
        let books = worker.shutdown(PATIENCE);
        assert!(started.elapsed() < PATIENCE / 2, "parked: {parked}: nothing was left to wait for");
        assert_eq!((books.account.dropped(), books.residual()), (1, 0));
    }
}

/// Blocks until the test lets go of the other end.
fn stuck(gate: &Mutex<mpsc::Receiver<()>>) {
    let _ = gate.lock().unwrap().recv();
}

#[test]
fn shutdown_is_on_time_wherever_the_transport_is_stuck() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Place {
        Make,
        Connect,
        Send,
        Receipts,
    }
    for place in [Place::Make, Place::Connect, Place::Send, Place::Receipts] {
        let (open, gate) = mpsc::channel();
        let gate = Arc::new(Mutex::new(gate));
        let (entered, inside) = mpsc::channel();
        let worker = Worker::spawn(eager(), move || {
            let halt = {
                let (gate, entered) = (Arc::clone(&gate), entered.clone());
                move |here: Place| {
                    if here == place {
                        let _ = entered.send(());
                        stuck(&gate);
                    }
                }
            };
            halt(Place::Make);
            let (connect, send, receipts) = (halt.clone(), halt.clone(), halt);
            let fake = Fake::sending(move |_| {
                send(Place::Send);
                Ok(if place == Place::Receipts { Outcome::Pending } else { Outcome::Settled(Level::Durable) })
            })
            .connecting(move || {
                connect(Place::Connect);
                Ok(Connected::local())
            })
            .receiving(move |_| {
                receipts(Place::Receipts);
                Ok(1)
            });
            Ok(Box::new(fake) as Box<dyn Transport>)
        })
        .unwrap();
        worker.offer(frame(1));
        inside.recv_timeout(PATIENCE).unwrap();
        worker.offer(frame(2));
        let started = Instant::now();
        let books = worker.shutdown(ms(100));
        let took = started.elapsed();
        assert!((ms(100)..ms(100) + SLACK).contains(&took), "stuck in {place:?}: {took:?}");
        let taken = u64::from(matches!(place, Place::Send | Place::Receipts));
        assert_eq!(books.account.dropped_for(DropReason::UnackedAtShutdown), taken, "{place:?}");
        assert_eq!(books.account.dropped_for(DropReason::UndeliveredAtShutdown), 2 - taken, "{place:?}");
        let status = worker.status();
        // The call returns, with success; the thread ends; nothing changes.
        drop(open);
        assert_eq!(inside.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "the thread has ended");
        assert_eq!((worker.statement(), worker.status()), (books, status), "{place:?}");
    }
}

#[test]
fn dropping_the_last_handle_ends_the_threads() {
    for (backpressure, down) in [(Backpressure::FanOut, false), (Backpressure::DropOldest, true)] {
        // The sender lives in the threads alone.
        let (alive, threads) = mpsc::channel::<()>();
        let hour = Duration::from_secs(3600);
        let limits = Options { backpressure, backoff: hour, max_backoff: hour, poll: hour, ..eager() };
        let worker = Worker::spawn(limits, move || {
            let alive = alive.clone();
            let fake = Fake::sending(move |_| {
                let _ = &alive;
                if down { Err(error(ErrorKind::Unavailable).into()) } else { Ok(Outcome::Settled(Level::Sent)) }
            });
            Ok(Box::new(fake) as Box<dyn Transport>)
        })
        .unwrap();
        let other = worker.clone();
        worker.offer(frame(1));
        eventually("it was tried", || {
            let status = worker.status();
            status.payloads_flushed_total + status.send_failures_total > 0
        });
        drop(worker);
        assert_eq!(threads.try_recv(), Err(mpsc::TryRecvError::Empty), "another handle is left");
        drop(other);
        assert_eq!(threads.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn a_shutdown_without_end_and_limits_without_end_do_not_panic() {
    let never = Duration::MAX;
    let script = Script::new();
    script.hold_next_send();
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: never,
        max_queue_length: 1,
        poll: never,
        flush_interval: never,
        ..eager()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame(1));
    assert!(script.wait_until_held(PATIENCE));
    let host = std::thread::spawn({
        let worker = worker.clone();
        move || worker.offer(frame(2))
    });
    script.release();
    assert_eq!(host.join().unwrap(), Offer::Accepted);
    assert_eq!(worker.shutdown(never).account.delivered(), 2);
}
