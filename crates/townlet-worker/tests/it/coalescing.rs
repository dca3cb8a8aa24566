//! `coalesce`: states that become one while they wait.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use townlet_testkit::frame_of_len;
use townlet_transport::{ErrorKind, Frame, Label, Level, StateBody};
use townlet_worker::{Admission, Backpressure, DropReason, Machine, Options, Route, Sink, SpillMode};

use crate::fakes::{balanced, error, ms, options, take};
use crate::simulation::Rng;

const EVENTS: u32 = 0;
const ITEM: usize = 10;
/// Items that one state keeps; what is more is counted.
const MOST: usize = 12;

/// A state with what happened in its tick: numbers that no two of a stream share.
struct Town {
    own: usize,
    items: Vec<u64>,
    lost: Arc<AtomicU64>,
}

impl StateBody for Town {
    fn weight(&self) -> usize {
        self.own + self.items.len() * ITEM
    }

    fn write_whole(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{}\n");
    }

    fn after(&self, older: &dyn StateBody) -> Option<Arc<dyn StateBody>> {
        let older = (older as &dyn Any).downcast_ref::<Self>()?;
        let mut items = older.items.clone();
        items.extend(&self.items);
        let surplus = items.len().saturating_sub(MOST);
        items.drain(..surplus);
        self.lost.fetch_add(surplus as u64, Ordering::Relaxed);
        Some(Arc::new(Self { own: self.own, items, lost: Arc::clone(&self.lost) }))
    }
}

fn items(frame: &Frame) -> &[u64] {
    let town = frame.state().and_then(|state| (state.as_ref() as &dyn Any).downcast_ref::<Town>());
    town.map_or(&[], |town| &town.items)
}

/// Two streams of states and one of events, into a machine.
struct Host {
    labels: [Label; 3],
    seqs: [u64; 3],
    next_item: u64,
    lost: Arc<AtomicU64>,
}

impl Host {
    fn new() -> Self {
        let labels = ["events", "town", "fleet"].map(|stream| Label::new("run-1", stream));
        Self { labels, seqs: [0; 3], next_item: 0, lost: Arc::default() }
    }

    fn state(&mut self, stream: u32, own: usize, count: u64) -> Frame {
        self.seqs[stream as usize] += 1;
        let first = self.next_item;
        self.next_item += count;
        let town = Town { own, items: (first..first + count).collect(), lost: Arc::clone(&self.lost) };
        let seq = self.seqs[stream as usize];
        Frame::unrendered(self.labels[stream as usize].clone(), "snapshot", seq, seq, Arc::new(town))
    }

    fn event(&mut self, len: usize) -> Frame {
        self.seqs[EVENTS as usize] += 1;
        frame_of_len(self.seqs[EVENTS as usize], len)
    }
}

/// Admits a frame and hands it over at once. None where it is a frame of the machine now, otherwise it comes back.
fn offer(machine: &mut Machine, stream: u32, frame: Frame) -> Result<(), Frame> {
    match machine.admit(stream, frame.tick(), frame.len()) {
        Admission::Upstream => {
            machine.fill(stream, frame.seq(), frame.len(), frame);
            Ok(())
        }
        Admission::Dropped(_) => Err(frame),
        Admission::EvictUpstream => {
            machine.refuse(stream, DropReason::Backpressure);
            Err(frame)
        }
        Admission::Full => panic!("`coalesce` waits for nothing"),
    }
}

/// What ended, and how, as somebody sees who is told nothing by the machine.
#[derive(Default)]
struct Seen {
    events: u64,
    states: u64,
    items: u64,
    /// By stream, what was sent last.
    newest: BTreeMap<u32, (u64, Option<u64>)>,
}

impl Seen {
    fn gone(&mut self, frame: &Frame) {
        match frame.state() {
            Some(_) => self.states += 1,
            None => self.events += 1,
        }
        self.items += items(frame).len() as u64;
    }

    /// In the order of its stream, and so is everything that happened.
    fn sent(&mut self, stream: u32, frame: &Frame, seed: u64) {
        self.gone(frame);
        let (seq, item) = self.newest.entry(stream).or_default();
        assert!(frame.seq() > *seq, "seed {seed}: {frame:?} after {seq}");
        *seq = frame.seq();
        let happened = items(frame);
        assert!(happened.len() <= MOST && happened.is_sorted_by(|a, b| a < b), "seed {seed}: {happened:?}");
        assert!(happened.first() > item.as_ref() || happened.is_empty(), "seed {seed}: {happened:?} after {item:?}");
        *item = happened.last().copied().or(*item);
    }
}

fn stream_of(frame: &Frame) -> u32 {
    match frame.label().stream() {
        "town" => 1,
        "fleet" => 2,
        _ => EVENTS,
    }
}

