//! The thread that carries decisions out: calls, receipts, panics, and how it treats its own transport.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use townlet_testkit::{Script, Step, event, frame, frame_of_len};
use townlet_transport::{Connected, ErrorKind, Label, Level, Outcome, SendError, Transport};
use townlet_worker::driver::{self, Bells, Seat};
use townlet_worker::{DropReason, Machine, Offer, Options, Worker};

use crate::fakes::{Fake, PATIENCE, eager, error, eventually, ms, options, spawn};

fn acked(fresh: bool) -> Connected {
    if fresh {
        Connected::fresh("peer", Level::PeerAcked, false)
    } else {
        Connected::reused("peer", Level::PeerAcked, false)
    }
}

#[test]
fn frames_unacknowledged_on_a_connection_that_was_replaced_are_sent_again() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let connects = Arc::new(AtomicUsize::new(0));
    let (log, count) = (Arc::clone(&sent), Arc::clone(&connects));
    let worker = spawn(Options { ack_timeout: Duration::from_secs(600), ..eager() }, move || {
        let (log, count) = (Arc::clone(&log), Arc::clone(&count));
        let (pending, owed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let due = Arc::clone(&owed);
        Fake::sending(move |batch| {
            log.lock().unwrap().extend(batch.iter().map(townlet_transport::Frame::seq));
            // The first connection's batch is never acknowledged.
            if pending.fetch_add(1, Ordering::Relaxed) > 0 {
                due.fetch_add(batch.len(), Ordering::Relaxed);
            }
            Ok(Outcome::Pending)
        })
        // The transport notices by itself that its connection is gone, and opens another.
        .connecting(move || Ok(acked(count.fetch_add(1, Ordering::Relaxed) < 2)))
        .receiving(move |_| Ok(owed.swap(0, Ordering::Relaxed)))
    });
    worker.offer(frame(1));
    eventually("frame 1 is out", || sent.lock().unwrap().len() == 1);
    worker.offer(frame(2));
    eventually("both are delivered", || worker.statement().account.delivered() == 2);
    let sent = sent.lock().unwrap().clone();
    assert_eq!(sent[0], 1);
    assert!(sent[1..].contains(&1), "frame 1 was reported as delivered by the receipt of frame 2: {sent:?}");
    assert_eq!(worker.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_batch_settled_out_of_turn_does_not_settle_the_unacknowledged_one_before_it() {
    let sends = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sends);
    let worker = spawn(Options { ack_timeout: Duration::from_secs(600), ..eager() }, move || {
        let count = Arc::clone(&count);
        Fake::sending(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(Outcome::Pending),
            1 => Ok(Outcome::Settled(Level::Sent)),
            _ => Ok(Outcome::Pending),
        })
    });
    worker.offer(event("first", 1));
    eventually("the first is out", || sends.load(Ordering::Relaxed) == 1);
    worker.offer(event("second", 1));
    eventually("both were sent again", || sends.load(Ordering::Relaxed) > 2);
    let books = worker.shutdown(Duration::ZERO);
    assert_eq!((books.account.delivered(), books.residual()), (0, 0), "nobody acknowledged the first");
    assert_eq!(books.account.dropped(), 2);
}

#[test]
fn a_frame_refused_by_its_receipt_is_dropped_alone() {
    let refused = Arc::new(AtomicUsize::new(0));
    let once = Arc::clone(&refused);
    let worker = spawn(eager(), move || {
        let once = Arc::clone(&once);
        let owed = Arc::new(AtomicUsize::new(0));
        let due = Arc::clone(&owed);
        let poison = Arc::new(AtomicUsize::new(0));
        let found = Arc::clone(&poison);
        Fake::sending(move |batch| {
            found.fetch_add(batch.iter().filter(|f| f.seq() == 1).count(), Ordering::Relaxed);
            due.fetch_add(batch.len(), Ordering::Relaxed);
            Ok(Outcome::Pending)
        })
        .connecting(|| Ok(acked(false)))
        .receiving(move |_| {
            if poison.swap(0, Ordering::Relaxed) > 0 {
                owed.store(0, Ordering::Relaxed);
                once.fetch_add(1, Ordering::Relaxed);
                return Err(error(ErrorKind::Rejected));
            }
            Ok(owed.swap(0, Ordering::Relaxed))
        })
    });
    for seq in 1..=4 {
        worker.offer(frame(seq));
    }
    eventually("the rest is delivered", || worker.statement().account.delivered() == 3);
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.dropped_for(DropReason::Rejected), books.residual()), (1, 0));
    assert_eq!(refused.load(Ordering::Relaxed), 1, "not again and again");
}

