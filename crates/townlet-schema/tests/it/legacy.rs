//! Lines of the predecessor, from its own files.

use townlet_schema::legacy::{LegacyEconomy, LegacyRivalry, LegacySnapshot};
use townlet_schema::snapshot::UpdateStatus;
use townlet_schema::{Json, Kind, ReadErrorKind, Record, SchemaVersion, Snapshot, read_head, read_record};

use crate::samples::{file, json, lines, stream, town};

fn legacy(line: &[u8]) -> LegacySnapshot {
    match read_record(line) {
        Ok(Record::LegacySnapshot(snapshot)) => *snapshot,
        other => panic!("not an old snapshot: {other:?}"),
    }
}

#[test]
fn all_120_recorded_ticks_are_read_and_written_again_without_losing_a_field() {
    let bytes = stream();
    let lines = lines(bytes);
    assert_eq!(lines.len(), 120);
    for (at, line) in lines.iter().enumerate() {
        let head = read_head(line).unwrap();
        assert_eq!((head.tick, head.payload_type), (Some(at as u64 + 1), None));
        let snapshot = legacy(line);
        assert_eq!(snapshot.schema_version, SchemaVersion::new(0, 9, 0));
        assert!(snapshot.sections.other.is_empty(), "every key is a known section");
        assert_eq!(snapshot.sections.keys().len(), 21, "23 keys with version and tick");
        let again = Json::from_serialize(&snapshot).unwrap();
        assert_eq!(again, Json::parse(line).unwrap(), "tick {}", at + 1);
    }
}

#[test]
fn all_120_recorded_ticks_upgrade_to_today_and_the_result_reads_back() {
    let bytes = stream();
    for line in lines(bytes) {
        let old = legacy(line);
        let new = old.upgrade().unwrap_or_else(|error| panic!("tick {}: {error}", old.tick));
        let tree = Json::from_serialize(&new).unwrap();
        assert_eq!(tree.read::<Snapshot>().unwrap(), new);
        let jobs = old.sections.jobs.as_ref().unwrap();
        assert_eq!(new.jobs.keys().collect::<Vec<_>>(), jobs.keys().collect::<Vec<_>>());
        assert_eq!(new.events.len(), old.sections.events.as_ref().unwrap().len());
        assert_eq!(new.economy.len(), 4);
        assert!(new.kpi_history.queue_rotation_events.len() <= 50, "w14: bounded");
        for (agent, reward) in &new.reward_breakdown {
            assert_eq!(reward.homeostasis, reward.survival + reward.needs_penalty, "{agent}");
        }
    }
}

#[test]
fn the_last_recorded_tick_says_the_same_in_today_s_types() {
    let bytes = stream();
    let new = legacy(lines(bytes)[119]).upgrade().unwrap();
    assert_eq!(new.conflict.rivalry["alice#2"]["bob#2"], 0.42999999999999994);
    assert_eq!(new.relationship_updates[0].status, UpdateStatus::Updated);
    assert_eq!(new.events[0].event, "queue_conflict");
    assert_eq!(new.events[0].fields.get("queue_length").and_then(Json::as_u64), Some(1));
    assert_eq!(new.stability.metrics.rivalry_events.len(), 11);
    assert_eq!(new.stability.metrics.thresholds.starvation.window_ticks, 1000);
    assert_eq!(new.promotion.unwrap().state, "monitoring");
    assert_eq!(new.policy_identity.unwrap().observation_variant.as_deref(), Some("hybrid"));
}

