//! Streams over a network that drops, repeats, reorders, damages and reconnects,
//! by seed.

use townlet_schema::{Json, Kind, LinePrefix, Object, RunId, SchemaVersion};
use townlet_state::{Cadence, Follower, State, StateEncoder};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A small world whose state has a map, a window of history and events.
fn tick(world: &Object, tick: u64, random: &mut Random) -> Object {
    let mut next = world.clone();
    let mut jobs = next.get("jobs").and_then(Json::as_object).cloned().unwrap_or_default();
    for agent in ["ann", "bob", "cy"] {
        match random.below(6) {
            0 => drop(jobs.remove(agent)),
            1 | 2 => drop(jobs.insert(agent, Object::from_iter([("wallet", random.below(5)), ("late", 0)]))),
            _ => {}
        }
    }
    next.insert("jobs", jobs);
    let mut history = next.get("history").and_then(Json::as_array).unwrap_or_default().to_vec();
    history.push(Json::Object(Object::from_iter([("tick", tick), ("total", random.below(2))])));
    history.drain(..history.len().saturating_sub(5));
    next.insert("history", history);
    let events = (0..random.below(3)).map(|n| Json::Object(Object::from_iter([("n", n), ("tick", tick)])));
    next.insert("events", Json::Array(events.collect()));
    next
}

/// One producer, one follower, and what lies between. Returns how many lines
/// were applied.
fn pattern(seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut run = RunId::from_u128(u128::from(seed) << 8);
    let mut runs = 0;
    let cadence = Cadence { keyframe_every: random.below(8) as u32, keyframe_bytes: 0 };
    let mut encoder = StateEncoder::new(cadence);
    let mut follower = Follower::new("town");
    let mut states: Vec<State> = Vec::new();
    // Lines on their way: the connection keeps order, the network between brokers does not.
    let mut underway: Vec<(RunId, u64, Vec<u8>)> = Vec::new();
    let mut truth = std::collections::HashMap::new();
    let mut seen: Option<(RunId, u64)> = None;
    let mut applied = 0;
    let mut world = Object::new();

    let mut deliver = |(of, seq, line): (RunId, u64, Vec<u8>),
                       follower: &mut Follower,
                       truth: &std::collections::HashMap<(RunId, u64), Object>| {
        let before = follower.state().map(|state| state.seq);
        let step = follower.feed(&line).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        applied += u64::from(follower.state().map(|state| state.seq) != before);
        if step != townlet_state::Step::Old {
            seen = match seen {
                Some((run, latest)) if run == of => Some((run, latest.max(seq))),
                // A line of the run before that comes late ends nothing.
                Some((run, latest)) if run > of => Some((run, latest)),
                _ => Some((of, seq)),
            };
        }
        if let (Some(state), Some(run)) = (follower.state(), follower.run_id()) {
            assert_eq!(*state.sections, truth[&(*run, state.seq)], "seed {seed}: seq {} is exact", state.seq);
            let is_latest = seen == Some((*run, state.seq));
            assert_eq!(
                follower.is_stale(),
                !is_latest,
                "seed {seed}: seq {} of {seen:?} is stale or the latest",
                state.seq
            );
        } else {
            assert!(follower.is_stale());
        }
    };

    for step in 1..=24 {
        world = tick(&world, step, &mut random);
        let seq = states.len() as u64 + 1;
        states.push(State::new(seq, step, world.clone()));
        truth.insert((run, seq), world.clone());
        match random.below(16) {
            // Shed by back-pressure before it was rendered.
            0 | 1 => continue,
            2 => {
                encoder.connection_lost();
                // What the connection had not delivered is gone.
                let kept = random.below(underway.len() as u64 + 1) as usize;
                underway.truncate(kept);
            }
            3 => encoder.request_keyframe(),
            4 => {
                // The unconfirmed window once more, over a new connection.
                encoder.connection_lost();
                for state in &states[states.len().saturating_sub(3)..states.len() - 1] {
                    underway.push((run, state.seq, render(&mut encoder, &run, state)));
                }
            }
            5 if runs < 2 => {
                // The producer starts again.
                runs += 1;
                run = RunId::from_u128((u128::from(seed) << 8) + runs);
                encoder = StateEncoder::new(cadence);
                for line in std::mem::take(&mut underway) {
                    match random.below(3) {
                        0 => deliver(line, &mut follower, &truth),
                        // It comes when the next run has begun.
                        1 if underway.len() < 4 => underway.push(line),
                        _ => {}
                    }
                }
                states = vec![State::new(1, step, world.clone())];
                truth.insert((run, 1), world.clone());
            }
            _ => {}
        }
        if let Some(state) = states.last() {
            underway.push((run, state.seq, render(&mut encoder, &run, state)));
        }
        while !underway.is_empty() && random.below(3) > 0 {
            let at = if random.below(4) == 0 { random.below(underway.len() as u64) as usize } else { 0 };
            let line = match random.below(10) {
                0 => {
                    underway.remove(at);
                    continue;
                }
                1 => underway[at].clone(),
                _ => underway.remove(at),
            };
            if random.below(12) == 0 {
                // Damaged: never taken for another line.
                let mut damaged = line.2.clone();
                damaged.truncate(random.below(damaged.len() as u64 - 1) as usize);
                assert!(follower.feed(&damaged).is_err(), "seed {seed}");
                continue;
            }
            deliver(line, &mut follower, &truth);
        }
    }
    // One keyframe of the latest state, and all is well.
    encoder.request_keyframe();
    let last = states.last().unwrap();
    let line = render(&mut encoder, &run, last);
    let resynced = (run, last.seq, line);
    deliver(resynced, &mut follower, &truth);
    assert!(!follower.is_stale(), "seed {seed}");
    assert_eq!(*follower.state().unwrap().sections, world, "seed {seed}");
    applied
}

fn render(encoder: &mut StateEncoder, run: &RunId, state: &State) -> Vec<u8> {
    let (mut body, mut line) = (Vec::new(), Vec::new());
    let rendered = encoder.render(state, &mut body);
    let kind = if rendered.is_keyframe() { Kind::Snapshot } else { Kind::Diff };
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, kind, run, "town");
    prefix.write_line(rendered.seq, rendered.tick, rendered.extra(), &body, &mut line);
    line
}

#[test]
fn a_follower_is_exact_or_says_that_it_is_stale_whatever_the_network_does() {
    // TOWNLET_STATE_PATTERNS=100000 for the long run.
    let patterns = std::env::var("TOWNLET_STATE_PATTERNS").ok().and_then(|count| count.parse().ok()).unwrap_or(2000);
    let applied: u64 = (0..patterns).map(pattern).sum();
    assert!(applied > patterns * 5, "{applied} lines applied in {patterns} patterns");
}
