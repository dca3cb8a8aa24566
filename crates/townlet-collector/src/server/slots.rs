//! The connections: who is there, who was.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::report::{CollectorReport, ConnectionReport, EndKind, Ending, LineCounts, Via};

/// Ended connections whose reports are kept; the sums go on for ever.
const REMEMBERED: usize = 256;

/// The listener that a connection came in by; each has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Lines,
    Web,
    #[cfg(feature = "grpc")]
    Grpc,
    /// Where we went out ourselves.
    #[cfg(feature = "nats")]
    Nats,
}

impl Door {
    /// How those who come in by it are called at first.
    fn via(self) -> Via {
        match self {
            Self::Lines => Via::Lines,
            Self::Web => Via::Http,
            #[cfg(feature = "grpc")]
            Self::Grpc => Via::Grpc,
            #[cfg(feature = "nats")]
            Self::Nats => Via::Nats,
        }
    }
}

/// One connection's place.
pub(super) struct Slot {
    pub(super) id: u64,
    door: Door,
    pub(super) peer: SocketAddr,
    report: Mutex<ConnectionReport>,
    /// The socket of a handshake that is going on, which a stop ends by closing it.
    handshake: Mutex<Option<TcpStream>>,
}

impl Slot {
    pub(super) fn handshaking(&self, socket: &TcpStream) {
        *self.handshake.lock().unwrap_or_else(PoisonError::into_inner) = socket.try_clone().ok();
    }

    pub(super) fn handshake_over(&self) {
        *self.handshake.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ConnectionReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What became of the connection, for reports.
    pub(super) fn via(&self) -> Via {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).via
    }

    fn snapshot(&self) -> ConnectionReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Default)]
pub(super) struct Slots {
    table: Mutex<Table>,
    left: Condvar,
}

#[derive(Default)]
struct Table {
    /// Listeners that still accept.
    listening: usize,
    open: BTreeMap<u64, Arc<Slot>>,
    ended: VecDeque<ConnectionReport>,
    ended_counts: LineCounts,
    endings: BTreeMap<&'static str, u64>,
    accepted: u64,
    refused: u64,
    accept_errors: u64,
    partial_lines: u64,
}

/// Takes a connection out of its slot when its thread ends, however it ends.
pub(super) struct Leaving<'a> {
    slots: &'a Slots,
    id: u64,
    pub(super) ending: Ending,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let ending = Ending { kind: self.ending.kind, detail: std::mem::take(&mut self.ending.detail) };
        self.slots.leave(self.id, ending);
    }
}

impl Slots {
    /// A place for a new connection, or `None` where all are taken.
    pub(super) fn enter(&self, peer: SocketAddr, door: Door, limit: usize) -> Option<Arc<Slot>> {
        let mut table = self.table();
        if table.open.values().filter(|slot| slot.door == door).count() >= limit {
            table.refused += 1;
            return None;
        }
        table.accepted += 1;
        let id = table.accepted;
        let report = ConnectionReport {
            id,
            peer,
            via: door.via(),
            tls: false,
            acks: false,
            counts: LineCounts::default(),
            acknowledged: 0,
            partial_bytes: 0,
            invalid_lines: Vec::new(),
            ended: None,
        };
        let slot = Arc::new(Slot { id, door, peer, report: Mutex::new(report), handshake: Mutex::default() });
        table.open.insert(id, Arc::clone(&slot));
        Some(slot)
    }

    pub(super) fn leave_at_end(&self, slot: &Slot) -> Leaving<'_> {
        let ending = Ending { kind: EndKind::Broken, detail: "its thread panicked".to_owned() };
        Leaving { slots: self, id: slot.id, ending }
    }

    pub(super) fn leave(&self, id: u64, ending: Ending) {
        let mut table = self.table();
        if let Some(slot) = table.open.remove(&id) {
            let mut report = slot.snapshot();
            add(&mut table.ended_counts, &report.counts);
            table.partial_lines += u64::from(report.partial_bytes > 0);
            *table.endings.entry(ending.kind.as_str()).or_default() += 1;
            // Requests without lines, such as scrapes, would push out what is worth remembering.
            let dull = ending.kind == EndKind::Finished && report.counts.lines == 0;
            report.ended = Some(ending);
            if dull {
                drop(table);
                return self.left.notify_all();
            }
            if table.ended.len() == REMEMBERED {
                table.ended.pop_front();
            }
            table.ended.push_back(report);
        }
        drop(table);
        self.left.notify_all();
    }

    pub(super) fn accept_failed(&self) {
        self.table().accept_errors += 1;
    }

    /// Open connections, by how they came in.
    pub(super) fn open_by_via(&self) -> BTreeMap<Via, u64> {
        let mut open = BTreeMap::new();
        for slot in self.table().open.values() {
            *open.entry(slot.via()).or_default() += 1;
        }
        open
    }

    /// True where a connection is open that came in by this door.
    #[cfg(feature = "grpc")]
    pub(super) fn are_open(&self, door: Door) -> bool {
        self.table().open.values().any(|slot| slot.door == door)
    }

    /// Ends the handshakes that are going on.
    pub(super) fn end_handshakes(&self) {
        for slot in self.table().open.values() {
            if let Some(socket) = &*slot.handshake.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }

    pub(super) fn listener_opened(&self) {
        self.table().listening += 1;
    }

    pub(super) fn listener_closed(&self) {
        self.table().listening -= 1;
        self.left.notify_all();
    }

    /// Waits until no listener accepts any more, at most until `deadline`: from then on
    /// no connection comes that is not here yet, and the addresses are free.
    pub(super) fn wait_for_listeners(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let still = |table: &mut Table| table.listening > 0;
        drop(self.left.wait_timeout_while(self.table(), left, still).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until no connection is open, at most until `deadline`; false where
    /// some still are.
    pub(super) fn wait_for_none(&self, deadline: Instant) -> bool {
        let mut table = self.table();
        while !table.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            table = self.left.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The connections' part of a report. Of the totals it fills in what
    /// connections know: lines, bytes, invalid.
    pub(super) fn report(&self) -> CollectorReport {
        let table = self.table();
        let mut totals = table.ended_counts;
        let mut connections: Vec<_> = table.ended.iter().cloned().collect();
        for slot in table.open.values() {
            let report = slot.snapshot();
            add(&mut totals, &report.counts);
            connections.push(report);
        }
        CollectorReport {
            totals,
            connections_accepted: table.accepted,
            connections_refused: table.refused,
            connections_open: table.open.len() as u64,
            accept_errors: table.accept_errors,
            endings: table.endings.clone(),
            partial_lines: table.partial_lines,
            connections,
            ..CollectorReport::default()
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sum: &mut LineCounts, part: &LineCounts) {
    sum.lines += part.lines;
    sum.bytes += part.bytes;
    sum.invalid += part.invalid;
}