#[test]
fn a_current_snapshot_downgrades_to_the_27_keys_of_0_9_7_and_back() {
    let new = town(3, 9);
    let old = LegacySnapshot::downgrade(&new, 9).unwrap();
    let tree = Json::from_serialize(&old).unwrap();
    let object = tree.as_object().unwrap();
    assert_eq!(object.len(), 28, "27 keys and payload_type");
    assert_eq!(object.get("schema_version").and_then(Json::as_str), Some("0.9.7"));
    let text = tree.to_string();
    let back = legacy(text.as_bytes());
    assert_eq!(back, old);
    let mut again = back.upgrade().unwrap();
    // What 0.9 has no section for.
    again.affordance_runtime = new.affordance_runtime.clone();
    again.personalities = new.personalities.clone();
    again.social_events = new.social_events.clone();
    assert_eq!(again, new);
    let rivalry = &old.sections.conflict.as_ref().unwrap().rivalry["agent_0"]["agent_1"];
    assert!(matches!(rivalry, LegacyRivalry::Tie(tie) if tie.trust == 0.25 && tie.rivalry == 0.125), "{rivalry:?}");
    let mut broken = new;
    broken.jobs.get_mut("agent_0").unwrap().inventory.wages_earned = f64::NAN;
    assert!(LegacySnapshot::downgrade(&broken, 9).is_err());
}

#[test]
fn hand_made_samples_of_0_9_0_are_read_and_lose_nothing() {
    for name in ["artifacts/m6/verification/telemetry_sample.jsonl", "docs/samples/telemetry_stream_sample.jsonl"] {
        let bytes = file(name);
        let line = lines(&bytes)[0];
        let snapshot = legacy(line);
        assert_eq!(snapshot.sections.other.keys().collect::<Vec<_>>(), ["transport"], "{name}");
        assert_eq!(Json::from_serialize(&snapshot).unwrap(), Json::parse(line).unwrap(), "{name}");
        let new = snapshot.upgrade().unwrap();
        assert_eq!(new.events[0].tick, 42, "an event without a tick has its snapshot's");
        assert_eq!(new.relationship_updates[0].status, UpdateStatus::Updated, "an unknown status is an update");
        assert_eq!(new.relationship_overlay["alice"][0].owner, "alice");
    }
}

#[test]
fn console_snapshots_of_0_2_0_and_0_9_0_are_read_and_lose_nothing() {
    for (name, version, sections) in [
        ("docs/samples/telemetry_snapshot_0.2.0.json", SchemaVersion::new(0, 2, 0), 4),
        ("audit/baselines/worldstate_phase3/snapshots/telemetry_snapshot.json", SchemaVersion::new(0, 9, 0), 24),
    ] {
        let bytes = file(name);
        let Record::ConsoleSnapshot(snapshot) = read_record(&bytes).unwrap() else { panic!("{name}") };
        assert_eq!(snapshot.schema_version, version);
        assert_eq!(snapshot.sections.keys().len(), sections, "{name}: {:?}", snapshot.sections.keys());
        assert_eq!(Json::from_serialize(&*snapshot).unwrap(), Json::parse(&bytes).unwrap(), "{name}");
        assert!(matches!(snapshot.sections.economy, Some(LegacyEconomy::Objects(_))));
    }
}

#[test]
fn the_web_snapshot_is_taken_as_a_console_snapshot_and_the_web_diff_is_refused_for_its_tick() {
    let snapshot = file("tests/data/web_telemetry/snapshot.json");
    let Record::ConsoleSnapshot(snapshot) = read_record(&snapshot).unwrap() else { panic!("not a console snapshot") };
    assert!(snapshot.sections.utilities.is_some_and(|utilities| utilities.power));
    let diff = file("tests/data/web_telemetry/diff.json");
    let error = read_record(&diff).unwrap_err();
    assert_eq!((error.kind(), error.path().as_deref()), (ReadErrorKind::InvalidField, Some("tick")));
    assert_eq!(error.to_string(), "tick: expected an integer from 0 to 2^64-1, found null");
    // With a tick it is a good diff.
    let text = String::from_utf8(diff).unwrap().replace("\"tick\": null", "\"tick\": 1");
    let Record::LegacyDiff(diff) = read_record(text.as_bytes()).unwrap() else { panic!("not a diff") };
    assert_eq!(diff.changes.other.keys().collect::<Vec<_>>(), ["health", "relationship_summary", "transport"]);
    assert_eq!(diff.changes.affordance_runtime.map(|runtime| runtime.tick), Some(1));
    assert!(diff.removed.is_empty());
}

