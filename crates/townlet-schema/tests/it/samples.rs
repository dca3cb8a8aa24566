//! Inputs that several tests use: files of the predecessor and values of ours.

use std::path::PathBuf;
use std::sync::LazyLock;

use townlet_schema::snapshot::*;
use townlet_schema::{
    ConsoleCommand, ConsoleError, ConsoleMode, ConsoleOutcome, ConsoleResult, Diff, EventRecord, Failure, Health, Json,
    Kind, LineExtra, LinePrefix, NarrationRecord, Object, Payload, RunId, RunMarker, SchemaVersion, Snapshot,
    StateDiff, encode_into,
};

pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn file(relative: &str) -> Vec<u8> {
    let path = path("tests/data/townlet").join(relative);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect()
}

/// The 120 ticks of schema 0.9.0.
pub(crate) fn stream() -> &'static [u8] {
    static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
        std::fs::read(path("../../samples/predecessor/telemetry_stream_0.9.0.jsonl")).expect("the recorded stream")
    });
    &STREAM
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn object(text: &str) -> Object {
    json(text).as_object().expect("an object").clone()
}

pub(crate) fn run() -> RunId {
    RunId::from_u128(0x0193_2c07_1d3a_7cc2_8f6e_0123_4567_89ab)
}

/// A line of the current version around `payload`.
pub(crate) fn line<P: Payload>(payload: &P, extra: LineExtra) -> Vec<u8> {
    let (mut body, mut line) = (Vec::new(), Vec::new());
    encode_into(payload, &mut body).expect("encodable");
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, P::KIND, &run(), "town");
    prefix.write_line(7, 42, extra, &body, &mut line);
    line
}

