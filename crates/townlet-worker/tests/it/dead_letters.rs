//! What a peer refuses for good goes to whoever keeps it, before it is counted.

use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use townlet_transport::{ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};
use townlet_worker::driver::{self, Bells, Seat};
use townlet_worker::{DeadLetters, DropReason, Machine, Options, Refusal};

use crate::fakes::*;

/// Numbers of refused frames, with the reason, the sink and what was said.
type Letter = (Vec<u64>, DropReason, String);

struct Keeper {
    told: mpsc::Sender<Letter>,
    panics: bool,
}

impl DeadLetters for Keeper {
    fn keep(&self, refusal: &Refusal<'_>, frames: &[Frame]) {
        let said = format!("{}: {}", refusal.sink, refusal.error);
        self.told.send((seqs(frames), refusal.reason, said)).unwrap();
        assert!(!self.panics, "a keeper's own mistake");
    }
}

struct Post {
    machine: Mutex<Machine>,
    bells: Bells,
    start: Instant,
    keeper: Arc<Keeper>,
}

impl Seat for Post {
    type State = Machine;

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
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

    fn dead_letters(&self) -> Option<Arc<dyn DeadLetters>> {
        Some(Arc::clone(&self.keeper) as Arc<dyn DeadLetters>)
    }
}

/// Six frames for a peer that takes the first, refuses the second as too large and the
/// two after it, and takes the rest. Gives the letters, and the books.
fn deliver(panics: bool) -> (Vec<Letter>, Machine) {
    let mut machine = Machine::new(Options { max_batch_size: 6, ..eager() }, 1);
    for seq in 1..=6 {
        offer(&mut machine, seq, 20);
    }
    let (told, letters) = mpsc::channel();
    let post = Post {
        machine: Mutex::new(machine),
        bells: Bells::default(),
        start: Instant::now(),
        keeper: Arc::new(Keeper { told, panics }),
    };
    let seat = Arc::new(post);
    let make: driver::Make = Box::new(|| {
        let mut turn = 0;
        let fake = Fake::sending(move |_| {
            turn += 1;
            let refusing = |kind, text| TransportError::new(kind, text);
            match turn {
                1 => Err(SendError::after(1, refusing(ErrorKind::TooLarge, "beyond its limit"))),
                2 => Err(SendError::refusing(0, 2, refusing(ErrorKind::Rejected, "not wanted"))),
                _ => Ok(Outcome::Settled(Level::Sent)),
            }
        });
        Ok(Box::new(fake) as Box<dyn Transport>)
    });
    let thread = driver::spawn("post", Arc::clone(&seat), make).unwrap();
    {
        let mut machine = seat.lock();
        let now = seat.now();
        machine.shutdown(now, now + PATIENCE);
    }
    seat.bells.ring_work();
    thread.join().unwrap();
    let post = Arc::into_inner(seat).unwrap();
    let machine = post.machine.into_inner().unwrap();
    drop(post.keeper);
    (letters.iter().collect(), machine)
}

#[test]
fn refused_frames_are_kept_with_the_reason_under_which_they_are_counted() {
    let (letters, machine) = deliver(false);
    assert_eq!(
        letters,
        [
            (vec![2], DropReason::Oversize, "post: too_large: beyond its limit".to_owned()),
            (vec![3, 4], DropReason::Rejected, "post: rejected: not wanted".to_owned()),
        ]
    );
    let account = machine.statement().account;
    assert_eq!((account.delivered(), account.dropped_for(DropReason::Oversize)), (3, 1));
    assert_eq!(account.dropped_for(DropReason::Rejected), 2);
    balanced(&machine);
}

#[test]
fn a_keeper_that_panics_costs_neither_a_frame_nor_a_restart() {
    let (letters, machine) = deliver(true);
    assert_eq!(letters.len(), 2);
    assert_eq!((machine.statement().account.delivered(), machine.status().worker_restart_count), (3, 0));
    balanced(&machine);
}