#[test]
fn what_a_peer_refuses_as_a_whole_is_asked_once_and_what_it_took_before_is_delivered() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&batches);
    let patient = Options { flush_interval: Duration::from_secs(600), max_batch_size: 6, ..options() };
    let worker = spawn(patient, move || {
        let log = Arc::clone(&log);
        Fake::sending(move |batch| {
            log.lock().unwrap().push(batch.len());
            Err(SendError::refusing(2, 99, error(ErrorKind::Rejected)))
        })
    });
    for seq in 1..=6 {
        worker.offer(frame(seq));
    }
    eventually("all are settled", || worker.statement().buffered == 0);
    let books = worker.shutdown(PATIENCE);
    let refused = books.account.dropped_for(DropReason::Rejected);
    assert_eq!((books.account.delivered(), refused, books.residual()), (2, 4, 0));
    assert_eq!(*batches.lock().unwrap(), [6], "no frame is offered again after it was refused");
}

#[test]
fn a_transport_that_does_not_wait_for_receipts_does_not_make_the_thread_spin() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let worker = spawn(Options { ack_timeout: ms(300), ..eager() }, move || {
        let count = Arc::clone(&count);
        Fake::sending(|_| Ok(Outcome::Pending)).receiving(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(0)
        })
    });
    let started = Instant::now();
    worker.offer(frame(1));
    eventually("the acknowledgement is overdue", || worker.status().send_failures_total > 0);
    let (calls, millis) = (calls.load(Ordering::Relaxed) as u128, started.elapsed().as_millis());
    assert!(calls <= millis + 100, "{calls} calls in {millis} ms");
}

#[test]
fn the_flush_duration_is_that_of_the_send_and_not_of_the_wait_for_receipts() {
    let script = Script::new();
    script.acknowledge_by_hand();
    let peer = script.clone();
    let worker = spawn(eager(), move || peer.transport());
    worker.offer(frame(1));
    assert!(script.wait_for_sends(1, PATIENCE));
    // Some waits for receipts end in vain before the acknowledgement comes.
    let asked = Instant::now();
    eventually("time passes", || asked.elapsed() > ms(60));
    script.ack(1);
    eventually("delivered", || worker.statement().account.delivered() == 1);
    let took = worker.status().last_flush_duration.unwrap();
    assert!(took != ms(20) && took != ms(1), "{took:?} is what the driver was ready to wait, not what it measured");
    assert_eq!(worker.shutdown(PATIENCE).residual(), 0);
}

/// A seat whose hosts never rest: each time its lock is taken, a frame has been evicted meanwhile.
struct Busy {
    machine: Mutex<Machine>,
    bells: Bells,
    label: Label,
    next: AtomicUsize,
    start: Instant,
}

impl Seat for Busy {
    type State = Machine;

    fn lock(&self) -> MutexGuard<'_, Machine> {
        let mut machine = self.machine.lock().unwrap();
        let seq = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        let frame = townlet_transport::Frame::new(self.label.clone(), "event", seq, 1, "{}\n");
        if machine.admit(0, 1, 3) == townlet_worker::Admission::Upstream {
            machine.fill(0, 0, 3, frame);
        }
        machine
    }

    fn machine<'a>(&self, state: &'a mut Machine) -> &'a mut Machine {
        state
    }

    fn bells(&self) -> &Bells {
        &self.bells
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[test]
fn hosts_that_evict_without_rest_do_not_keep_the_driver_from_sending() {
    let mut machine = Machine::new(Options { max_queue_length: 4, ..eager() }, 1);
    for seq in 1..=8 {
        crate::fakes::offer(&mut machine, seq, 10);
    }
    let busy = Busy {
        machine: Mutex::new(machine),
        bells: Bells::default(),
        label: Label::new("run", "busy"),
        next: AtomicUsize::new(100),
        start: Instant::now(),
    };
    let seat = Arc::new(busy);
    let (sent, arrived) = mpsc::channel();
    let make: driver::Make = Box::new(move || {
        let sent = sent.clone();
        let fake = Fake::sending(move |batch| {
            let _ = sent.send(batch.len());
            Ok(Outcome::Settled(Level::Sent))
        });
        Ok(Box::new(fake) as Box<dyn Transport>)
    });
    let thread = driver::spawn("busy", Arc::clone(&seat), make).unwrap();
    let first = arrived.recv_timeout(PATIENCE);
    // Ends the thread in any case.
    seat.machine.lock().unwrap().abandon();
    assert!(first.is_ok(), "the driver only freed what hosts evicted");
    thread.join().unwrap();
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error_and_not_a_panic() {
    let options = Options { name: "a\0b".into(), ..options() };
    let refused = Worker::spawn(options, || Err(error(ErrorKind::Misconfigured))).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_frame_in_the_middle_of_a_batch_that_is_refused_costs_nothing_but_itself() {
    let script = Script::new();
    script.then(Step::Fail { settled: 2, kind: ErrorKind::TooLarge });
    let peer = script.clone();
    let worker = spawn(Options { max_batch_size: 5, ..options() }, move || peer.transport());
    for seq in 1..=5 {
        worker.offer(frame(seq));
    }
    assert!(script.wait_for_lines(4, PATIENCE));
    assert_eq!(script.received_seqs(), [1, 2, 4, 5]);
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), books.account.dropped_for(DropReason::Oversize)), (4, 1));
    assert_eq!(script.connections(), 1, "a refused frame does not end the connection");
    script.assert_contract_kept();
}

