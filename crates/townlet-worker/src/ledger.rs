//! The books: what was accepted and how it ended.

use std::ops::AddAssign;

use townlet_transport::Level;

use crate::DropReason;

/// How the accepted events of one stream, or of all, ended so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    accepted: u64,
    delivered: [u64; 3],
    dropped: [u64; DropReason::ALL.len()],
    coalesced: u64,
}

fn level_index(level: Level) -> usize {
    match level {
        Level::PeerAcked => 1,
        Level::Durable => 2,
        // `Level` may grow; the weakest claim is the honest one for a level unknown here.
        _ => 0,
    }
}

impl Account {
    /// Events taken over from the host.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Events delivered, at any level.
    pub fn delivered(&self) -> u64 {
        self.delivered.iter().sum()
    }

    /// Events whose delivery was settled at exactly `level`.
    pub fn delivered_at(&self, level: Level) -> u64 {
        self.delivered[level_index(level)]
    }

    /// Events dropped for `reason`.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Events dropped, for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// States that a newer one of their stream took the place of.
    pub fn coalesced(&self) -> u64 {
        self.coalesced
    }

    /// Reasons that occurred, with their counts.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().map(|r| (r, self.dropped_for(r))).filter(|(_, n)| *n > 0)
    }

    pub(crate) fn deliver(&mut self, level: Level, events: u64) {
        self.delivered[level_index(level)] += events;
    }

    pub(crate) fn drop_one(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}

impl AddAssign<&Account> for Account {
    fn add_assign(&mut self, other: &Account) {
        self.accepted += other.accepted;
        for (mine, theirs) in self.delivered.iter_mut().zip(other.delivered) {
            *mine += theirs;
        }
        for (mine, theirs) in self.dropped.iter_mut().zip(other.dropped) {
            *mine += theirs;
        }
        self.coalesced += other.coalesced;
    }
}

/// An account together with what is on its way, read at one instant.
///
/// `buffered` and `spilled` are counted on the queues themselves, not derived from the other
/// columns; therefore [`residual`](Self::residual) can show a mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// What has ended.
    pub account: Account,
    /// What waits in memory or is in flight.
    pub buffered: u64,
    /// What is on disk alone, for later.
    pub spilled: u64,
}

impl Statement {
    /// `accepted − delivered − dropped − coalesced − buffered − spilled`. Anything but 0 is a bug.
    pub fn residual(&self) -> i128 {
        i128::from(self.account.accepted())
            - i128::from(self.account.delivered())
            - i128::from(self.account.dropped())
            - i128::from(self.account.coalesced())
            - i128::from(self.buffered)
            - i128::from(self.spilled)
    }
}

impl AddAssign<&Statement> for Statement {
    fn add_assign(&mut self, other: &Statement) {
        self.account += &other.account;
        self.buffered += other.buffered;
        self.spilled += other.spilled;
    }
}

/// The account of one sink, in total and by stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    total: Account,
    streams: Vec<Account>,
}

impl Ledger {
    fn stream(&mut self, stream: u32) -> &mut Account {
        let index = stream as usize;
        if index >= self.streams.len() {
            self.streams.resize(index + 1, Account::default());
        }
        &mut self.streams[index]
    }

    pub(crate) fn accept_many(&mut self, stream: u32, events: u64) {
        self.total.accepted += events;
        self.stream(stream).accepted += events;
    }

    pub(crate) fn drop_many(&mut self, stream: u32, reason: DropReason, events: u64) {
        self.total.dropped[reason as usize] += events;
        self.stream(stream).dropped[reason as usize] += events;
    }

    pub(crate) fn deliver(&mut self, stream: u32, level: Level, events: u64) {
        if events > 0 {
            self.total.deliver(level, events);
            self.stream(stream).deliver(level, events);
        }
    }

    pub(crate) fn drop_one(&mut self, stream: u32, reason: DropReason) {
        self.total.drop_one(reason);
        self.stream(stream).drop_one(reason);
    }

    pub(crate) fn coalesce_one(&mut self, stream: u32) {
        self.total.coalesced += 1;
        self.stream(stream).coalesced += 1;
    }

    pub(crate) fn total(&self) -> &Account {
        &self.total
    }

    pub(crate) fn streams(&self) -> &[Account] {
        &self.streams
    }
}
