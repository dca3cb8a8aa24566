//! Every order in which hosts, drivers and waiters may come, within a bound of preemptions (loom).
//!
//! The modules under test are those of the crate, compiled here once more with loom's mutexes, condition variables,
//! atomics and threads in the place of the standard library's (`crate::sync`). The machine that they drive is that of
//! the crate. Waits do not time out and the clock stands still, so a wake-up that does not come is a deadlock, and a
//! deadlock fails the model. Each model fails with a mistake planted in the code that it checks.
//!
//! A binary of its own, since those modules name things by `crate::`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[allow(dead_code, reason = "the spooler's thread is not under test here")]
#[expect(unused_imports, unreachable_pub, reason = "in the crate it is for others to use")]
#[path = "../../src/driver/mod.rs"]
mod driver;
mod planted;
mod queues;
#[expect(dead_code, unreachable_pub, reason = "in the crate it is for others to use")]
#[path = "../../src/receipt.rs"]
mod receipt;
mod receipts;
mod sync;
#[expect(dead_code, unreachable_pub, reason = "in the crate it is for others to use")]
#[path = "../../src/worker.rs"]
mod worker;

use std::process::Command;

use townlet_worker::{Account, DropReason, Options, Statement, Status};

mod machine {
    pub(crate) use townlet_worker::{Action, Machine};
}

mod refused {
    pub(crate) use townlet_worker::{DeadLetters, Refusal};
}

mod sink {
    pub(crate) use townlet_worker::{Admitted, Route, Sink};
}

mod spooler {
    pub(crate) use townlet_worker::{SpoolStatus, Spooler};
}

/// Goes through the orders of `model` with at most `preemptions` switches that no thread asked for: none may fail.
///
/// Then once more for each of `mistakes`, in a process that makes it: there one must fail, or the model could not.
/// In a process because loom cannot always unwind from a deadlock.
fn holds_but_with<M: Fn() + Copy + Send + Sync + 'static>(mistakes: &[&str], preemptions: usize, model: M) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    // In a thread with a stack of its own: loom's first one is small.
    builder.check(move || sync::Builder::new().spawn(model).unwrap().join().unwrap());
    if planted::is_any() {
        return;
    }
    // A closure is named after the function that it is in, and that is the test.
    let path = std::any::type_name::<M>().split_once("::").unwrap().1;
    let test = path.split_once("::{{").unwrap().0;
    for mistake in mistakes {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args([test, "--exact", "--nocapture"]).env(planted::VARIABLE, mistake).env("RUST_BACKTRACE", "0");
        let output = again.output().unwrap();
        let text = String::from_utf8_lossy;
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(said.contains("running 1 test"), "no test of the name {test}: {said}");
        assert!(!output.status.success(), "no order of the threads shows that {mistake}");
    }
}
