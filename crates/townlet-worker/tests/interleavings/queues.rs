//! Hosts that wait for room, a driver that waits for work, and the end of both.

use std::sync::Arc;
use std::time::Duration;

use townlet_transport::{Connected, Frame, Label, Level, Outcome, SendError, Transport, TransportError};

use crate::sync::{Builder, Condvar, JoinHandle, Mutex};
use crate::worker::{Offer, Worker};
use crate::{Backpressure, Options, holds_but_with};

const LONG: Duration = Duration::from_secs(1000);

/// Takes everything, at once or with receipts that come when they are asked for.
struct Taker {
    pending: Option<usize>,
    there: Arc<There>,
}

/// What has come to the peer.
#[derive(Default)]
struct There {
    frames: Mutex<usize>,
    changed: Condvar,
}

impl There {
    fn wait_for(&self, frames: usize) {
        let mut there = self.frames.lock().unwrap();
        while *there < frames {
            there = self.changed.wait(there).unwrap();
        }
    }
}

impl Transport for Taker {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        *self.there.frames.lock().unwrap() += batch.len();
        self.there.changed.notify_all();
        Ok(match &mut self.pending {
            None => Outcome::Settled(Level::Sent),
            Some(pending) => {
                *pending += batch.len();
                Outcome::Pending
            }
        })
    }

    fn receipts(&mut self, _: Duration) -> Result<usize, TransportError> {
        Ok(self.pending.as_mut().map(std::mem::take).unwrap_or_default())
    }

    fn close(&mut self) {}
}

/// A worker whose queue has room for `room` frames and whose hosts wait for more.
fn worker(room: usize, acknowledged: bool) -> (Worker, Arc<There>) {
    let options = Options {
        max_queue_length: room,
        max_batch_size: 1,
        flush_interval: Duration::ZERO,
        backpressure: Backpressure::Block,
        block_timeout: LONG,
        ..Options::default()
    };
    let pending = acknowledged.then_some(0);
    let there = Arc::<There>::default();
    let at = Arc::clone(&there);
    let make = move || Ok(Box::new(Taker { pending, there: Arc::clone(&at) }) as Box<dyn Transport>);
    (Worker::spawn(options, make).unwrap(), there)
}

fn host(worker: &Worker, stream: &'static str, frames: u64) -> JoinHandle<()> {
    let worker = worker.clone();
    let offers = move || {
        let label = Label::new("run", stream);
        for seq in 1..=frames {
            assert_eq!(worker.offer(Frame::new(label.clone(), "event", seq, seq, "{}\n")), Offer::Accepted);
        }
    };
    Builder::new().spawn(offers).unwrap()
}

fn ends_with(worker: &Worker, delivered: u64) {
    let books = worker.shutdown(LONG);
    assert_eq!((books.account.delivered(), books.buffered, books.residual()), (delivered, 0, 0), "{books:?}");
}

#[test]
fn a_host_that_waits_for_room_gets_it_and_the_end_comes_when_all_is_out() {
    let mistakes = [
        "work is not rung for",
        "room is not rung for",
        "one host alone is not seen waiting",
        "nobody is told of the end",
        "who waits for the end is not told",
    ];
    holds_but_with(&mistakes, 3, || {
        let (worker, _) = worker(1, false);
        host(&worker, "a", 2).join().unwrap();
        ends_with(&worker, 2);
    });
}

#[test]
fn of_two_hosts_at_one_full_queue_both_get_through() {
    holds_but_with(&["room is not rung for"], 2, || {
        let (worker, _) = worker(1, false);
        let hosts = [host(&worker, "a", 1), host(&worker, "b", 1)];
        hosts.into_iter().for_each(|host| host.join().unwrap());
        ends_with(&worker, 2);
    });
}

#[test]
fn receipts_make_room_as_sends_do() {
    holds_but_with(&["room is not rung for"], 3, || {
        let (worker, _) = worker(1, true);
        host(&worker, "a", 2).join().unwrap();
        ends_with(&worker, 2);
    });
}

#[test]
fn a_dozing_driver_hears_of_what_is_due_though_nobody_waits_for_it() {
    holds_but_with(&["a batch that is due wakes nobody"], 3, || {
        let (worker, there) = worker(4, false);
        host(&worker, "a", 1).join().unwrap();
        // Nobody asks for the end before the frame is out.
        there.wait_for(1);
        ends_with(&worker, 1);
    });
}

#[test]
fn a_shutdown_beside_an_offer_takes_it_or_refuses_it_and_ends() {
    holds_but_with(&["nobody is told of the end"], 3, || {
        let (worker, _) = worker(1, false);
        let other = worker.clone();
        let offers = move || other.offer(Frame::new(Label::new("run", "a"), "event", 1, 1, "{}\n"));
        let host = Builder::new().spawn(offers).unwrap();
        let books = worker.shutdown(LONG);
        let offered = host.join().unwrap();
        let books_now = worker.statement();
        assert_eq!(books.residual(), 0);
        assert_eq!(books, books_now, "nothing is booked after the end");
        assert_eq!(books.account.delivered(), u64::from(offered == Offer::Accepted), "{offered:?}, {books:?}");
    });
}
