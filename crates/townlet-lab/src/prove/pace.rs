//! A host that emits on a schedule, and sleeps between as a host does.

use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(1);

/// Sleeps until then.
pub(super) fn wait_until(then: Instant) {
    loop {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

/// Calls `each` with 0, 1, 2 … so many times a second, for so long. Calls that
/// are due together come together, about every millisecond, and after a stall
/// the schedule is caught up with, for which there is time until `at_most`.
/// Returns the calls that were made.
///
/// # Errors
/// Those of `each`.
pub(super) fn paced(
    per_second: u64,
    duration: Duration,
    at_most: Duration,
    mut each: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let began = Instant::now();
    let total = (per_second as f64 * duration.as_secs_f64()) as u64;
    let mut made = 0;
    while made < total {
        let now = began.elapsed();
        // A host that is made to wait is late; it does not go on for ever.
        if now > at_most {
            break;
        }
        let due = ((now.as_secs_f64() * per_second as f64) as u64 + 1).min(total);
        if made < due {
            each(made)?;
            made += 1;
        } else {
            wait_until(began + now + STEP);
        }
    }
    Ok(made)
}