#[test]
fn a_transport_that_cannot_be_built_is_tried_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let script = Script::new();
    let peer = script.clone();
    let worker = Worker::spawn(eager(), move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err(error(ErrorKind::Misconfigured)),
        1 => panic!("in the constructor"),
        _ => Ok(Box::new(peer.transport()) as Box<dyn Transport>),
    })
    .unwrap();
    worker.offer(frame(1));
    assert!(script.wait_for_lines(1, PATIENCE));
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 1);
    assert_eq!(worker.status().worker_restart_count, 1);
    assert_eq!(worker.status().last_worker_error.as_deref(), Some("in the constructor"));
}

#[test]
fn a_sink_that_settles_too_little_keeps_its_frames_and_says_why() {
    let script = Script::new();
    let peer = script.clone();
    let worker = spawn(Options { settle_at: Level::Durable, ..eager() }, move || peer.transport());
    worker.offer(frame(1));
    eventually("it is refused", || worker.status().send_failures_total > 0);
    let status = worker.status();
    assert_eq!(status.last_error_kind, Some(ErrorKind::Misconfigured));
    assert_eq!(status.queue_length, 1);
    assert_eq!(script.sends(), 0);
    script.settle_at(Level::Durable);
    eventually("it is delivered", || worker.statement().account.delivered_at(Level::Durable) == 1);
    assert_eq!(worker.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn panics_everywhere_lose_nothing() {
    // Each transport panics in another call, and once more when it is dropped.
    struct Bomb(usize, townlet_testkit::Scripted);
    impl Transport for Bomb {
        fn connect(&mut self) -> Result<Connected, townlet_transport::TransportError> {
            assert_ne!(self.0, 0, "bomb in connect");
            self.1.connect()
        }
        fn send(&mut self, batch: &[townlet_transport::Frame]) -> Result<Outcome, SendError> {
            assert_ne!(self.0, 1, "bomb in send");
            if self.0 == 2 {
                return Ok(Outcome::Pending);
            }
            self.1.send(batch)
        }
        fn receipts(&mut self, _: Duration) -> Result<usize, townlet_transport::TransportError> {
            assert_ne!(self.0, 2, "bomb in receipts");
            Ok(0)
        }
        fn flush(&mut self) -> Result<(), townlet_transport::TransportError> {
            panic!("bomb in flush")
        }
        fn close(&mut self) {
            panic!("bomb in close")
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("bomb in drop");
            }
        }
    }
    let script = Script::new();
    let (peer, made) = (script.clone(), AtomicUsize::new(0));
    let worker = spawn(Options { restart_limit: 10, ..eager() }, move || {
        Bomb(made.fetch_add(1, Ordering::Relaxed), peer.transport())
    });
    for seq in 1..=3 {
        assert_eq!(worker.offer(frame_of_len(seq, 40)), Offer::Accepted);
    }
    assert!(script.wait_for_lines(3, PATIENCE));
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), books.account.dropped(), books.residual()), (3, 0, 0));
    assert_eq!(script.received_seqs(), [1, 2, 3]);
    assert_eq!(worker.status().worker_restart_count, 3);
}
