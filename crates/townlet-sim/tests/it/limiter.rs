//! The limiter against a model that remembers everything and looks it all up.

use std::collections::BTreeMap;

use proptest::prelude::*;
use townlet_sim::{NarrationLimiter, NarrationOptions, Verdict};

#[derive(Debug, Clone)]
struct Offer {
    wait: u64,
    category: String,
    key: String,
    priority: bool,
}

fn offer() -> impl Strategy<Value = Offer> {
    (0..12_u64, 0..3_u8, 0..4_u8, any::<bool>()).prop_map(|(wait, category, key, priority)| Offer {
        wait,
        category: format!("category {category}"),
        key: format!("key {key}"),
        priority,
    })
}

fn options() -> impl Strategy<Value = NarrationOptions> {
    (0..15_u64, 0..30_u64, 0..25_u64, 1..60_u64, 1..6_usize).prop_map(|(global, own, dedupe, window, limit)| {
        NarrationOptions {
            global_cooldown_ticks: global,
            category_cooldown_ticks: BTreeMap::from([("category 1".to_owned(), own)]),
            dedupe_window_ticks: dedupe,
            global_window_ticks: window,
            global_window_limit: limit,
            ..NarrationOptions::default()
        }
    })
}

/// What was told, and the rules read off the page.
struct Model {
    options: NarrationOptions,
    told: Vec<(u64, Offer)>,
}

impl Model {
    fn decide(&mut self, tick: u64, offer: &Offer) -> Verdict {
        let o = &self.options;
        let within = |ticks: u64| self.told.iter().filter(move |(at, _)| tick - at < ticks);
        let own = o.category_cooldown_ticks.get(&offer.category).copied().unwrap_or(o.global_cooldown_ticks);
        let verdict = if within(o.dedupe_window_ticks).any(|(_, told)| told.key == offer.key) {
            Verdict::Duplicate
        } else if !offer.priority && within(o.global_cooldown_ticks).next().is_some() {
            Verdict::GlobalCooldown
        } else if !offer.priority && within(own).any(|(_, told)| told.category == offer.category) {
            Verdict::CategoryCooldown
        } else if within(o.global_window_ticks).count() >= o.global_window_limit {
            Verdict::WindowFull
        } else {
            Verdict::Accepted
        };
        if verdict == Verdict::Accepted {
            self.told.push((tick, offer.clone()));
        }
        verdict
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_limiter_decides_as_the_rules_say(options in options(), offers in prop::collection::vec(offer(), 1..80)) {
        let mut limiter = NarrationLimiter::new(options.clone());
        let mut model = Model { options, told: Vec::new() };
        let mut tick = 1;
        for offer in &offers {
            tick += offer.wait;
            limiter.begin_tick(tick);
            let verdict = limiter.offer(tick, &offer.category, &offer.key, offer.priority);
            prop_assert_eq!(verdict, model.decide(tick, offer));
            prop_assert!(limiter.window_emissions().count() <= model.options.global_window_limit);
            prop_assert!(limiter.recent_entries().values().all(|told| tick - told < model.options.dedupe_window_ticks));
        }
        prop_assert_eq!(limiter.last_global_tick(), model.told.last().map(|(tick, _)| *tick));
    }
}

#[test]
fn the_defaults_are_the_predecessors() {
    let options = NarrationOptions::default();
    assert_eq!(
        (options.global_cooldown_ticks, options.dedupe_window_ticks, options.global_window_ticks),
        (30, 20, 600)
    );
    assert_eq!(options.global_window_limit, 10);
    assert_eq!((options.friendship_trust_threshold, options.friendship_delta_threshold), (0.6, 0.25));
    assert_eq!((options.rivalry_avoid_threshold, options.rivalry_escalation_threshold), (0.7, 0.9));
}

#[test]
fn a_town_never_tells_more_than_its_window_allows() {
    let mut world = crate::town(5, 24);
    let mut told = Vec::new();
    for _ in 0..1500 {
        let outcome = world.step();
        told.extend(outcome.narrations.iter().map(|narration| narration.tick));
        let window = told.iter().filter(|at| outcome.tick - **at < 600).count();
        assert!(window <= 10, "{window} narrations within 600 ticks at {}", outcome.tick);
    }
    assert!(told.len() > 20, "a busy town fills its window: {told:?}");
}

#[test]
fn listed_categories_have_priority() {
    let narration = NarrationOptions { priority_categories: vec!["sleep_complete".to_owned()], ..Default::default() };
    let options = townlet_sim::WorldOptions { seed: 3, narration, ..Default::default() };
    let mut world = townlet_sim::World::new(options);
    let told: Vec<_> = (0..2000).flat_map(|_| world.step().narrations).collect();
    let sleeps: Vec<_> = told.iter().filter(|narration| narration.category == "sleep_complete").collect();
    assert!(!sleeps.is_empty() && sleeps.iter().all(|narration| narration.priority));
}

#[test]
fn without_limits_every_category_is_told() {
    let narration = NarrationOptions {
        global_cooldown_ticks: 0,
        dedupe_window_ticks: 1,
        global_window_limit: usize::MAX,
        ..NarrationOptions::default()
    };
    let options = townlet_sim::WorldOptions { seed: 7, narration, ..Default::default() };
    let mut world = townlet_sim::World::new(options);
    let told: std::collections::BTreeSet<_> =
        (0..3000).flat_map(|_| world.step().narrations).map(|narration| narration.category).collect();
    assert_eq!(
        told.iter().map(|category| category.as_ref()).collect::<Vec<&str>>(),
        [
            "operator_story",
            "personality_event",
            "queue_conflict",
            "relationship_friendship",
            "relationship_rivalry",
            "relationship_social_alert",
            "shower_complete",
            "sleep_complete",
            "utility_outage",
        ]
    );
}
