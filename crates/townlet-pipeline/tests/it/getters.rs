//! The read side: getters, status, health and their log lines.

use std::collections::BTreeMap;

use townlet_pipeline::{Options, STUB_WARNING, SinkInfo, StubSink, TickHealth};
use townlet_schema::snapshot::*;
use townlet_schema::{ConsoleOutcome, ConsoleResult, Json, Object, Snapshot, read_head};
use townlet_testkit::{Script, logged};
use townlet_transport::{ErrorKind, Transport};

use crate::fakes::{PATIENCE, With, books, builder, delivered, eager, eventually, lazy, ms, order, single};

fn map<V>(key: &str, value: V) -> BTreeMap<String, V> {
    BTreeMap::from([(key.to_owned(), value)])
}

/// A snapshot in which every section differs from its default.
fn full() -> Snapshot {
    let queues = QueueMetrics { cooldown_events: 1, ghost_step_events: 2, rotation_events: 3 };
    let rivalry = RivalryEvent { tick: 1, agent_a: "a".into(), agent_b: "b".into(), ..RivalryEvent::default() };
    let tie = Tie { trust: 0.5, ..Tie::default() };
    let metrics = StabilityMetrics { starvation_incidents: 4, ..StabilityMetrics::default() };
    let inputs = StabilityInputs { hunger_levels: map("a", 0.5), ..StabilityInputs::default() };
    Snapshot {
        runtime_variant: Some("facade".into()),
        queue_metrics: queues,
        embedding_metrics: EmbeddingMetrics { allocations_total: 2.0, ..Default::default() },
        employment: Employment { pending: vec!["a".into()], pending_count: 1, ..Default::default() },
        conflict: Conflict {
            queue_history: vec![QueueHistoryEntry { tick: 1, ..Default::default() }],
            rivalry_events: vec![rivalry],
            ..Conflict::default()
        },
        relationships: RelationshipChurn { total: 5, ..Default::default() },
        relationship_snapshot: map("a", map("b", tie)),
        relationship_updates: vec![RelationshipUpdate { owner: "a".into(), ..Default::default() }],
        relationship_overlay: map("a", vec![OverlayEntry::default()]),
        events: vec![WorldEvent { event: "e".into(), ..Default::default() }],
        narrations: vec![Narration { message: "m".into(), ..Default::default() }],
        jobs: map("a", Job { wallet: 3.0, ..Default::default() }),
        economy: map("fridge", ObjectStock { kind: "fridge".into(), ..Default::default() }),
        economy_settings: map("wage", 1.5),
        price_spikes: map("p", PriceSpike { magnitude: 2.0, ..Default::default() }),
        utilities: Utilities { power: false, water: true },
        affordance_manifest: AffordanceManifest { object_count: 3, ..Default::default() },
        affordance_runtime: AffordanceRuntime { running_count: 2, ..Default::default() },
        reward_breakdown: map("a", RewardBreakdown { total: 1.0, ..Default::default() }),
        stability: Stability { metrics, alerts: vec!["starvation".into()], inputs },
        promotion: Some(Promotion { state: "monitoring".into(), ..Default::default() }),
        perturbations: Perturbations { pending: vec![Perturbation::default()], ..Default::default() },
        policy_identity: Some(PolicyIdentity { config_id: "v1".into(), ..Default::default() }),
        policy_snapshot: map("a", PolicyDecision { tick: 3, ..Default::default() }),
        anneal_status: Some(AnnealStatus { blend_enabled: true, ..Default::default() }),
        kpi_history: KpiHistory { employment_lateness: vec![1.0], ..Default::default() },
        personalities: map("a", Personality { profile: "stoic".into(), ..Default::default() }),
        social_events: vec![SocialEvent::ChatSuccess { speaker: "a".into(), listener: "b".into(), quality: 0.5 }],
    }
}

