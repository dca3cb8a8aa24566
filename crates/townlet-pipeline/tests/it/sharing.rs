//! Who encodes: the stage, or the host for a stage that is behind; and that nobody can tell from the lines.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

use proptest::prelude::*;
use serde::{Serialize, Serializer};
use townlet_pipeline::Options;
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_testkit::Script;
use townlet_transform::{ChainBuilder, TransformSpec};

use crate::fakes::{Order, PATIENCE, With, builder, delivered, eager, lazy, noted};

/// Counts where it is encoded.
struct Spy {
    host: ThreadId,
    here: &'static AtomicUsize,
}

impl Serialize for Spy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.here.fetch_add(usize::from(std::thread::current().id() == self.host), Ordering::SeqCst);
        [("event", "spied")].into_iter().collect::<std::collections::BTreeMap<_, _>>().serialize(serializer)
    }
}

impl HeapSize for Spy {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Spy {
    const KIND: Kind = Kind::Event;
}

#[test]
fn a_host_encodes_its_events_while_the_stage_is_behind_and_not_for_one_that_is_held_up() {
    static HERE: AtomicUsize = AtomicUsize::new(0);
    let host = std::thread::current().id();
    let script = Script::new();
    script.hold_next_send();
    let options = Options { max_queue_length: 4000, max_batch_size: 1, ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let spies = telemetry.stream("spies").unwrap();
    let emit = |n| spies.emit(n, Spy { host, here: &HERE }).unwrap();
    emit(0);
    assert!(script.wait_until_held(PATIENCE));
    for n in 1..2000 {
        emit(n);
    }
    assert_eq!(HERE.load(Ordering::SeqCst), 0, "a sink that is held up needs no help");
    // The next hand leaves most of them waiting.
    script.hold_next_send();
    script.release();
    assert!(script.wait_for_sends(2, PATIENCE) && script.wait_until_held(PATIENCE));
    for n in 0..1500 {
        emit(2000 + n);
    }
    let helped = HERE.load(Ordering::SeqCst);
    assert_eq!(helped, 1024, "as many as it asked for");
    script.release();
    delivered(&telemetry, "main", 3500);
    assert_eq!(script.received_seqs(), (1..=3500).collect::<Vec<_>>());
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Owned,
    Borrowed,
    Ready,
}

fn events() -> impl Strategy<Value = Vec<(Way, usize, bool)>> {
    let way = prop_oneof![Just(Way::Owned), Just(Way::Borrowed), Just(Way::Ready)];
    let len = prop_oneof![6 => 0..600usize, 2 => 10_000..20_000usize, 1 => 60_000..80_000usize];
    prop::collection::vec((way, len, any::<bool>()), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// By whichever way an event goes in and whatever lies around it, its line is the same.
    #[test]
    fn the_way_in_shows_in_no_line(events in events(), sinks in 1..=2usize, transforms in any::<bool>()) {
        let run = |choose: fn(Way) -> Way| {
            let scripts: Vec<_> = (0..sinks).map(|_| Script::new()).collect();
            let nothing = TransformSpec::EnsureFields {
                required_fields_by_kind: Default::default(),
                default_required_fields: Vec::new(),
            };
            let chain = ChainBuilder::new().spec(nothing).without_redaction().build().unwrap();
            let start = if transforms { builder() } else { builder().transforms(chain) };
            let options = |n| Options { max_buffer_bytes: 64 << 20, ..lazy(&format!("sink-{n}")) };
            let start = scripts.iter().enumerate().fold(start, |b, (n, script)| b.scripted(options(n), script));
            let telemetry = start.start().unwrap();
            let streams = [telemetry.stream::<Order>("a").unwrap(), telemetry.stream::<Order>("b").unwrap()];
            for (n, (way, len, second)) in events.iter().enumerate() {
                let (stream, order) = (&streams[usize::from(*second)], noted(n as u64, *len));
                match choose(*way) {
                    Way::Owned => stream.emit(n as u64, order),
                    Way::Borrowed => stream.emit_ref(n as u64, &order),
                    Way::Ready => stream.emit_encoded(n as u64, serde_json::to_vec(&order).unwrap().into()),
                }
                .unwrap();
            }
            let last = telemetry.shutdown(PATIENCE);
            assert_eq!((last.residual(), last.sinks[0].1.account.delivered()), (0, events.len() as u64));
            scripts.into_iter().map(|script| script.received()).collect::<Vec<_>>()
        };
        let (mixed, owned) = (run(|way| way), run(|_| Way::Owned));
        for lines in &mixed {
            prop_assert_eq!(lines, &owned[0]);
        }
    }
}

/// Its text is far longer than it says.
#[derive(Serialize)]
struct Understated {
    event: &'static str,
    text: String,
}

impl HeapSize for Understated {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Understated {
    const KIND: Kind = Kind::Event;
}

#[test]
fn what_a_host_encoded_is_found_again_although_the_stage_stops_half_way() {
    for sinks in [1, 2] {
        let scripts: Vec<_> = (0..sinks).map(|_| Script::new()).collect();
        let options = |n| Options { max_buffer_bytes: 64 << 20, ..lazy(&format!("sink-{n}")) };
        let start = scripts.iter().enumerate().fold(builder(), |b, (n, script)| b.scripted(options(n), script));
        let telemetry = start.start().unwrap();
        let (long, short) = (telemetry.stream("long").unwrap(), telemetry.stream::<Order>("short").unwrap());
        for n in 0..300 {
            long.emit(n, Understated { event: "long", text: "x".repeat(5000) }).unwrap();
            short.emit_ref(n, &noted(n, 10)).unwrap();
        }
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!(last.residual(), 0);
        for (_, statement) in &last.sinks {
            assert_eq!((statement.account.delivered(), statement.account.dropped()), (600, 0), "{statement:?}");
        }
    }
}
