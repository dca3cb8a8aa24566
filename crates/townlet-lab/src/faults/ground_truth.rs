//! What is true, whatever the books say: every event, what its emitter was told,
//! and what each peer got.

use std::collections::HashMap;
use std::time::Duration;

use townlet_transport::{Frame, Level};
use townlet_worker::{DropReason, NoReceipt, Receipt};

pub(crate) const STREAMS: usize = 3;

/// Who an event is: the run that made it, its stream, its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) run: u32,
    pub(crate) stream: usize,
    pub(crate) seq: u64,
}

impl Id {
    pub(crate) fn of(frame: &Frame) -> Self {
        let run = frame.label().run_id().strip_prefix("run-").and_then(|n| n.parse().ok());
        let stream = frame.label().stream().strip_prefix("s").and_then(|n| n.parse().ok());
        let (Some(run), Some(stream)) = (run, stream) else { panic!("a frame of nobody: {frame:?}") };
        Self { run, stream, seq: frame.seq() }
    }

    /// What every line begins with, so that a line in a wrong envelope is noticed.
    pub(crate) fn text(self) -> String {
        format!("run-{}/s{}/{}/", self.run, self.stream, self.seq)
    }

    /// Reads the beginning of a line.
    pub(crate) fn of_line(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut parts = text.split('/');
        let run = parts.next()?.strip_prefix("run-")?.parse().ok()?;
        let stream = parts.next()?.strip_prefix("s")?.parse().ok()?;
        Some(Self { run, stream, seq: parts.next()?.parse().ok()? })
    }
}

/// How an event ended in its own run, as its emitter was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    Dropped {
        reason: DropReason,
        /// The transport had it at that moment.
        in_flight: bool,
    },
}

/// One event in one sink.
#[derive(Debug, Default)]
pub(crate) struct Fact {
    pub(crate) line: Vec<u8>,
    receipt: Option<Receipt>,
    /// The emitter was told that it is on stable storage.
    pub(crate) durable: bool,
    pub(crate) end: Option<End>,
    /// The run that made it ended in order, and neither delivered nor dropped it: it is owed.
    pub(crate) owed: bool,
    pub(crate) received: bool,
}

/// All events of one sink, and its peer.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    facts: HashMap<Id, Fact>,
    /// Whose receipts are still open.
    open: Vec<Id>,
    /// Of the run that lives: events by stream.
    accepted: [u64; STREAMS],
    delivered: [u64; STREAMS],
    dropped: [u64; STREAMS],
    unwatched: u64,
    /// The newest number that arrived for the first time, by run and stream.
    newest: HashMap<(u32, usize), u64>,
    pub(crate) received: u64,
    pub(crate) repeated: u64,
}

impl Truth {
    pub(crate) fn accept(&mut self, id: Id, line: &[u8], receipt: Option<Receipt>) {
        self.accepted[id.stream] += 1;
        match receipt {
            Some(_) => self.open.push(id),
            None => self.unwatched += 1,
        }
        let before = self.facts.insert(id, Fact { line: line.to_vec(), receipt, ..Fact::default() });
        assert!(before.is_none(), "{id:?} was accepted twice");
    }

    /// Accepted and dropped at once.
    pub(crate) fn refuse(&mut self, id: Id, line: &[u8], reason: DropReason) {
        self.accept(id, line, None);
        self.unwatched -= 1;
        self.dropped[id.stream] += 1;
        if let Some(fact) = self.facts.get_mut(&id) {
            fact.end = Some(End::Dropped { reason, in_flight: false });
        }
    }