#[test]
fn every_getter_shows_its_section_of_the_newest_snapshot() {
    let (telemetry, _) = single(lazy("main"));
    macro_rules! sections {
        ($($getter:ident => $section:expr;)*) => {
            $(assert!(telemetry.$getter().is_none(), "{} before the first snapshot", stringify!($getter));)*
            telemetry.emit_snapshot(8, Snapshot::default()).unwrap();
            telemetry.emit_snapshot(9, full()).unwrap();
            $({
                let section: fn(&Snapshot) -> &_ = $section;
                let (view, full, empty) = (telemetry.$getter().unwrap(), full(), Snapshot::default());
                assert_eq!(&*view, section(&full), "{}", stringify!($getter));
                assert_ne!(&*view, section(&empty), "{}: the sample says nothing", stringify!($getter));
                assert!(format!("{view:?}").len() > 1);
            })*
        };
    }
    sections! {
        latest_queue_metrics => |s| &s.queue_metrics;
        latest_queue_history => |s| s.conflict.queue_history.as_slice();
        latest_conflict_snapshot => |s| &s.conflict;
        latest_rivalry_events => |s| s.conflict.rivalry_events.as_slice();
        latest_embedding_metrics => |s| &s.embedding_metrics;
        latest_employment_metrics => |s| &s.employment;
        latest_job_snapshot => |s| &s.jobs;
        latest_events => |s| s.events.as_slice();
        latest_economy_snapshot => |s| &s.economy;
        latest_economy_settings => |s| &s.economy_settings;
        latest_price_spikes => |s| &s.price_spikes;
        latest_utilities => |s| &s.utilities;
        latest_relationship_metrics => |s| &s.relationships;
        latest_relationship_snapshot => |s| &s.relationship_snapshot;
        latest_relationship_updates => |s| s.relationship_updates.as_slice();
        latest_relationship_overlay => |s| &s.relationship_overlay;
        latest_social_events => |s| s.social_events.as_slice();
        latest_narrations => |s| s.narrations.as_slice();
        latest_policy_snapshot => |s| &s.policy_snapshot;
        latest_policy_identity => |s| &s.policy_identity;
        latest_anneal_status => |s| &s.anneal_status;
        kpi_history => |s| &s.kpi_history;
        latest_affordance_manifest => |s| &s.affordance_manifest;
        latest_affordance_runtime => |s| &s.affordance_runtime;
        latest_reward_breakdown => |s| &s.reward_breakdown;
        latest_personality_snapshot => |s| &s.personalities;
        latest_stability => |s| &s.stability;
        latest_stability_inputs => |s| &s.stability.inputs;
        latest_stability_metrics => |s| &s.stability.metrics;
        latest_stability_alerts => |s| s.stability.alerts.as_slice();
        latest_promotion_state => |s| &s.promotion;
        latest_perturbations => |s| &s.perturbations;
    }
    assert_eq!(telemetry.current_tick(), Some(9));
    let _ = telemetry.shutdown(PATIENCE);
    assert_eq!(*telemetry.latest_snapshot().unwrap(), full(), "readable after the end");
}

#[test]
fn console_results_are_kept_by_tick_and_200_of_them_in_all() {
    let (telemetry, _) = single(lazy("main"));
    assert!(telemetry.latest_console_results().is_empty() && telemetry.current_tick().is_none());
    let result = |name: String| ConsoleResult { result: ConsoleOutcome { name, ..Default::default() }, command: None };
    for n in 0..150 {
        for part in ["a", "b"] {
            telemetry.emit_console(n, result(format!("{n}{part}"))).unwrap();
        }
    }
    let names = |results: Vec<std::sync::Arc<ConsoleResult>>| -> Vec<_> {
        results.iter().map(|r| r.result.name.clone()).collect()
    };
    assert_eq!(names(telemetry.latest_console_results()), ["149a", "149b"]);
    let history = names(telemetry.console_history());
    assert_eq!((history.len(), history[0].as_str(), history[199].as_str()), (200, "50a", "149b"));
    assert_eq!(telemetry.current_tick(), Some(149));
}