/// One line of each kind, with a value in every field.
pub(crate) fn one_of_each() -> Vec<(Kind, Vec<u8>)> {
    let plain = LineExtra::default();
    let keyframe = LineExtra { rendering: Some(1), ..plain };
    let based = LineExtra { base_seq: Some(6), ..plain };
    vec![
        (Kind::Snapshot, line(&snapshot(), keyframe)),
        (Kind::Diff, line(&diff(), based)),
        (Kind::Event, line(&EventRecord::new("door.opened", object(r#"{"door":"north","by":"ann"}"#)), plain)),
        (Kind::Health, line(&health(), plain)),
        (Kind::Failure, line(&failure(), plain)),
        (Kind::Console, line(&console(), plain)),
        (Kind::Narration, line(&NarrationRecord::from(narration()), plain)),
        (Kind::Run, line(&run_marker(), plain)),
    ]
}

pub(crate) fn diff() -> Diff {
    let utilities = json(r#"{"power":false,"water":true}"#);
    Diff { changes: Object::from_iter([("utilities", utilities)]), removed: vec!["promotion".to_owned()] }
}

/// As [`diff`], from the inside.
pub(crate) fn state_diff() -> StateDiff {
    let body = r#"{"patch":{"utilities":{"power":false},"promotion":[],"conflict":{"queue_history":[1,{"tick":42}]}},
        "social_events":[{"type":"chat_success","speaker":"ann","listener":"bob","quality":0.75}]}"#;
    StateDiff::from_body(object(body)).expect("a body")
}

pub(crate) fn health() -> Health {
    let mut health = Health { status: "ok".into(), duration_ms: 1.25, failure_count: 1, ..Health::default() };
    health.runtime_variant = Some("facade".to_owned());
    health.transport.provider = "tcp".into();
    health.transport.queue_length = 3;
    health.transport.last_flush_duration_ms = Some(0.5);
    health.transport.worker.alive = true;
    health.sinks.insert("archive".to_owned(), health.transport.clone());
    health.summary.duration_ms = 1.25;
    health.summary.queue_length = 3;
    health.summary.worker_alive = true;
    health.summary.employment_exit_queue = 1;
    health
}

pub(crate) fn failure() -> Failure {
    Failure {
        status: "error".into(),
        duration_ms: 2.0,
        failure_count: 2,
        error: "WorldError: no such object".to_owned(),
        snapshot_path: Some("failures/tick_000000042".to_owned()),
        health: Some(health()),
        ..Failure::default()
    }
}

pub(crate) fn console() -> ConsoleResult {
    ConsoleResult {
        command: Some(ConsoleCommand {
            name: "price".to_owned(),
            args: vec!["meal_cost".into(), 1u64.into()],
            cmd_id: Some("c-1".to_owned()),
            mode: Some(ConsoleMode::Admin),
            ..ConsoleCommand::default()
        }),
        result: ConsoleOutcome {
            name: "price".to_owned(),
            status: "error".into(),
            tick: 42,
            error: Some(ConsoleError { code: "forbidden".into(), message: "admin only".to_owned(), details: None }),
            ..ConsoleOutcome::default()
        },
    }
}

pub(crate) fn run_marker() -> RunMarker {
    RunMarker {
        started_at: 1_795_000_000_000,
        producer: "townlet 0.1.0".into(),
        runtime_variant: Some("facade".to_owned()),
        seed: Some(7),
        previous_run_id: Some(RunId::from_u128(1)),
        attributes: object(r#"{"agents":3}"#),
    }
}

pub(crate) fn narration() -> Narration {
    Narration {
        tick: 42,
        category: "queue_conflict".into(),
        message: "ann and bob contest the shower".to_owned(),
        priority: true,
        data: object(r#"{"object_id":"shower_1"}"#),
        dedupe_key: Some("shower_1:ann:bob".to_owned()),
    }
}

/// A snapshot with at least one entry in every section.
pub(crate) fn snapshot() -> Snapshot {
    town(2, 42)
}

/// A snapshot of `agents` agents, built entry by entry, as a simulation does.
pub(crate) fn town(agents: usize, tick: u64) -> Snapshot {
    let queues = QueueMetrics { cooldown_events: 1, ghost_step_events: 2, rotation_events: 3 };
    let tie = Tie { trust: 0.25, familiarity: 0.5, rivalry: 0.125 };
    let clash = RivalryEvent {
        tick,
        agent_a: "agent_0".to_owned(),
        agent_b: "agent_1".to_owned(),
        intensity: 1.5,
        reason: "ghost_step".into(),
    };
    let release = || object(r#"{"config_id":"v1.3.0"}"#);
    let promotion = Promotion {
        state: "monitoring".into(),
        required_passes: 2,
        last_result: Some("pass".into()),
        current_release: release(),
        initial_release: release(),
        ..Promotion::default()
    };
    let perturbation = Perturbation {
        event_id: "spike-1".to_owned(),
        spec_name: "price_spike".into(),
        kind: "price_spike".into(),
        started_at: tick,
        ends_at: tick + 60,
        payload: object(r#"{"magnitude":1.5}"#),
        targets: vec!["meal_cost".to_owned()],
    };
    let mut town = Snapshot {
        runtime_variant: Some("facade".to_owned()),
        queue_metrics: queues,
        embedding_metrics: EmbeddingMetrics { allocations_total: agents as f64, ..EmbeddingMetrics::default() },
        employment: Employment { pending: vec!["agent_0".to_owned()], pending_count: 1, ..Employment::default() },
        ..Snapshot::default()
    };
    town.conflict.queues = queues;
    town.conflict.queue_history =
        (0..20).map(|n| QueueHistoryEntry { tick: tick.saturating_sub(n), delta: queues, totals: queues }).collect();
    town.conflict.rivalry_events = vec![clash.clone(); 5];
    town.relationships.owners.insert("agent_0".to_owned(), 1);
    town.relationships.reasons.insert("removed".to_owned(), 1);
    town.relationships.history = vec![ChurnSample::default()];
    town.events = vec![WorldEvent {
        event: "affordance_start".into(),
        tick,
        fields: object(r#"{"agent_id":"agent_0","object_id":"fridge_1","affordance_id":"eat_meal","duration":15}"#),
    }];
    town.narrations = vec![Narration { tick, ..narration() }];
    for object in ["bed_1", "fridge_1", "shower_1", "stove_1"] {
        let kind = object.trim_end_matches("_1").to_owned().into();
        let stock = [("meals".to_owned(), 5)].into_iter().collect();
        town.economy.insert(object.to_owned(), ObjectStock { kind, stock });
    }
    town.economy_settings = [("meal_cost".to_owned(), 0.4), ("wage_income".to_owned(), 0.02)].into();
    let spike = PriceSpike { magnitude: 1.5, targets: vec!["meal_cost".to_owned()] };
    town.price_spikes.insert("spike-1".to_owned(), spike);
    town.affordance_manifest = AffordanceManifest {
        path: "configs/affordances/core.yaml".to_owned(),
        checksum: "ab".repeat(32),
        object_count: 4,
        affordance_count: 4,
    };
    let running = RunningAffordance {
        agent_id: "agent_0".to_owned(),
        object_id: "fridge_1".to_owned(),
        affordance_id: "eat_meal".into(),
        duration_remaining: 14,
        effects: [("hunger".to_owned(), 0.4), ("money".to_owned(), -0.4)].into(),
    };
    town.affordance_runtime.tick = tick;
    town.affordance_runtime.running_count = 1;
    town.affordance_runtime.running.insert("fridge_1".to_owned(), running);
    town.affordance_runtime.active_reservations.insert("fridge_1".to_owned(), "agent_0".to_owned());
    town.stability.metrics.reward_mean = Some(-0.125);
    town.stability.metrics.alerts = vec!["rivalry_spike".into()];
    town.stability.metrics.rivalry_events = vec![clash];
    town.stability.metrics.promotion_state = Some(promotion.clone());
    town.stability.alerts = vec!["rivalry_spike".into()];
    town.promotion = Some(promotion);
    town.perturbations.active.insert("spike-1".to_owned(), perturbation.clone());
    town.perturbations.pending.push(perturbation);
    town.perturbations.cooldowns.spec.insert("price_spike".to_owned(), tick + 240);
    town.policy_identity = Some(PolicyIdentity {
        config_id: "v1.3.0".to_owned(),
        policy_hash: Some("cd".repeat(20)),
        ..Default::default()
    });
    town.anneal_status = Some(AnnealStatus { option_commit_ticks: 15, ..AnnealStatus::default() });
    town.kpi_history.queue_conflict_intensity = vec![0.5; 50];
    town.kpi_history.employment_lateness = vec![0.0; 50];
    town.kpi_history.late_help_events = vec![0.0; 50];
    town.kpi_history.queue_rotation_events = vec![1; 50];
    town.kpi_history.queue_ghost_step_events = vec![0; 50];
    town.social_events = vec![
        SocialEvent::ChatSuccess { speaker: "agent_0".to_owned(), listener: "agent_1".to_owned(), quality: 0.75 },
        SocialEvent::RivalryAvoidance {
            agent: "agent_0".to_owned(),
            object: "shower_1".to_owned(),
            reason: "queue".to_owned(),
        },
    ];
    for n in 0..agents {
        let (agent, other) = (format!("agent_{n}"), format!("agent_{}", (n + 1) % agents));
        let job = Job {
            job_id: Some("grocer".into()),
            shift_state: "idle".into(),
            wallet: 2.5,
            basket_cost: 0.62,
            needs: Needs { hunger: 0.5, hygiene: 0.25, energy: 0.75 },
            ..Job::default()
        };
        town.jobs.insert(agent.clone(), job);
        town.conflict.rivalry.entry(agent.clone()).or_default().insert(other.clone(), 0.125);
        town.relationship_snapshot.entry(agent.clone()).or_default().insert(other.clone(), tie);
        town.relationship_updates.push(RelationshipUpdate {
            owner: agent.clone(),
            other: other.clone(),
            trust: 0.25,
            delta: tie,
            ..RelationshipUpdate::default()
        });
        let overlay = OverlayEntry { owner: agent.clone(), other, trust: 0.25, ..OverlayEntry::default() };
        town.relationship_overlay.insert(agent.clone(), vec![overlay]);
        let reward = RewardBreakdown { total: -0.2, survival: 0.002, ..RewardBreakdown::default() };
        town.reward_breakdown.insert(agent.clone(), reward);
        town.stability.inputs.hunger_levels.insert(agent.clone(), 0.5);
        town.stability.inputs.reward_samples.insert(agent.clone(), -0.2);
        let top = ActionProbability { action: "wait".into(), probability: 0.5 };
        town.policy_snapshot.insert(
            agent.clone(),
            PolicyDecision { tick, selected_action: "wait".into(), top_actions: vec![top; 5], ..Default::default() },
        );
        town.personalities.insert(agent, Personality { profile: "balanced".into(), ..Personality::default() });
    }
    town
}
