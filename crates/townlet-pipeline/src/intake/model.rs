//! The intake against a small model of what it should do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use townlet_schema::{HeapSize, Kind, Payload};

use super::*;
use crate::arena::{Issued, LONGEST_PIECE};
use crate::lane::{Item, Lane};

#[derive(serde::Serialize)]
struct Numbered {
    n: u64,
}

impl HeapSize for Numbered {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Numbered {
    const KIND: Kind = Kind::Event;
}

const STREAMS: u32 = 3;
const SINKS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Push { stream: u32, weight: usize, routes: [Option<Route>; SINKS], encoded: bool },
    Evict { sink: usize },
    HandOver,
    Settle { n: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let route = prop_oneof![3 => Just(Some(Route::Main)), 1 => Just(Some(Route::Lane)), 1 => Just(None)];
    let weight = prop_oneof![8 => 1..400usize, 1 => 1..400_000usize];
    prop_oneof![
        6 => (0..STREAMS, weight, prop::array::uniform3(route), any::<bool>())
            .prop_filter("what goes nowhere is not pushed", |(.., routes, _)| routes.iter().any(Option::is_some))
            .prop_map(|(stream, weight, routes, encoded)| Op::Push { stream, weight, routes, encoded }),
        4 => (0..SINKS).prop_map(|sink| Op::Evict { sink }),
        1 => Just(Op::HandOver),
        2 => (1..300usize).prop_map(|n| Op::Settle { n }),
    ]
}

/// What the queue should do, written down event by event.
#[derive(Default)]
struct Model {
    waiting: Vec<Token>,
    hand: Vec<Token>,
}

impl Model {
    fn evict(&mut self, sink: usize) -> Option<u64> {
        let token = self.waiting.iter_mut().find(|t| t.routes.get(sink) == Some(Route::Main))?;
        token.routes.set(sink, None);
        Some(token.seq)
    }

    fn hand_over(&mut self) {
        if !self.hand.is_empty() {
            return;
        }
        let mut bytes = 0;
        while let Some(first) = self.waiting.first()
            && self.hand.len() < CHUNK
        {
            bytes += first.weight;
            if !self.hand.is_empty() && bytes > CHUNK_BYTES {
                break;
            }
            self.hand.push(self.waiting.remove(0));
        }
    }

    /// Values that no sink wants are gone, at the front.
    fn forget_unwanted(&mut self) {
        while self.waiting.first().is_some_and(|t| t.routes == Routes::NOWHERE) {
            self.waiting.remove(0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_intake_does_what_the_model_does(ops in prop::collection::vec(op(), 1..600)) {
        let mut intake = Intake::default();
        for _ in 0..STREAMS {
            intake.add_lane(Box::new(Lane::<Numbered>::default()), Box::new(Lane::<Numbered>::default()));
        }
        let mut stage: Vec<_> = intake.take_opened().collect();
        let (mut issued, mut chunks) = (Issued::default(), Vec::new());
        let mut model = Model::default();
        let mut next = 0;
        let mut upstream: BTreeMap<usize, usize> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Push { stream, weight, routes: chosen, encoded } => {
                    next += 1;
                    let mut routes = Routes::NOWHERE;
                    for (sink, route) in chosen.into_iter().enumerate() {
                        routes.set(sink, route);
                        *upstream.entry(sink).or_default() += usize::from(route.is_some());
                    }
                    let place = encoded.then(|| {
                        // Of about the weight, so that chunks end at many places.
                        let body = format!("{{\"n\":{next}}}{:weight$}", "", weight = weight % LONGEST_PIECE);
                        intake.arena.write(body.len(), |chunk| chunk.extend_from_slice(body.as_bytes()))
                    });
                    let form = place.map_or(Form::Lane, Form::Body);
                    let token = Token { stream, form, seq: next, tick: next, weight, routes };
                    match form {
                        Form::Lane => intake.put(token, Item::Value(Numbered { n: next })),
                        _ => intake.push(token),
                    }
                    model.waiting.push(token);
                }
                Op::Evict { sink } => {
                    let evicted = intake.evict_for(sink);
                    prop_assert_eq!(evicted.map(|t| t.seq), model.evict(sink), "the oldest for that sink alone");
                    *upstream.entry(sink).or_default() -= usize::from(evicted.is_some());
                    model.forget_unwanted();
                    intake.take_remains(&mut Remains::new());
                }
                Op::HandOver => {
                    if intake.hand().next().is_none() {
                        chunks.clear();
                    }
                    intake.hand_over(&mut stage, &mut issued, &mut chunks);
                    issued.reclaim();
                    issued.supply(&mut intake.arena);
                    model.hand_over();
                    model.forget_unwanted();
                    stage.iter_mut().for_each(|lane| lane.bury());
                }
                Op::Settle { n } => {
                    for _ in 0..n {
                        let token = intake.pop_hand();
                        let expected = if model.hand.is_empty() { None } else { Some(model.hand.remove(0)) };
                        prop_assert_eq!(token.map(|t| t.seq), expected.map(|t| t.seq));
                        let Some(token) = token else { break };
                        prop_assert_eq!(token.routes, expected.unwrap().routes, "what is in hand is not evicted");
                        for (sink, count) in &mut upstream {
                            *count -= usize::from(token.routes.get(*sink).is_some());
                        }
                        // The value is that of the token: lanes and tokens stay in step.
                        let mut body = Vec::new();
                        match token.place() {
                            Some(place) => {
                                let (_, chunk) = chunks.iter().find(|(number, _)| *number == place.chunk).unwrap();
                                body.extend_from_slice(chunk[place.range()].trim_ascii_end());
                            }
                            None => assert!(stage[token.stream as usize].encode_front(&mut body).unwrap().is_ok()),
                        }
                        prop_assert_eq!(String::from_utf8(body).unwrap(), format!("{{\"n\":{}}}", token.seq));
                    }
                }
            }
            prop_assert_eq!(intake.len(), model.waiting.len());
            prop_assert_eq!(intake.hand().map(|t| t.seq).collect::<Vec<_>>(),
                model.hand.iter().map(|t| t.seq).collect::<Vec<_>>());
            prop_assert_eq!(intake.is_idle(), model.waiting.is_empty() && model.hand.is_empty());
        }
        let mut left: BTreeMap<usize, usize> = (0..SINKS).map(|sink| (sink, 0)).collect();
        for token in intake.drain() {
            for (sink, count) in &mut left {
                *count += usize::from(token.routes.get(*sink).is_some());
            }
        }
        for (sink, count) in left {
            prop_assert_eq!(count, upstream.get(&sink).copied().unwrap_or_default(), "sink {}", sink);
        }
    }
}

#[test]
fn every_sink_has_a_route_of_its_own() {
    let mut routes = Routes::NOWHERE;
    for sink in 0..MAX_SINKS {
        assert_eq!(routes.get(sink), None);
        routes.set(sink, Some(if sink % 2 == 0 { Route::Main } else { Route::Lane }));
    }
    for sink in 0..MAX_SINKS {
        assert_eq!(routes.get(sink), Some(if sink % 2 == 0 { Route::Main } else { Route::Lane }), "{sink}");
        routes.set(sink, None);
    }
    assert_eq!(routes, Routes::NOWHERE);
}