/// Section 5.2 of the facts.
const KEYS: [&str; 23] = [
    "connected",
    "dropped_messages",
    "last_error",
    "last_failure_tick",
    "last_success_tick",
    "queue_length",
    "queue_length_peak",
    "last_flush_duration_ms",
    "last_flush_payload_bytes",
    "last_batch_count",
    "payloads_flushed_total",
    "bytes_flushed_total",
    "consecutive_send_failures",
    "send_failures_total",
    "tls_enabled",
    "verify_hostname",
    "allow_plaintext",
    "worker_alive",
    "worker_error",
    "last_worker_error",
    "worker_restart_count",
    "auth_enabled",
    "backpressure_strategy",
];

#[test]
fn the_transport_status_has_the_predecessors_keys_and_leads_with_main() {
    let script = Script::new();
    let telemetry = builder()
        .scripted(eager("side"), &Script::new())
        .sink(
            Options { backpressure: townlet_pipeline::Backpressure::Block, ..eager("main") },
            SinkInfo::new("tcp").security(true, true, false),
            {
                let script = script.clone();
                move || Ok(Box::new(script.transport()) as Box<dyn Transport>)
            },
        )
        .start()
        .unwrap();
    telemetry.emit_named("door", 7, Json::Null).unwrap();
    delivered(&telemetry, "main", 1);
    delivered(&telemetry, "side", 1);
    let status = telemetry.latest_transport_status();
    let json = serde_json::to_value(&status).unwrap();
    let missing: Vec<_> = KEYS.into_iter().filter(|key| json.get(key).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!((status.provider.as_ref(), status.backpressure_strategy.as_ref()), ("tcp", "block"));
    assert!(status.tls_enabled && status.verify_hostname && !status.allow_plaintext);
    assert_eq!(status.sinks.keys().collect::<Vec<_>>(), ["side"]);
    assert_eq!((status.accepted, status.delivered, status.buffered, status.residual), (1, 1, 0, 0));
    assert_eq!(status.last_flush_payload_bytes, script.received()[0].len() as u64);
    assert_eq!((status.last_batch_count, status.queue_length_peak), (1, 1));
    let mut settings = insta::Settings::clone_current();
    settings.set_sort_maps(true);
    settings.bind(|| {
        insta::assert_json_snapshot!("transport_status", status, {
            ".last_flush_duration_ms" => "[ms]",
            ".sinks.side.last_flush_duration_ms" => "[ms]",
        });
    });
    let _ = telemetry.shutdown(PATIENCE);
}

#[test]
fn the_status_of_a_sink_that_fails_says_so() {
    let script = Script::new();
    script.fail_next_connects(1000, ErrorKind::Tls);
    let telemetry = builder().scripted(Options { max_attempts: 1, ..eager("main") }, &script).start().unwrap();
    telemetry.emit_named("door", 7, Json::Null).unwrap();
    eventually("failures count up", || telemetry.latest_transport_status().consecutive_send_failures > 3);
    let status = telemetry.latest_transport_status();
    assert!(status.last_error.unwrap().starts_with("tls:"));
    assert_eq!((status.connected, status.last_failure_tick, status.queue_length), (false, Some(7), 1));
    assert_eq!(telemetry.shutdown(ms(20)).residual(), 0);
    assert_eq!(telemetry.latest_transport_status().dropped["undelivered_at_shutdown"], 1);
}

fn report() -> TickHealth {
    TickHealth {
        duration: std::time::Duration::from_micros(12_340),
        failure_count: 2,
        perturbations_pending: 3,
        perturbations_active: 1,
        employment_exit_queue: 4,
    }
}

fn without_times(text: &str, assert: impl FnOnce(&str)) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"flush_ms=[0-9.]+", "flush_ms=[ms]");
    settings.bind(|| assert(text));
}

/// Counters of the guide ("Observability & Metrics") and of facts 6.4, under the names of the line.
const COUNTERS: [&str; 22] = [
    "tick",
    "duration_ms",
    "queue",
    "queue_peak",
    "dropped",
    "flush_ms",
    "batch",
    "flush_bytes",
    "payloads_total",
    "bytes_total",
    "failures",
    "failures_total",
    "worker_alive",
    "worker_error",
    "restarts",
    "perturbations_pending",
    "perturbations_active",
    "exit_queue",
    "spilled",
    "spill_error",
    "spill_damaged",
    "runtime_variant",
];

