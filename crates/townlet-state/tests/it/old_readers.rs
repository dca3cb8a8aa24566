//! What readers of 0.9 make of `wire: legacy-0.9`: a port of the rules of the
//! predecessor's two clients, applied to what is written here.

use townlet_schema::legacy::LegacySnapshot;
use townlet_schema::{Json, Kind, Object, Record, SchemaVersion, Snapshot, read_record};
use townlet_state::{Cadence, LegacyEncoder, Reason, State};

use crate::data::{json, object, town};

/// The terminal client and the web client, as far as they keep a state.
#[derive(Default)]
struct OldReader {
    payload: Option<Object>,
    last_tick: u64,
    /// The web client lets lines of an earlier tick fall.
    web: bool,
}

impl OldReader {
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(line).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one line");
        let mut message = object(text);
        let version = message.get("schema_version").and_then(Json::as_str).ok_or("schema_version is missing")?;
        // By the letter, as it did: `0.9`, and no other major.
        if !version.starts_with("0.9") {
            return Err(format!("unsupported schema {version}"));
        }
        let tick = message.get("tick").and_then(Json::as_u64).ok_or("no tick")?;
        if self.web && tick < self.last_tick {
            return Ok(());
        }
        self.last_tick = tick;
        match message.get("payload_type").and_then(Json::as_str).unwrap_or("snapshot") {
            "snapshot" => self.payload = Some(message),
            // The web client took a first diff for a snapshot: the encoder must not let it come to that.
            "diff" => {
                let payload = self.payload.as_mut().ok_or("diff before snapshot")?;
                let Some(Json::Object(changes)) = message.remove("changes") else {
                    return Err("no changes".to_owned());
                };
                for (key, value) in changes {
                    payload.insert(key, value);
                }
                for key in message.get("removed").and_then(Json::as_array).unwrap_or_default() {
                    payload.remove(key.as_str().unwrap());
                }
                payload.insert("tick", tick);
            }
            other => return Err(format!("unknown payload_type {other}")),
        }
        let payload = self.payload.as_ref().unwrap();
        match ["employment", "jobs", "conflict"].iter().find(|section| !payload.contains_key(section)) {
            Some(section) => Err(format!("{section} is missing")),
            None => Ok(()),
        }
    }

    /// The sections, without the head.
    fn sections(&self) -> Object {
        let mut sections = self.payload.clone().unwrap();
        sections.retain(|key, _| !["schema_version", "tick", "payload_type"].contains(&key));
        sections
    }
}

fn states() -> Vec<State> {
    town().into_iter().zip(1..).map(|(sections, seq)| State::new(seq, seq + 10, sections)).collect()
}

fn line(encoder: &mut LegacyEncoder, state: &State) -> (Kind, Vec<u8>) {
    let mut line = Vec::new();
    let (kind, _) = encoder.render(state, &mut line);
    (kind, line)
}

/// What 0.9 says of a state, by the typed conversion.
fn expected(state: &State) -> Object {
    let snapshot: Snapshot = Json::Object((*state.sections).clone()).read().unwrap();
    LegacySnapshot::downgrade(&snapshot, state.tick).unwrap().sections.to_object().unwrap()
}

#[test]
fn both_old_clients_have_the_producers_state_after_every_line() {
    for web in [false, true] {
        let mut encoder = LegacyEncoder::new(Cadence::default());
        let mut reader = OldReader { web, ..OldReader::default() };
        for state in states() {
            let (kind, line) = line(&mut encoder, &state);
            assert_eq!(kind == Kind::Snapshot, state.seq == 1);
            reader.take(&line).unwrap();
            assert_eq!(reader.sections(), expected(&state), "tick {}", state.tick);
        }
    }
}

