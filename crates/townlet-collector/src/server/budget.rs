//! How many bytes of bodies there may be at a time, over all connections of a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::otlp::Room;

pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// A share of the budget, given back when it is dropped.
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }

    /// Room for what a body becomes that has `held` of the budget already; given back
    /// when this is dropped.
    pub(super) fn rooms(self: &Arc<Self>, held: usize) -> impl FnMut(usize) -> Room + use<> {
        let mut share = self.share();
        move |bytes| {
            if !share.could_have(bytes, held) {
                Room::Never
            } else if share.grow(bytes) {
                Room::Taken
            } else {
                Room::Later
            }
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// True where `more` bytes would fit at the moment. None is taken.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.budget.used().checked_add(more).is_some_and(|sum| sum <= self.budget.limit)
    }

    /// The bytes that it has.
    pub(super) fn held(&self) -> usize {
        self.bytes
    }

    /// True where `more` bytes beside its own and `others` would fit, were these all.
    pub(super) fn could_have(&self, more: usize, others: usize) -> bool {
        let sum = self.bytes.saturating_add(others).saturating_add(more);
        sum <= self.budget.limit
    }

    /// Gives back all but `left` bytes.
    pub(super) fn shrink(&mut self, left: usize) {
        let less = self.bytes.saturating_sub(left);
        self.bytes -= less;
        self.budget.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Takes `more` bytes; false, and nothing taken, where there are not so many left.
    #[must_use]
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let limit = self.budget.limit;
        let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= limit);
        let taken = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_limit_and_come_back() {
        let budget = Budget::new(10);
        let mut one = budget.share();
        assert!(one.grow(6) && !one.grow(5) && one.grow(4));
        let mut other = budget.share();
        assert!(!other.grow(1) && !other.grow(usize::MAX));
        assert!(other.has_room_for(0) && !other.has_room_for(1) && !other.has_room_for(usize::MAX));
        drop(one);
        assert_eq!(budget.used(), 0);
        assert!(other.grow(10));
        other.shrink(4);
        other.shrink(9);
        assert_eq!((other.held(), budget.used()), (4, 4));
    }
}
