//! What a chain has done so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::dropped::DropReason;

/// Reasons of hosts that are counted by name; more are counted together as `other`.
const MAX_HOST_REASONS: usize = 64;

/// Counters of a chain, at one moment. All only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainStats {
    /// Records that came out.
    pub passed: u64,
    /// Records that were dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that a validator in mode `warn` let pass.
    pub warned: u64,
    /// Absent sections that the normaliser filled with their defaults.
    pub filled_sections: u64,
}

impl ChainStats {
    /// Records that were dropped, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// The live counters, shared with whoever reports them.
#[derive(Debug, Default)]
pub struct Counters {
    passed: AtomicU64,
    warned: AtomicU64,
    filled_sections: AtomicU64,
    dropped: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    /// The counters now.
    pub fn snapshot(&self) -> ChainStats {
        ChainStats {
            passed: self.passed.load(Ordering::Relaxed),
            dropped: self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            warned: self.warned.load(Ordering::Relaxed),
            filled_sections: self.filled_sections.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of warnings with this one.
    pub(crate) fn warned(&self) -> u64 {
        self.warned.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn filled(&self, sections: u64) {
        self.filled_sections.fetch_add(sections, Ordering::Relaxed);
    }

    /// The number of drops for this reason with this one.
    pub(crate) fn dropped(&self, reason: &DropReason) -> u64 {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let full = matches!(reason, DropReason::Transform(_)) && dropped.len() >= MAX_HOST_REASONS;
        let name = if full && !dropped.contains_key(reason.as_str()) { "other" } else { reason.as_str() };
        let count = dropped.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }
}
