//! Time as an argument.

use std::time::{Duration, Instant, SystemTime};

use crate::moment::Moment;

/// Two clocks: what the calendar says, and a stopwatch that nobody sets.
pub trait Clock {
    /// The time of day, for records. It may jump.
    fn now(&self) -> Moment;

    /// Time since some fixed point, for durations. It never goes back.
    fn elapsed(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the stopwatch.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Moment::from_ms(match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => ms(after),
            Err(before) => -ms(before.duration()),
        })
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
