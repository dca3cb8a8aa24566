//! The host loop: a town in a real pipeline, with a sink that remembers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use townlet_pipeline::{Options, SinkInfo, Telemetry};
use townlet_schema::{Kind, RunId, read_head, read_record};
use townlet_sim::{Host, World, WorldOptions};
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

impl Transport for Memory {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.0.lock().unwrap().extend(batch.iter().map(|frame| frame.line().to_vec()));
        Ok(Outcome::Settled(Level::Sent))
    }
    fn close(&mut self) {}
}

/// Runs a town of 6 with seed 7 for 300 ticks and returns every line.
fn run(health: bool) -> Vec<Vec<u8>> {
    let memory = Memory::default();
    let sink = memory.clone();
    let options = Options { max_buffer_bytes: 64 << 20, ..Options::default() };
    let telemetry = Telemetry::builder()
        .run_id(RunId::from_u128(7))
        .runtime_variant("facade")
        .sink(options, SinkInfo::new("memory"), move || Ok(Box::new(sink.clone())))
        .start()
        .unwrap();
    let world = World::new(WorldOptions { seed: 7, agents: 6, ..WorldOptions::default() });
    let mut host = Host::new(world, telemetry.clone()).unwrap();
    if !health {
        host = host.without_health();
    }
    for _ in 0..300 {
        host.tick().unwrap();
    }
    let books = telemetry.shutdown(Duration::from_secs(30));
    assert_eq!((books.residual(), books.sinks[0].1.account.dropped()), (0, 0));
    let lines = memory.0.lock().unwrap().clone();
    assert_eq!(books.sinks[0].1.account.delivered(), lines.len() as u64);
    lines
}

#[test]
fn every_tick_is_reported_in_readable_lines_without_gaps() {
    let mut streams: BTreeMap<(String, Kind), Vec<u64>> = BTreeMap::new();
    for line in run(true) {
        read_record(&line).expect("every line can be read back typed");
        let head = read_head(&line).unwrap();
        let stream = head.stream.unwrap().into_owned();
        streams.entry((stream, head.payload_type.unwrap())).or_default().push(head.seq.unwrap());
    }
    for (stream, seqs) in &streams {
        assert_eq!(*seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{stream:?}");
    }
    for (stream, kind) in [("town", Kind::Snapshot), ("town.health", Kind::Health), ("town.stability", Kind::Event)] {
        assert_eq!(streams[&(stream.to_owned(), kind)].len(), 300, "{stream}");
    }
    for (stream, kind) in [("town.policy.metadata", Kind::Event), ("town.console", Kind::Console)] {
        let lines = streams[&(stream.to_owned(), kind)].len();
        assert!((1..300).contains(&lines), "{stream}: {lines} lines, one for each change");
    }
}

#[test]
fn without_health_the_same_seed_gives_the_same_lines() {
    assert!(run(false) == run(false));
}