#[test]
fn the_tick_health_line_has_all_counters_and_the_variant() {
    let script = Script::new();
    let pipeline =
        builder().runtime_variant("facade").scripted(Options { max_queue_length: 5, ..eager("main") }, &script);
    let telemetry = pipeline.start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    delivered(&telemetry, "main", 1);
    script.hold_next_send();
    orders.emit(2, order(2)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    for n in 0..6 {
        orders.emit(2, order(n)).unwrap();
    }
    let line = logged(|| _ = telemetry.tick_health(2, &report()).unwrap());
    let pairs: Vec<_> = line.split_whitespace().filter_map(|word| word.split_once('=')).map(|(key, _)| key).collect();
    assert_eq!(pairs, COUNTERS);
    without_times(&line, |line| insta::assert_snapshot!("tick_health_line", line));
    let line = logged(|| _ = telemetry.tick_failure(2, &report(), "ValueError: \"x\"\nis bad").unwrap());
    insta::assert_snapshot!("failure_line", line);
    script.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// What an operator wrote, or a panic said, cannot break the line that watchers parse.
#[test]
fn the_tick_health_line_stays_one_line_of_words() {
    let script = Script::new();
    script.then(townlet_testkit::Step::Panic);
    let options = Options { restart_limit: 0, restart_window: crate::fakes::HOUR, ..eager("main") };
    let pipeline = builder().runtime_variant("my variant\nqueue=0").scripted(options, &script);
    let telemetry = pipeline.start().unwrap();
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    eventually("it is parked", || !telemetry.latest_transport_status().worker_alive);
    let line = logged(|| _ = telemetry.tick_health(2, &report()).unwrap());
    without_times(&line, |line| insta::assert_snapshot!("tick_health_line_parked", line));
    assert_eq!(telemetry.latest_health_status().unwrap().status, "worker_down");
}

#[test]
fn health_and_failure_lines_have_the_facts_fields() {
    let script = Script::new();
    let pipeline =
        builder().runtime_variant("facade").scripted(lazy("main"), &script).scripted(lazy("side"), &Script::new());
    let telemetry = pipeline.start().unwrap();
    telemetry.tick_health(40, &report()).unwrap();
    let failed = TickHealth { failure_count: 3, ..report() };
    telemetry.tick_failure(41, &failed, "KeyError: 'alice'").unwrap();
    let _ = telemetry.shutdown(PATIENCE);
    let lines = script.received();
    let json = |n: usize| serde_json::from_slice::<serde_json::Value>(&lines[n]).unwrap();
    insta::assert_json_snapshot!("health", json(0));
    insta::assert_json_snapshot!("failure", json(1));
    assert_eq!(read_head(&lines[1]).unwrap().tick, Some(41));
    assert_eq!(books(&telemetry, "main").account.delivered(), 2);
}

#[test]
fn a_stub_says_so_and_the_getters_keep_working() {
    let warning = logged(|| _ = StubSink::new());
    assert!(warning.contains("WARN") && warning.contains("telemetry_stub_active"), "{warning}");
    let telemetry = builder()
        .sink(eager("main"), SinkInfo::new("stub"), || Ok(Box::new(StubSink::new()) as Box<dyn Transport>))
        .start()
        .unwrap();
    let status = telemetry.latest_transport_status();
    assert!(StubSink::is_behind(&status));
    assert_eq!(status.status, "inactive");
    telemetry.emit_snapshot(1, full()).unwrap();
    telemetry.emit_named("x", 1, Json::Object(Object::default())).unwrap();
    assert_eq!(*telemetry.latest_snapshot().unwrap(), full());
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    assert!(!StubSink::is_behind(&single(eager("main")).0.latest_transport_status()));
    assert_eq!(STUB_WARNING, "Telemetry running in stub mode; real-time streaming disabled.");
}
