//! Threads and tasks that wait for a receipt.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use townlet_transport::Level;

use crate::receipt::{NoReceipt, Receipt};
use crate::sync::{Builder, Condvar, JoinHandle, Mutex};
use crate::{DropReason, holds_but_with};

const LONG: Duration = Duration::from_secs(1000);

fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(work).unwrap()
}

/// The smallest executor: a thread that sleeps until its task is woken.
#[derive(Default)]
struct Bed {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let bed = Arc::new(Bed::default());
    let waker = Waker::from(Arc::clone(&bed));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut woken = bed.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = bed.changed.wait(woken).unwrap();
        }
    }
}

#[test]
fn threads_that_wait_for_two_levels_both_hear_of_theirs() {
    holds_but_with(&["a thread that waits for a receipt is not told"], 3, || {
        let receipt = Receipt::new();
        let (sent, acked) = (receipt.clone(), receipt.clone());
        let sent = thread(move || sent.wait(Level::Sent, LONG));
        let acked = thread(move || acked.wait(Level::PeerAcked, LONG));
        receipt.note(Level::Sent);
        receipt.note_delivered(Level::PeerAcked);
        assert_eq!((sent.join().unwrap(), acked.join().unwrap()), (Ok(()), Ok(())));
    });
}

#[test]
fn a_task_that_waits_for_a_receipt_is_woken_by_a_delivery_and_by_a_drop() {
    holds_but_with(&["a task that waits for a receipt is not told"], 3, || {
        let receipt = Receipt::new();
        let (sent, durable) = (receipt.reached(Level::Sent), receipt.reached(Level::Durable));
        let sent = thread(move || block_on(sent));
        let durable = thread(move || block_on(durable));
        receipt.note(Level::Sent);
        receipt.note_dropped(DropReason::Rejected);
        assert_eq!(sent.join().unwrap(), Ok(()));
        assert_eq!(durable.join().unwrap(), Err(NoReceipt::Dropped(DropReason::Rejected)));
    });
}
