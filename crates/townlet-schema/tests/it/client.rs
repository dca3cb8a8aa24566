//! The rules of a client.

use townlet_schema::{
    Applied, ClientError, ClientState, Diff, Json, Kind, LineExtra, LinePrefix, Object, RunId, SchemaVersion,
};

use crate::samples::{json, lines, object, stream};

fn line(run: u128, kind: Kind, seq: u64, extra: LineExtra, body: &str) -> Vec<u8> {
    let mut line = Vec::new();
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, kind, &RunId::from_u128(run), "town");
    prefix.write_line(seq, 100 + seq, extra, body.as_bytes(), &mut line);
    line
}

fn snapshot(run: u128, seq: u64, body: &str) -> Vec<u8> {
    line(run, Kind::Snapshot, seq, LineExtra::default(), body)
}

fn diff(run: u128, base: u64, seq: u64, body: &str) -> Vec<u8> {
    line(run, Kind::Diff, seq, LineExtra { base_seq: Some(base), rendering: None }, body)
}

fn jobs(client: &ClientState) -> String {
    client.state().and_then(|state| state.get("jobs")).map(Json::to_string).unwrap_or_default()
}

#[test]
fn w23_a_diff_before_any_snapshot_is_refused() {
    let mut client = ClientState::new();
    let refusal = client.apply(&diff(1, 1, 2, r#"{"changes":{"jobs":{}}}"#)).unwrap_err();
    assert_eq!(refusal, ClientError::DiffBeforeSnapshot { tick: 102 });
    let old = br#"{"schema_version":"0.9.7","tick":2,"payload_type":"diff","changes":{"jobs":{}}}"#;
    assert_eq!(client.apply(old).unwrap_err(), ClientError::DiffBeforeSnapshot { tick: 2 });
    assert!(client.state().is_none() && client.needs_snapshot());
}

#[test]
fn w23_a_changed_section_replaces_the_old_one_and_is_not_merged() {
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 1, r#"{"jobs":{"ann":{"wallet":1.0},"bob":{}},"promotion":null}"#)).unwrap();
    let applied =
        client.apply(&diff(1, 1, 2, r#"{"changes":{"jobs":{"bob":{"wallet":2.0}}},"removed":["promotion"]}"#));
    assert_eq!(applied, Ok(Applied::Diff));
    assert_eq!(jobs(&client), r#"{"bob":{"wallet":2.0}}"#, "ann left and leaves no ghost");
    assert_eq!(client.state().unwrap().keys().collect::<Vec<_>>(), ["jobs"]);
    assert_eq!((client.seq(), client.tick()), (Some(2), Some(102)));
}

#[test]
fn a_diff_on_another_base_is_refused_until_a_snapshot_comes() {
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 1, r#"{"jobs":{"ann":{}}}"#)).unwrap();
    assert!(matches!(client.apply(&diff(1, 2, 3, r#"{"changes":{}}"#)), Err(ClientError::BaseMismatch { .. })));
    assert!(client.needs_snapshot());
    let again = client.apply(&diff(1, 1, 4, r#"{"changes":{}}"#));
    assert!(matches!(again, Err(ClientError::BaseMismatch { .. })), "{again:?}");
    assert_eq!(jobs(&client), r#"{"ann":{}}"#, "the state is as before");
    assert_eq!(client.apply(&snapshot(1, 5, r#"{"jobs":{}}"#)), Ok(Applied::Snapshot));
    assert_eq!(client.apply(&diff(1, 5, 6, r#"{"changes":{"jobs":{"cy":{}}}}"#)), Ok(Applied::Diff));
}

#[test]
fn a_diff_may_skip_states_that_were_shed_as_long_as_its_base_is_at_hand() {
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 1, r#"{"jobs":{}}"#)).unwrap();
    assert_eq!(client.apply(&diff(1, 1, 9, r#"{"changes":{"jobs":{"ann":{}}}}"#)), Ok(Applied::Diff));
    assert_eq!(client.seq(), Some(9));
}

#[test]
fn keyframes_and_repeats_are_harmless_and_a_new_run_starts_anew() {
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 5, r#"{"jobs":{}}"#)).unwrap();
    client.apply(&diff(1, 5, 6, r#"{"changes":{"jobs":{"ann":{}}}}"#)).unwrap();
    assert_eq!(client.apply(&diff(1, 5, 6, r#"{"changes":{"jobs":{}}}"#)), Ok(Applied::Stale));
    assert_eq!(client.apply(&snapshot(1, 5, r#"{"jobs":{}}"#)), Ok(Applied::Stale));
    let keyframe =
        line(1, Kind::Snapshot, 6, LineExtra { rendering: Some(1), base_seq: None }, r#"{"jobs":{"ann":{}}}"#);
    assert_eq!(client.apply(&keyframe), Ok(Applied::Snapshot));
    assert_eq!(client.apply(&line(1, Kind::Health, 7, LineExtra::default(), "{}")), Ok(Applied::Ignored));
    assert!(matches!(client.apply(&diff(2, 6, 7, r#"{"changes":{}}"#)), Err(ClientError::BaseMismatch { .. })));
    assert_eq!(client.apply(&snapshot(2, 1, r#"{"jobs":{"bob":{}}}"#)), Ok(Applied::Snapshot));
    assert_eq!(jobs(&client), r#"{"bob":{}}"#);
}

#[test]
fn a_tick_gap_before_a_diff_of_0_9_means_lost_diffs() {
    let mut client = ClientState::new();
    let diff =
        |tick: u64| format!(r#"{{"schema_version":"0.9.7","tick":{tick},"payload_type":"diff","changes":{{}}}}"#);
    client.apply(br#"{"schema_version":"0.9.7","tick":12,"payload_type":"snapshot"}"#).unwrap();
    assert_eq!(client.apply(diff(13).as_bytes()), Ok(Applied::Diff));
    let error = client.apply(diff(16).as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the diff of tick 16 applies to tick 15 and the state at hand is tick 13: wait for a snapshot"
    );
    assert!(client.apply(diff(14).as_bytes()).is_err(), "lost until the next snapshot");
}

#[test]
fn diffs_between_all_recorded_states_lead_from_each_to_the_next() {
    let bytes = stream();
    let states: Vec<Object> = lines(bytes)
        .iter()
        .map(|line| {
            let mut state = Json::parse(line).unwrap().as_object().unwrap().clone();
            for key in ["schema_version", "tick"] {
                state.remove(key);
            }
            state
        })
        .collect();
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 1, &Json::from(states[0].clone()).to_string())).unwrap();
    for (at, pair) in states.windows(2).enumerate() {
        let change = Diff::between(&pair[0], &pair[1]);
        assert!(!change.is_empty());
        let body = Json::from_serialize(&change).unwrap().to_string();
        client.apply(&diff(1, at as u64 + 1, at as u64 + 2, &body)).unwrap();
        assert_eq!(client.state(), Some(&pair[1]), "tick {}", at + 2);
    }
    let (with, without) = (object(r#"{"a":1,"b":2}"#), object(r#"{"b":2}"#));
    assert_eq!(Diff::between(&with, &without).removed, ["a"]);
    assert_eq!(json(r#"{"a":1}"#).as_object().map(|a| Diff::between(a, a).is_empty()), Some(true));
}

#[test]
fn a_diff_from_the_inside_brings_the_state_forward_and_one_that_does_not_fit_is_refused() {
    let mut client = ClientState::new();
    client.apply(&snapshot(1, 1, r#"{"utilities":{"power":true,"water":true},"events":[{"event":"chat"}]}"#)).unwrap();
    let applied = client.apply(&diff(1, 1, 2, r#"{"patch":{"utilities":{"power":false}}}"#));
    assert_eq!(applied, Ok(Applied::Diff));
    let state = Json::Object(client.state().unwrap().clone());
    assert_eq!(state.to_string(), r#"{"events":[],"utilities":{"power":false,"water":true}}"#);
    let refusal = client.apply(&diff(1, 2, 3, r#"{"patch":{"jobs":{"ann":{}}}}"#)).unwrap_err();
    let message = "the diff of tick 103 does not fit its base: jobs: there is nothing to change: wait for a snapshot";
    assert_eq!(refusal.to_string(), message);
    assert!(client.needs_snapshot());
    assert_eq!(Json::Object(client.state().unwrap().clone()), state);
}
