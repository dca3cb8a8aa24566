//! The live tap: frames as they are made, for whoever asks.
//!
//! The worker's path pays for one load a batch while nobody taps. While somebody
//! does, it hands rendered lines over by reference, as many at a time as lie
//! together: it neither looks into them nor waits, locks nothing that a reader
//! holds for longer than it takes to attach, and wakes nobody. Finding the lines,
//! reading their envelopes and choosing among them is done on the reader's thread.

mod filter;
mod showing;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use townlet_schema::Kind;
use townlet_transport::Frame;

use self::filter::Filter;
use self::showing::{Batch, Piece};

pub(crate) use self::showing::Showing;

/// How often a reader looks for frames: at first, and at last where none come.
const SHORTEST_DOZE: Duration = Duration::from_millis(1);
const LONGEST_DOZE: Duration = Duration::from_millis(50);

/// Batches that may wait for one reader; their places are allocated when it attaches.
const MOST_BATCHES: usize = 4096;

/// What a tap shows, and how much may wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapOptions {
    /// Kinds to show; all where empty.
    pub kinds: Vec<Kind>,
    /// Full names of streams to show, `*` for any characters (`town.*`); all where empty.
    pub streams: Vec<String>,
    /// Frames that may wait until they are read, of whatever kind and stream:
    /// once so many do, later ones are missed. They come in batches (of at most
    /// 256, and at most 4096 of them), of which the last may go beyond. At least 1.
    pub capacity: usize,
    /// The same in bytes of memory, with those of neighbours that share it; a
    /// batch of small events counts up to eight times its text.
    pub max_bytes: usize,
}

impl Default for TapOptions {
    /// Everything; 65,536 frames or 32 MiB may wait.
    fn default() -> Self {
        Self { kinds: Vec::new(), streams: Vec::new(), capacity: 65_536, max_bytes: 32 << 20 }
    }
}

/// What the worker's side knows of all taps of a pipeline.
#[derive(Default)]
pub(crate) struct TapPoint {
    /// Nothing else is looked at while it is 0.
    attached: AtomicUsize,
    outlets: Mutex<Outlets>,
}

#[derive(Default)]
struct Outlets {
    closed: bool,
    open: Vec<Outlet>,
}

/// The worker's end of one tap.
struct Outlet {
    batches: SyncSender<Given>,
    gauge: Arc<Gauge>,
    capacity: usize,
    max_bytes: usize,
}

/// What waits for one tap. The worker adds, the reader subtracts; `missed` is the worker's.
#[derive(Default)]
struct Gauge {
    frames: AtomicUsize,
    bytes: AtomicUsize,
    missed: AtomicU64,
}

/// A batch, as one tap gets it.
struct Given {
    batch: Arc<Batch>,
    /// What this tap had missed when the batch was made.
    missed: u64,
}

impl TapPoint {
    /// Where to gather the next batch, if anybody looks.
    #[inline]
    pub(crate) fn showing(&self) -> Option<Showing> {
        (self.attached.load(Ordering::Relaxed) != 0).then(Showing::default)
    }

    /// Hands a batch to those who tap.
    #[cold]
    pub(crate) fn show(&self, showing: Showing) {
        let batch = showing.finish();
        if batch.frames == 0 {
            return;
        }
        let batch = Arc::new(batch);
        for outlet in &self.lock().open {
            outlet.give(&batch);
        }
    }

    pub(crate) fn attach(self: &Arc<Self>, options: &TapOptions) -> Tap {
        let (sender, batches) = sync_channel(options.capacity.clamp(1, MOST_BATCHES));
        let gauge = Arc::<Gauge>::default();
        let mut outlets = self.lock();
        // Of a pipeline that has ended the tap is over at once: its sender goes here.
        if !outlets.closed {
            outlets.open.push(Outlet {
                batches: sender,
                gauge: Arc::clone(&gauge),
                capacity: options.capacity.max(1),
                max_bytes: options.max_bytes.max(1),
            });
            self.attached.store(outlets.open.len(), Ordering::Relaxed);
        }
        drop(outlets);
        Tap {
            point: Arc::clone(self),
            batches,
            gauge,
            filter: Filter::new(options),
            reading: None,
            missed: 0,
            over: false,
            doze: SHORTEST_DOZE,
        }
    }