#[test]
fn the_first_line_of_a_connection_is_a_snapshot_with_the_27_keys_and_its_type() {
    let mut state = states().remove(0);
    let mut sections = (*state.sections).clone();
    sections.insert("policy_identity", object(r#"{"config_id":"v1"}"#));
    state = State::new(state.seq, state.tick, sections);
    let mut encoder = LegacyEncoder::new(Cadence::default());
    for _ in 0..2 {
        let (_, line) = line(&mut encoder, &state);
        let text = String::from_utf8(line).unwrap();
        assert!(
            text.starts_with(r#"{"schema_version":"0.9.7","tick":11,"payload_type":"snapshot","runtime_variant":"#),
            "{text}"
        );
        assert_eq!(object(&text).len(), 27 + 1);
        let Record::LegacySnapshot(read) = read_record(text.as_bytes()).unwrap() else { panic!("not a snapshot") };
        assert!(read.sections.other.is_empty());
        encoder.connection_lost();
    }
}

#[test]
fn sections_that_go_are_removed_and_others_that_0_9_did_not_know_go_along() {
    let mut encoder = LegacyEncoder::new(Cadence::default());
    let base = r#""conflict":{},"employment":{},"jobs":{}"#;
    let first = State::new(
        1,
        1,
        object(&format!(r#"{{{base},"policy_identity":{{"config_id":"v1"}},"weather":{{"rain":true}}}}"#)),
    );
    let next =
        State::new(2, 2, object(&format!(r#"{{{base},"policy_identity":null,"social_events":[{{"type":"x"}}]}}"#)));
    let mut reader = OldReader::default();
    reader.take(&line(&mut encoder, &first).1).unwrap();
    assert!(reader.sections().contains_key("weather"));
    let (_, diff) = line(&mut encoder, &next);
    let text = String::from_utf8(diff.clone()).unwrap();
    let expected = r#"{"schema_version":"0.9.7","tick":2,"payload_type":"diff","changes":{},"removed":["policy_identity","weather"]}"#;
    assert_eq!(text.trim_end(), expected);
    reader.take(&diff).unwrap();
    assert_eq!(reader.sections(), object(&format!("{{{base}}}")));
}

#[test]
fn w23_rivalry_has_the_shape_of_the_version_that_the_line_names_also_where_a_score_is_masked() {
    let sections = object(
        r#"{"conflict":{"rivalry":{"ann":{"bob":0.5,"cy":"***"}}},"employment":{},"jobs":{},
        "relationship_snapshot":{"ann":{"bob":{"trust":0.25,"familiarity":0.75,"rivalry":0.5}}}}"#,
    );
    let (_, line) = line(&mut LegacyEncoder::new(Cadence::default()), &State::new(1, 1, sections));
    let payload = object(std::str::from_utf8(&line).unwrap());
    assert_eq!(payload.get("schema_version").and_then(Json::as_str), Some(&*SchemaVersion::LEGACY.to_string()));
    let rivalry = payload.get("conflict").and_then(|conflict| conflict.get("rivalry")).unwrap();
    assert_eq!(*rivalry, json(r#"{"ann":{"bob":{"trust":0.25,"familiarity":0.75,"rivalry":0.5},"cy":"***"}}"#));
}

#[test]
fn a_lost_connection_a_request_a_withdrawn_state_and_the_cadence_bring_a_snapshot() {
    let mut encoder = LegacyEncoder::new(Cadence { keyframe_every: 4, keyframe_bytes: 0 });
    let reason = |seq: u64, encoder: &mut LegacyEncoder| {
        encoder.render(&State::new(seq, seq, object(r#"{"jobs":{}}"#)), &mut Vec::new()).1
    };
    assert_eq!(reason(1, &mut encoder), Some(Reason::NoBase));
    assert_eq!(reason(2, &mut encoder), None);
    encoder.connection_lost();
    assert_eq!(reason(3, &mut encoder), Some(Reason::NoBase));
    encoder.request_keyframe();
    assert_eq!(reason(4, &mut encoder), Some(Reason::Requested));
    assert_eq!(reason(5, &mut encoder), None);
    encoder.withdraw(5);
    assert_eq!(reason(6, &mut encoder), Some(Reason::NoBase));
    assert_eq!(reason(6, &mut encoder), Some(Reason::OutOfOrder));
    assert_eq!([7, 8, 9, 10, 11].map(|seq| reason(seq, &mut encoder)), [None, None, None, None, Some(Reason::Due)]);
}