    /// Looks at the receipts. True where one became durable. `flying`: what the transport has.
    pub(crate) fn look(&mut self, flying: &[Id]) -> bool {
        let mut news = false;
        let mut open = std::mem::take(&mut self.open);
        open.retain(|id| {
            let Some(fact) = self.facts.get_mut(id) else { return false };
            let Some(receipt) = &fact.receipt else { return false };
            if !fact.durable && receipt.has_reached(Level::Durable) {
                fact.durable = true;
                news = true;
            }
            assert!(
                !receipt.has_reached(Level::PeerAcked) || fact.received,
                "a receipt says that the peer has {id:?}, which it has not"
            );
            let verdict = match receipt.wait(Level::PeerAcked, Duration::ZERO) {
                Err(NoReceipt::Timeout) => return true,
                known => known,
            };
            fact.end = Some(match verdict {
                Err(NoReceipt::Dropped(reason)) => {
                    self.dropped[id.stream] += 1;
                    End::Dropped { reason, in_flight: flying.contains(id) }
                }
                _ => {
                    assert!(fact.received, "counted delivered, and the peer has not got it: {id:?}");
                    self.delivered[id.stream] += 1;
                    End::Delivered
                }
            });
            false
        });
        self.open = open;
        news
    }

    /// Whether every accepted event of this run has a receipt, or was dropped at once.
    pub(crate) fn knows_all(&self) -> bool {
        self.unwatched == 0
    }

    /// Accepted, delivered and dropped of a stream of the run that lives.
    pub(crate) fn counts(&self, stream: usize) -> (u64, u64, u64) {
        (self.accepted[stream], self.delivered[stream], self.dropped[stream])
    }

    /// Events of a stream that may be delivered already: their receipts stay open until the commit that covers them.
    pub(crate) fn may_be_delivered(&self, stream: usize) -> u64 {
        let sent = |id: &&Id| {
            let receipt = self.facts.get(id).and_then(|fact| fact.receipt.as_ref());
            id.stream == stream && receipt.is_some_and(|receipt| receipt.has_reached(Level::Sent))
        };
        self.open.iter().filter(sent).count() as u64
    }

    /// The peer reads a line. `live` is the run that sends it; `ordered`: nothing
    /// of this sink may ever come out of order.
    pub(crate) fn receive(&mut self, frame: &Frame, live: u32, ordered: bool) {
        let id = Id::of(frame);
        let Some(fact) = self.facts.get_mut(&id) else { panic!("spurious: {id:?} was never accepted") };
        assert_eq!(frame.line(), fact.line, "corrupted: {id:?}");
        if std::mem::replace(&mut fact.received, true) {
            self.repeated += 1;
            return;
        }
        self.received += 1;
        if let Some(End::Dropped { reason, in_flight: false }) = fact.end
            && id.run == live
        {
            panic!("{id:?} arrives after it was counted dropped ({reason}) while no transport had it");
        }
        let newest = self.newest.entry((id.run, id.stream)).or_default();
        if id.run == live || ordered {
            assert!(id.seq > *newest, "out of order: {id:?} for the first time after number {newest}");
        }
        *newest = id.seq.max(*newest);
    }

    /// The run ends, in order: what is neither delivered nor dropped is owed by the next.
    pub(crate) fn end_run(&mut self, run: u32, in_order: bool) {
        if in_order && self.knows_all() {
            for (id, fact) in &mut self.facts {
                fact.owed |= id.run == run && fact.end.is_none();
            }
        }
        for id in std::mem::take(&mut self.open) {
            if let Some(fact) = self.facts.get_mut(&id) {
                fact.receipt = None;
            }
        }
        (self.accepted, self.delivered, self.dropped, self.unwatched) = Default::default();
    }

    /// After a power cut that may take what was not synced, nothing but a receipt is a promise.
    pub(crate) fn release_promises(&mut self) {
        self.facts.values_mut().for_each(|fact| fact.owed = false);
    }

    /// Events that somebody was promised, and that neither arrived nor were dropped by name.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Id, &Fact)> {
        self.facts.iter().filter(|(_, fact)| {
            (fact.durable || fact.owed) && !fact.received && !matches!(fact.end, Some(End::Dropped { .. }))
        })
    }

    /// Events that are neither at the peer nor dropped by name.
    pub(crate) fn unsettled(&self, run: u32) -> usize {
        self.facts.iter().filter(|(id, fact)| id.run == run && fact.end.is_none()).count()
    }
}