    fn detach(&self, gauge: &Arc<Gauge>) {
        let mut outlets = self.lock();
        outlets.open.retain(|outlet| !Arc::ptr_eq(&outlet.gauge, gauge));
        self.attached.store(outlets.open.len(), Ordering::Relaxed);
    }

    /// Ends every tap once it has read what waits for it.
    pub(crate) fn close(&self) {
        let mut outlets = self.lock();
        outlets.closed = true;
        outlets.open.clear();
        self.attached.store(0, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Outlets> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    fn give(&self, batch: &Arc<Batch>) {
        let gauge = &*self.gauge;
        let missed = gauge.missed.load(Ordering::Relaxed);
        let full = gauge.frames.load(Ordering::Relaxed) >= self.capacity
            || gauge.bytes.load(Ordering::Relaxed) >= self.max_bytes;
        if !full {
            // Added first: the reader subtracts as soon as it has the batch.
            gauge.frames.fetch_add(batch.frames, Ordering::Relaxed);
            gauge.bytes.fetch_add(batch.bytes, Ordering::Relaxed);
            if self.batches.try_send(Given { batch: Arc::clone(batch), missed }).is_ok() {
                return;
            }
            gauge.frames.fetch_sub(batch.frames, Ordering::Relaxed);
            gauge.bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        }
        // Release: a reader that sees this has seen every batch before it.
        gauge.missed.store(missed + batch.frames as u64, Ordering::Release);
    }
}

/// A subscription to a pipeline's frames; see [`Telemetry::tap`](crate::Telemetry::tap).
/// It detaches when it is dropped.
pub struct Tap {
    point: Arc<TapPoint>,
    batches: Receiver<Given>,
    gauge: Arc<Gauge>,
    filter: Filter,
    reading: Option<Reading>,
    missed: u64,
    over: bool,
    doze: Duration,
}

/// The batch in hand, and how far it has been read.
struct Reading {
    batch: Arc<Batch>,
    piece: usize,
    at: usize,
}

impl Tap {
    /// The next frame that the tap asks for; none where none came within `wait`
    /// (which it may exceed by the time that one batch takes), or where the
    /// pipeline has ended: see [`is_over`](Self::is_over). It looks for new frames
    /// every 1 to 50 ms.
    pub fn next(&mut self, wait: Duration) -> Option<Frame> {
        // An end beyond the clock's range is no end.
        let end = Instant::now().checked_add(wait);
        loop {
            if let Some(frame) = self.read_on() {
                return Some(frame);
            }
            // Read first: what is missed after this is behind what is received now.
            let missed = self.gauge.missed.load(Ordering::Acquire);
            let left = end.map_or(LONGEST_DOZE, |end| end.saturating_duration_since(Instant::now()));
            match self.batches.try_recv() {
                Ok(Given { batch, missed }) => {
                    self.missed = missed;
                    self.reading = Some(Reading { batch, piece: 0, at: 0 });
                    self.doze = SHORTEST_DOZE;
                    continue;
                }
                Err(TryRecvError::Disconnected) => {
                    self.missed = self.gauge.missed.load(Ordering::Acquire);
                    self.over = true;
                    return None;
                }
                Err(TryRecvError::Empty) => self.missed = missed,
            }
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(self.doze.min(left));
            self.doze = (self.doze * 2).min(LONGEST_DOZE);
        }
    }

    /// Frames that went by before the latest one returned, or before now where
    /// none waits, because this tap was too slow. They were not looked into:
    /// with a filter, not all of them need have been asked for. Each stream's
    /// `seq` shows where.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// True once the pipeline has ended and everything that waited was returned.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next frame of the batch in hand that is asked for; lets go of the batch at its end.
    fn read_on(&mut self) -> Option<Frame> {
        let Reading { batch, piece, at } = self.reading.as_mut()?;
        while let Some(here) = batch.pieces.get(*piece) {
            let found = match here {
                Piece::Lines(lines) => self.filter.line(lines, at),
                // One piece, one frame: what follows is in the next.
                Piece::Captured(frame) => self.filter.frame(frame, std::mem::replace(at, 1)),
            };
            if found.is_some() {
                return found;
            }
            *piece += 1;
            *at = 0;
        }
        self.gauge.frames.fetch_sub(batch.frames, Ordering::Relaxed);
        self.gauge.bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
        self.reading = None;
        None
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.point.detach(&self.gauge);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("missed", &self.missed).field("over", &self.over).finish_non_exhaustive()
    }
}
