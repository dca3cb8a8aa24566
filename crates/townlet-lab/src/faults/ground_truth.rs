//! What is true, whatever the books say: every event, what its emitter was told,
//! and what each peer got.

use std::collections::HashMap;
use std::time::Duration;

use townlet_schema::RunId;
use townlet_transport::{Frame, Level};
use townlet_worker::{DropReason, NoReceipt, Receipt};

use super::states::Happened;

/// The streams of a run: those of events, and behind them those of states.
pub(crate) const NAMES: [&str; STREAMS] = ["s0", "s1", "s2", "town", "fleet"];
pub(crate) const STREAMS: usize = 5;
pub(crate) const FIRST_STATES: usize = 3;

/// Who an event is: the run that made it, its stream, its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) run: u32,
    pub(crate) stream: usize,
    pub(crate) seq: u64,
}

impl Id {
    pub(crate) fn of(frame: &Frame) -> Self {
        let label = frame.label();
        let (Some(run), Some(stream)) = (number_of(label.run_id()), index_of(label.stream())) else {
            panic!("a frame of nobody: {frame:?}")
        };
        Self { run, stream, seq: frame.seq() }
    }

    pub(crate) fn is_state(self) -> bool {
        self.stream >= FIRST_STATES
    }

    /// The line of an event, so that one in a wrong envelope is noticed: as a collector
    /// reads it, or shorter where none does.
    pub(crate) fn line(self, tick: u64, filler: usize, whole: bool) -> String {
        let (name, seq, filler) = (NAMES[self.stream], self.seq, "x".repeat(filler));
        if !whole {
            return format!("{}/{name}/{seq}/{filler}\n", run_name(self.run, whole));
        }
        let run = run_name(self.run, whole);
        format!("{{\"run_id\":\"{run}\",\"stream\":\"{name}\",\"seq\":{seq},\"tick\":{tick},\"x\":\"{filler}\"}}\n")
    }

    /// Reads the envelope of a line.
    pub(crate) fn of_line(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        if !text.starts_with('{') {
            let mut parts = text.split('/');
            let (run, stream) = (number_of(parts.next()?)?, index_of(parts.next()?)?);
            return Some(Self { run, stream, seq: parts.next()?.parse().ok()? });
        }
        let value = |key: &str| text.split_once(key).map(|(_, rest)| rest);
        let run = number_of(value("\"run_id\":\"")?.get(..36)?)?;
        let stream = index_of(value("\"stream\":\"")?.split_once('"')?.0)?;
        let seq = value("\"seq\":")?.split_once([',', '}'])?.0.parse().ok()?;
        Some(Self { run, stream, seq })
    }
}

/// The identity of a run. As those of real runs it says which of two began first.
pub(crate) fn run_id(run: u32) -> RunId {
    RunId::from_u128(u128::from(run))
}

/// As it stands in labels: whole, or as short as it can be.
pub(crate) fn run_name(run: u32, whole: bool) -> String {
    if whole { run_id(run).to_string() } else { format!("run-{run}") }
}

pub(crate) fn number_of(run: &str) -> Option<u32> {
    match run.strip_prefix("run-") {
        Some(number) => number.parse().ok(),
        None => u32::from_str_radix(run.get(28..)?, 16).ok(),
    }
}

fn index_of(stream: &str) -> Option<usize> {
    NAMES.iter().position(|name| *name == stream)
}

/// What a host brings.
#[derive(Clone, Debug)]
pub(crate) enum Offered {
    Event(Vec<u8>),
    State(Happened),
}

/// How a line comes to the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving {
    /// The run that lives.
    pub(crate) live: u32,
    /// Nothing of this sink may ever come out of order.
    pub(crate) ordered: bool,
    /// Over a connection that was lost meanwhile, behind what came on the next.
    pub(crate) late: bool,
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
    /// A later state of its stream took its place, and what happened in its tick.
    Coalesced,
}

/// One event in one sink.
#[derive(Debug, Default)]
pub(crate) struct Fact {
    /// Of an event; a state is rendered for its peer.
    pub(crate) line: Vec<u8>,
    pub(crate) state: Option<Happened>,
    /// The later state that brought what happened in this one's tick.
    pub(crate) told_by: Option<u64>,
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
    pub(super) facts: HashMap<Id, Fact>,
    /// Whose receipts are still open.
    open: Vec<Id>,
    /// Of the run that lives: events by stream.
    accepted: [u64; STREAMS],
    delivered: [u64; STREAMS],
    dropped: [u64; STREAMS],
    coalesced: [u64; STREAMS],
    unwatched: u64,
    /// The newest number that arrived for the first time, by run and stream.
    newest: HashMap<(u32, usize), u64>,
    pub(crate) received: u64,
    pub(crate) repeated: u64,
}

