//! Time that stands still until a test moves it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::sync::Watched;

/// A clock that a test moves. Clones show the same time.
///
/// It has two hands, as a real machine has: a monotonic one, which only goes
/// forward, and a wall clock, which can also be stepped back.
#[derive(Clone, Debug)]
pub struct SimClock {
    origin: Instant,
    hands: Arc<Watched<Hands>>,
}

#[derive(Debug)]
struct Hands {
    elapsed: Duration,
    wall: SystemTime,
}

impl SimClock {
    /// A clock at elapsed time zero whose wall shows 2026-01-01T00:00:00Z.
    #[expect(clippy::new_without_default, reason = "a clock is started, it has no default state")]
    pub fn new() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        Self { origin: Instant::now(), hands: Arc::new(Watched::new(Hands { elapsed: Duration::ZERO, wall })) }
    }

    /// Monotonic time. Its origin is arbitrary; only differences mean something.
    pub fn now(&self) -> Instant {
        self.origin + self.elapsed()
    }

    /// Monotonic time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.hands.lock().elapsed
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> SystemTime {
        self.hands.lock().wall
    }

    /// Lets `by` pass on both hands; returns the new monotonic time.
    pub fn advance(&self, by: Duration) -> Instant {
        self.hands.update(|hands| {
            hands.elapsed += by;
            hands.wall += by;
        });
        self.now()
    }

    /// Lets time pass until `at`; does nothing where that has passed.
    pub fn advance_to(&self, at: Instant) -> Instant {
        let by = at.saturating_duration_since(self.now());
        self.advance(by)
    }

    /// Sets the wall clock alone, forward or back, as NTP or an operator would.
    pub fn set_wall(&self, to: SystemTime) {
        self.hands.update(|hands| hands.wall = to);
    }
}
