//! Another transport for a running sink, on trial until it has delivered; other limits.

use super::{Machine, Phase};
use crate::Options;

/// What the driver is asked to do about the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Renewal {
    #[default]
    None,
    /// Build it anew: there is another one.
    Due,
    /// The one on trial has failed: go back.
    Revert,
}

impl Machine {
    /// There is another transport: the driver closes the present one, and what it
    /// has not settled is sent again by the next. A sink whose reader went away
    /// works again.
    ///
    /// `trial`: failures and panics that the new one may have before its first
    /// delivery; one more and [`Action::Revert`](super::Action::Revert) follows. None where there is
    /// nothing to go back to.
    pub fn renew(&mut self, trial: Option<u32>) {
        self.renewal = Renewal::Due;
        if self.phase == Phase::SinkClosed {
            self.phase = Phase::Running;
        }
        self.trial = trial;
        self.trial_failed = None;
        self.status.swaps_total += 1;
        self.pressed.set(true);
    }

    /// Works by other limits from now on. A smaller bound holds for what comes, and
    /// takes nothing away from what waits; only an event that is not a frame yet, and
    /// larger alone than the new bound, is dropped as `oversize`.
    ///
    /// What a run promises stays as it was: `name`, `backpressure`, `spill` and
    /// `settle_at`; with a spill also the two bounds of the queue, which the books
    /// on disk speak of.
    pub fn retune(&mut self, options: &Options) {
        let own = &self.options;
        let keeps = own.spill.is_some();
        let options = Options {
            name: own.name.clone(),
            backpressure: own.backpressure,
            spill: own.spill,
            settle_at: own.settle_at,
            max_queue_length: if keeps { own.max_queue_length } else { options.max_queue_length },
            max_buffer_bytes: if keeps { own.max_buffer_bytes } else { options.max_buffer_bytes },
            max_batch_size: options.max_batch_size.max(1),
            ..options.clone()
        };
        self.queue.retune(options.max_queue_length, options.max_buffer_bytes);
        self.backoff.retune(options.backoff, options.max_backoff);
        self.restarts.retune(options.restart_limit, options.restart_window);
        self.options = options;
        // What waits may be due by these.
        self.pressed.set(true);
    }

    /// True while a new transport has not delivered yet.
    pub fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// True where one has failed its trial, and the one before is not back yet.
    pub fn is_reverting(&self) -> bool {
        self.trial_failed.is_some()
    }

    /// True while the driver still has the transport before: what becomes of that one says nothing about the next.
    pub(super) fn is_outgoing(&self) -> bool {
        self.renewal == Renewal::Due
    }

    pub(crate) fn trial_passed(&mut self) {
        self.trial = None;
    }

    /// `for_good`: nothing that it may try helps.
    pub(super) fn trial_failure(&mut self, what: &str, for_good: bool) {
        if self.is_outgoing() {
            return;
        }
        match &mut self.trial {
            None => {}
            Some(left) if *left > 0 && !for_good => *left -= 1,
            Some(_) => {
                self.trial = None;
                self.trial_failed = Some(what.to_owned());
                self.renewal = Renewal::Revert;
                self.status.rollbacks_total += 1;
            }
        }
    }

    /// Why the last trial failed; taken once. None also where another transport has come since: there is nothing
    /// to go back from.
    pub fn take_trial_failure(&mut self) -> Option<String> {
        self.trial_failed.take()
    }
}
