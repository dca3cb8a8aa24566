//! Every order in which hosts, drivers, the spooler and waiters may come, within a bound of preemptions (loom).
//!
//! The modules of the crate are compiled here once more, with loom's mutexes, condition variables, atomics and threads
//! in the place of the standard library's (`crate::sync`). Waits do not time out and the clock of hosts and drivers
//! stands still, so a wake-up that does not come is a deadlock, and a deadlock fails the model, also where in life the
//! next look around, 50 ms later, would hide it. Each model fails with a mistake planted in the code that it checks.
//!
//! What `townlet-pipeline` puts round driver and spooler is here a small copy ([`rig`]): of its own code nothing is
//! shown, such as the stage and `flush`. Nor is what depends on time alone: an account that is stored each second, a
//! disk that takes something again, a sink that is tried again after a pause.
//!
//! A binary of its own, since those modules name things by `crate::`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod disk;
mod planted;
mod queues;
mod receipts;
mod rig;
mod spools;
mod sync;

#[allow(dead_code, unused_imports, unreachable_pub, reason = "in the crate it is for others to use")]
#[path = "../../src"]
mod of_the_crate {
    pub(crate) mod age;
    pub(crate) mod backoff;
    pub(crate) mod driver;
    pub(crate) mod ledger;
    pub(crate) mod machine;
    pub(crate) mod options;
    pub(crate) mod queue;
    pub(crate) mod reason;
    pub(crate) mod receipt;
    pub(crate) mod refused;
    pub(crate) mod sink;
    pub(crate) mod spooler;
    pub(crate) mod status;
    pub(crate) mod worker;
}

use std::process::Command;

use of_the_crate::ledger::{Account, Statement};
use of_the_crate::options::{Backpressure, Options, SpillMode};
use of_the_crate::reason::DropReason;
use of_the_crate::receipt::Receipt;
use of_the_crate::status::Status;
use of_the_crate::{age, backoff, driver, ledger, machine, queue, receipt, refused, sink, spooler, worker};

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
