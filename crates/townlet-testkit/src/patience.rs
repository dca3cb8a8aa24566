//! Limits of time, on machines that are busy with other things.

use std::time::Duration;

/// So often may the machine have been busy.
const TRIES: usize = 20;

/// Fails where `attempt`, which says how long it took, takes longer than `limit` each
/// time that it is tried.
///
/// A machine that is busy delays one attempt, a mistake delays all of them: so a test of
/// a promise about time can keep its limit tight, and passes on a loaded machine all the
/// same. What must hold each time (the answer, a time that must not be undercut) belongs
/// into `attempt`.
///
/// # Panics
/// Where every attempt took longer than `limit`.
///
/// # Example
/// ```
/// use std::time::{Duration, Instant};
///
/// townlet_testkit::on_time("adding", Duration::from_secs(1), || {
///     let started = Instant::now();
///     assert_eq!(1 + 1, 2);
///     started.elapsed()
/// });
/// ```
#[track_caller]
pub fn on_time(what: &str, limit: Duration, mut attempt: impl FnMut() -> Duration) {
    let mut late = Vec::new();
    for _ in 0..TRIES {
        let took = attempt();
        if took <= limit {
            return;
        }
        late.push(took);
    }
    panic!("{what}: never within {limit:?}: {late:?}");
}