#[test]
fn states_merge_events_never_and_whatever_happened_is_sent_once_or_counted() {
    let mut merged = 0;
    for seed in 1..=400 {
        let mut rng = Rng::new(seed);
        let limits = Options {
            max_queue_length: rng.between(1, 16) as usize,
            max_buffer_bytes: rng.between(150, 1500) as usize,
            max_batch_size: rng.between(1, 6) as usize,
            backpressure: Backpressure::Coalesce,
            ..options()
        };
        let (most, most_bytes) = (limits.max_queue_length, limits.max_buffer_bytes);
        let mut machine = Machine::new(limits, seed);
        let (mut host, mut delivered, mut dropped) = (Host::new(), Seen::default(), Seen::default());
        let mut refused = Seen::default();
        for step in 1..=300 {
            let (stream, frame) = match rng.between(0, 9) {
                0..=3 => (EVENTS, host.event(rng.between(1, 120) as usize)),
                4..=7 => (1, host.state(1, rng.between(30, 80) as usize, rng.between(0, 4))),
                _ => (2, host.state(2, rng.between(30, 80) as usize, rng.between(0, 4))),
            };
            if let Err(frame) = offer(&mut machine, stream, frame) {
                refused.gone(&frame);
            }
            let status = machine.status();
            assert!(status.queue_length <= most && status.queue_bytes <= most_bytes, "seed {seed}: {status:?}");
            if rng.chance(15) {
                let batch = take(&mut machine);
                if rng.chance(60) {
                    machine.delivered(ms(step), batch.len(), Level::Sent, step, ms(0));
                    batch.iter().for_each(|frame| delivered.sent(stream_of(frame), frame, seed));
                } else {
                    machine.failed(ms(step), batch, &error(ErrorKind::Timeout));
                }
            }
            machine.take_graveyard().iter().for_each(|frame| dropped.gone(frame));
            balanced(&machine);
        }
        while let batch = take(&mut machine)
            && !batch.is_empty()
        {
            machine.delivered(ms(400), batch.len(), Level::Sent, 400, ms(0));
            batch.iter().for_each(|frame| delivered.sent(stream_of(frame), frame, seed));
        }
        let books = machine.statement().account;
        let coalesced = |stream: u32| machine.streams().get(stream as usize).map_or(0, |account| account.coalesced());
        assert_eq!(coalesced(EVENTS), 0, "seed {seed}: an event was merged");
        assert_eq!(host.seqs[0], delivered.events + dropped.events + refused.events, "seed {seed}");
        let states = delivered.states + dropped.states + refused.states + coalesced(1) + coalesced(2);
        assert_eq!(host.seqs[1] + host.seqs[2], states, "seed {seed}: {books:?}");
        let happened = delivered.items + dropped.items + refused.items + host.lost.load(Ordering::Relaxed);
        assert_eq!(host.next_item, happened, "seed {seed}: each item is somewhere, and once");
        merged += books.coalesced();
    }
    assert!(merged > 10_000, "{merged} states were merged");
}

#[test]
fn a_state_that_a_transport_has_had_stays_as_it_is() {
    let limits = Options { max_queue_length: 4, max_batch_size: 2, backpressure: Backpressure::Coalesce, ..options() };
    let mut machine = Machine::new(limits, 1);
    let mut host = Host::new();
    let mut put = |machine: &mut Machine| {
        let state = host.state(1, 50, 1);
        offer(machine, 1, state).unwrap();
    };
    (0..4).for_each(|_| put(&mut machine));
    // Two went out and came back; the peer may have them.
    let batch = take(&mut machine);
    machine.failed(ms(1), batch, &error(ErrorKind::Disconnected));
    (0..3).for_each(|_| put(&mut machine));
    let left = [take(&mut machine), take(&mut machine)].concat();
    let held: Vec<_> = left.iter().map(|frame| (frame.seq(), items(frame).to_vec())).collect();
    assert_eq!(held, [(1, vec![0]), (2, vec![1]), (6, vec![2, 3, 4, 5]), (7, vec![6])]);
    // Where nothing else can merge the oldest go, as under `drop_oldest`.
    let mut machine = Machine::new(machine.options().clone(), 1);
    (0..2).for_each(|_| put(&mut machine));
    let batch = take(&mut machine);
    machine.failed(ms(1), batch, &error(ErrorKind::Disconnected));
    for len in [10, 11, 12, 13] {
        offer(&mut machine, EVENTS, frame_of_len(len, len as usize)).unwrap();
    }
    let account = machine.statement().account;
    assert_eq!((account.coalesced(), account.dropped_for(DropReason::Backpressure)), (0, 2));
}

fn spilling(seed: u64) -> Sink {
    let limits = Options {
        max_queue_length: 8,
        backpressure: Backpressure::Coalesce,
        spill: Some(SpillMode::Overflow),
        ..options()
    };
    Sink::new(limits, seed, false)
}

#[test]
fn with_a_spill_states_merge_first_and_what_does_not_merge_goes_to_disk_in_order() {
    let mut sink = spilling(1);
    let mut host = Host::new();
    for _ in 0..20 {
        let state = host.state(1, 50, 1);
        offer(sink.machine(Route::Main), 1, state).unwrap();
        assert!(!sink.main().wants_spooler(), "memory has room for one state");
    }
    assert_eq!(sink.statement().account.coalesced(), 16);
    for _ in 0..4 {
        assert!(!sink.must_wait(20));
        let event = host.event(20);
        offer(sink.machine(Route::Main), EVENTS, event).unwrap();
    }
    // Four places are for the transport: what was there before the events went goes to disk with them.
    assert!(sink.main().wants_spooler());
    let books = sink.statement();
    assert_eq!((books.account.dropped(), books.residual()), (0, 0));
    assert_eq!(books.account.coalesced() + books.buffered, 24);
    // From now on everything goes behind it, states too; a host waits for the disk, and nothing is shed.
    while !sink.must_wait(20) {
        let state = host.state(1, 50, 1);
        offer(sink.machine(Route::Main), 1, state).unwrap();
    }
    assert_eq!(sink.machine(Route::Main).admit(EVENTS, 1, 20), Admission::Full);
    assert_eq!(sink.statement().account.dropped(), 0);
}
