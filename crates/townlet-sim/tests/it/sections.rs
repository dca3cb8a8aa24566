use std::collections::BTreeSet;

use townlet_schema::{Json, Section, Snapshot};

use crate::{bytes, tick, town};

fn empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// W4: the predecessor always left six of its sections empty, and no test noticed.
#[test]
fn w4_every_section_is_filled() {
    let mut world = town(7, 6);
    let mut filled = BTreeSet::new();
    let mut at_once = BTreeSet::new();
    for _ in 0..800 {
        let (outcome, snapshot) = tick(&mut world);
        let json = Json::from_serialize(&snapshot).unwrap();
        for section in Section::ALL.iter().filter(|section| !empty(json.get(section.name()).unwrap())) {
            filled.insert(*section);
            if outcome.tick == 1 {
                at_once.insert(*section);
            }
        }
    }
    let missing: Vec<_> = Section::ALL.iter().filter(|section| !filled.contains(section)).collect();
    assert!(missing.is_empty(), "never filled within 800 ticks: {missing:?}");
    for section in [Section::Jobs, Section::Economy, Section::EconomySettings, Section::Utilities] {
        assert!(at_once.contains(&section), "{section:?} belongs to the very first snapshot");
    }
}

/// W5: the predecessor drained two buffers and told every event twice.
#[test]
fn w5_every_event_is_told_once() {
    let mut world = town(3, 10);
    let (mut told, mut happened) = (0, 0);
    for _ in 0..300 {
        let (outcome, snapshot) = tick(&mut world);
        happened += outcome.events.len();
        told += snapshot.events.len();
        let starts = snapshot.events.iter().filter(|event| event.event == "affordance_start").count();
        assert_eq!(starts as u64, snapshot.affordance_runtime.event_counts.start);
    }
    assert!(happened > 300);
    assert_eq!(told, happened);
}

/// W14: series and lists grew, and a spike stuck for ever.
#[test]
fn w14_a_long_run_does_not_grow_the_payload() {
    let mut world = town(7, 6);
    let mut sizes = Vec::new();
    let mut spikes = Vec::new();
    for _ in 0..4000 {
        let (_, snapshot) = tick(&mut world);
        sizes.push(bytes(&snapshot).len());
        spikes.push(snapshot.stability.alerts.iter().any(|alert| alert == "rivalry_spike"));
        assert!(snapshot.kpi_history.queue_rotation_events.len() <= 50);
        assert!(snapshot.stability.metrics.rivalry_events.len() <= snapshot.events.len());
    }
    let mean = |sizes: &[usize]| sizes.iter().sum::<usize>() / sizes.len();
    let (second, fourth) = (mean(&sizes[1000..2000]), mean(&sizes[3000..4000]));
    assert!(fourth < second * 6 / 5, "{second} bytes, later {fourth}");
    let cleared = spikes.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    assert!(cleared >= 3, "rivalry_spike was raised and lowered {cleared} times");
}

#[test]
fn a_snapshot_reads_back_as_what_it_was() {
    let mut world = town(12, 9);
    for _ in 0..120 {
        let (_, snapshot) = tick(&mut world);
        let json = Json::parse(&bytes(&snapshot)).unwrap();
        assert_eq!(json.read::<Snapshot>().unwrap(), snapshot);
    }
}

#[test]
fn the_global_context_has_the_predecessors_names() {
    let mut world = town(1, 3);
    let outcome = world.step();
    let context = world.global_context(&outcome);
    let names: Vec<_> = context.keys().collect();
    for name in ["queues", "job_snapshot", "economy_snapshot", "stability_metrics", "anneal_context", "rng_seed"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(context.values().all(|value| !value.is_null()));
}