#[test]
fn other_files_of_the_predecessor_are_refused_with_the_field() {
    let exported = file("docs/samples/demo_run/telemetry_snapshot.json");
    let error = read_record(&exported).unwrap_err();
    assert_eq!((error.kind(), error.path().as_deref()), (ReadErrorKind::MissingField, Some("schema_version")));
    let narrations = file("tests/data/demo_story_arc_narrations.json");
    assert_eq!(read_record(&narrations).unwrap_err().kind(), ReadErrorKind::NotAnObject);
    let all: Vec<townlet_schema::snapshot::Narration> = Json::parse(&narrations).unwrap().read().unwrap();
    assert_eq!(all.len(), 10);
    assert_eq!(Json::from_serialize(&all).unwrap(), Json::parse(&narrations).unwrap());
}

#[test]
fn an_old_line_with_a_wrong_field_is_refused_by_its_path() {
    for (line, path) in [
        (r#"{"schema_version":"0.9.0","payload_type":"snapshot"}"#, "tick"),
        (r#"{"schema_version":"0.9.0","tick":-1}"#, "tick"),
        (r#"{"schema_version":"0.9.0","tick":1.5}"#, "tick"),
        (r#"{"schema_version":"0.9.0","tick":1,"payload_type":"diff"}"#, "changes"),
        (r#"{"schema_version":"0.9.0","tick":1,"payload_type":"diff","changes":[]}"#, "changes"),
        (r#"{"schema_version":"0.9.0","tick":1,"payload_type":"diff","changes":{"jobs":[]}}"#, "changes.jobs"),
        (r#"{"schema_version":"0.9.0","tick":1,"payload_type":"diff","changes":{},"removed":"jobs"}"#, "removed"),
        (r#"{"schema_version":"0.9.0","tick":1,"payload_type":7}"#, "payload_type"),
        (r#"{"schema_version":"0.9.0","tick":1,"jobs":{"ann":{"needs":{"hunger":"low"}}}}"#, "jobs.ann.needs.hunger"),
        (
            r#"{"schema_version":"0.9.0","tick":1,"conflict":{"queue_history":[{"tick":1},{"tick":-2}]}}"#,
            "conflict.queue_history[1].tick",
        ),
        (
            r#"{"schema_version":"0.9.0","tick":1,"queue_metrics":{"rotation_events":0.5}}"#,
            "queue_metrics.rotation_events",
        ),
        (r#"{"schema_version":"0.9.0","tick":1,"utilities":null}"#, "utilities"),
    ] {
        let error = read_record(line.as_bytes()).expect_err(line);
        assert_eq!(error.path().as_deref(), Some(path), "{line}: {error}");
    }
}

#[test]
fn both_shapes_of_rivalry_economy_and_inventory_are_read() {
    let line = json(
        r#"{"schema_version":"0.9.7","tick":1,"payload_type":"snapshot","runtime_variant":"facade",
        "conflict":{"rivalry":{"ann":{"bob":{"trust":0.5,"familiarity":0.25,"rivalry":0.75},"cy":0.5}}},
        "economy":{"settings":{"meal_cost":0.5},"active_price_spikes":{"s":{"magnitude":2.0,"targets":["meal_cost"]}},
        "utility_snapshot":{"power":false,"water":true}},
        "jobs":{"ann":{"inventory":{"wages_earned":1.5,"meals_cooked":2,"_affordance_outcomes":[]}}},
        "anneal_status":{"anneal_ratio":0.5,"blend_enabled":true}}"#,
    )
    .to_string();
    let old = legacy(line.as_bytes());
    assert!(old.has_payload_type);
    let new = old.upgrade().unwrap();
    assert_eq!(new.runtime_variant.as_deref(), Some("facade"));
    assert_eq!(new.conflict.rivalry["ann"], [("bob".to_owned(), 0.75), ("cy".to_owned(), 0.5)].into());
    assert_eq!(new.economy_settings["meal_cost"], 0.5);
    assert_eq!(new.price_spikes["s"].targets, ["meal_cost"]);
    assert!(!new.utilities.power && new.economy.is_empty());
    let inventory = new.jobs["ann"].inventory;
    assert_eq!((inventory.wages_earned, inventory.meals_cooked, inventory.meals_consumed), (1.5, 2, 0));
    assert!(new.anneal_status.is_some_and(|status| status.blend_enabled));
}

#[test]
fn w23_a_failure_line_of_0_9_has_no_version_and_is_still_read() {
    let line = r#"{"tick":9,"status":"error","duration_ms":1.5,"failure_count":2,"error":"ValueError: bad","snapshot_path":null,"transport":{"provider":"port","queue_length":3,"worker":{"alive":true,"error":null,"restart_count":0}},"global_context":{"queue_metrics":{}},"health":{"tick":8,"status":"ok","duration_ms":0.5,"summary":{"queue_length":1}},"summary":{"duration_ms":1.5,"queue_length":3,"dropped_messages":4}}"#;
    let Record::LegacyFailure(old) = read_record(line.as_bytes()).unwrap() else { panic!("not a failure") };
    assert_eq!((old.tick, old.error.as_str()), (9, "ValueError: bad"));
    let new = old.upgrade().unwrap();
    assert_eq!((new.failure_count, new.transport.queue_length, new.summary.dropped_messages), (2, 3, 4));
    assert_eq!(new.health.map(|health| health.summary.queue_length), Some(1));
    let error = read_record(br#"{"status":"error","error":"x"}"#).unwrap_err();
    assert_eq!(error.path().as_deref(), Some("tick"), "{error}");
}

#[test]
fn results_of_both_command_paths_of_the_console_are_read() {
    let queued = Json::parse(&file("audit/baselines/worldstate_phase3/console/queued_results.json")).unwrap();
    for result in queued.as_array().unwrap() {
        let Record::Console(read) = read_record(result.to_string().as_bytes()).unwrap() else { panic!("{result}") };
        assert_eq!(read.command, None);
        assert_eq!(Json::from_serialize(&read.result).unwrap(), *result);
    }
    let routed = Json::parse(&file("audit/baselines/worldstate_phase3/console/router_results.json")).unwrap();
    for result in routed.as_array().unwrap() {
        let Record::Console(read) = read_record(result.to_string().as_bytes()).unwrap() else { panic!("{result}") };
        assert_eq!(read.result.status, "ok");
        assert_eq!(read.result.result.as_ref(), result.get("result"));
        assert_eq!(Json::from_serialize(&read.command.unwrap()).unwrap(), *result.get("command").unwrap());
    }
    let refused =
        br#"{"command":{"cmd":"relationship_detail","mode":"nobody"},"result":{"error":"forbidden","message":"no"}}"#;
    let Record::Console(read) = read_record(refused).unwrap() else { panic!("not a console result") };
    assert_eq!((read.result.name.as_str(), &*read.result.status), ("relationship_detail", "error"));
    assert_eq!(read.result.error.map(|error| error.code.into_owned()).as_deref(), Some("forbidden"));
    assert_eq!(read.command.unwrap().mode, Some(townlet_schema::ConsoleMode::Viewer), "an unknown mode may only look");
}

#[test]
fn recorded_lines_pass_the_schemas_that_the_predecessor_bundled() {
    let schema: serde_json::Value =
        serde_json::from_str(townlet_schema::bundled_schema(Kind::Snapshot, SchemaVersion::new(0, 9, 0)).unwrap())
            .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let bytes = stream();
    for line in lines(bytes) {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(validator.is_valid(&value));
    }
    let fixture: serde_json::Value = serde_json::from_slice(&file("tests/data/web_telemetry/snapshot.json")).unwrap();
    assert!(!validator.is_valid(&fixture), "no tick");
}