impl Truth {
    pub(crate) fn accept(&mut self, id: Id, offered: &Offered, receipt: Option<Receipt>) {
        self.accepted[id.stream] += 1;
        match receipt {
            Some(_) => self.open.push(id),
            None => self.unwatched += 1,
        }
        let (line, state) = match offered.clone() {
            Offered::Event(line) => (line, None),
            Offered::State(state) => (Vec::new(), Some(state)),
        };
        let before = self.facts.insert(id, Fact { line, state, receipt, ..Fact::default() });
        assert!(before.is_none(), "{id:?} was accepted twice");
    }

    /// Accepted and dropped at once.
    pub(crate) fn refuse(&mut self, id: Id, offered: &Offered, reason: DropReason) {
        self.accept(id, offered, None);
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
                Err(NoReceipt::Timeout | NoReceipt::Ended) => return true,
                known => known,
            };
            fact.end = Some(match verdict {
                Err(NoReceipt::Dropped(reason)) => {
                    self.dropped[id.stream] += 1;
                    End::Dropped { reason, in_flight: flying.contains(id) }
                }
                Err(NoReceipt::Coalesced) => {
                    assert!(id.is_state(), "{id:?} is an event, and was merged");
                    self.coalesced[id.stream] += 1;
                    End::Coalesced
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

    /// Accepted, delivered, dropped and coalesced of a stream of the run that lives.
    pub(crate) fn counts(&self, stream: usize) -> [u64; 4] {
        [&self.accepted, &self.delivered, &self.dropped, &self.coalesced].map(|counts| counts[stream])
    }

    /// Events of a stream that may be delivered already: their receipts stay open until the commit that covers them.
    pub(crate) fn may_be_delivered(&self, stream: usize) -> u64 {
        let sent = |id: &&Id| {
            let receipt = self.facts.get(id).and_then(|fact| fact.receipt.as_ref());
            id.stream == stream && receipt.is_some_and(|receipt| receipt.has_reached(Level::Sent))
        };
        self.open.iter().filter(sent).count() as u64
    }

    /// The peer reads a line. True where it is the first time that it does.
    pub(crate) fn receive(&mut self, frame: &Frame, how: Arriving) -> bool {
        let Arriving { live, ordered, late } = how;
        let id = Id::of(frame);
        let Some(fact) = self.facts.get_mut(&id) else { panic!("spurious: {id:?} was never accepted") };
        match &fact.state {
            None => assert_eq!(frame.line(), fact.line, "corrupted: {id:?}"),
            Some(_) => assert_eq!(Id::of_line(frame.line()), Some(id), "a state in the envelope of another"),
        }
        if std::mem::replace(&mut fact.received, true) {
            self.repeated += 1;
            return false;
        }
        self.received += 1;
        assert!(fact.end != Some(End::Coalesced), "{id:?} arrives after a later state took its place");
        if late {
            return true;
        }
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
        true
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
        (self.accepted, self.delivered, self.dropped, self.coalesced) = Default::default();
        self.unwatched = 0;
    }

    /// After a power cut that may take what was not synced, nothing but a receipt is a promise.
    pub(crate) fn release_promises(&mut self) {
        self.facts.values_mut().for_each(|fact| fact.owed = false);
    }

    /// Events that somebody was promised, and that neither arrived nor were dropped by name.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Id, &Fact)> {
        self.facts.iter().filter(|(_, fact)| {
            let is_over = matches!(fact.end, Some(End::Dropped { .. } | End::Coalesced));
            (fact.durable || fact.owed) && !fact.received && !is_over
        })
    }

    /// States that a later one took the place of, over all runs.
    pub(crate) fn coalesced(&self) -> u64 {
        self.facts.values().filter(|fact| fact.end == Some(End::Coalesced)).count() as u64
    }

    /// Events that are neither at the peer nor dropped by name.
    pub(crate) fn unsettled(&self, run: u32) -> usize {
        self.facts.iter().filter(|(id, fact)| id.run == run && fact.end.is_none()).count()
    }
}
