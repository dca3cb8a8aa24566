//! Every name that is told, against the copies of the conventions in `tests/data/semconv`.

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;
use townlet_readiness::suite::{Event, Observer, Silent, Span, SpanStatus};
use townlet_readiness::{Moment, SystemClock, UnixProcesses};
use townlet_release::telemetry::{ATTRIBUTES, METRICS, Nanos, Outcome, SPANS, Signed, Watching};

use crate::world::{POLICY, RUN, decide, decided, deployment, the_manifest, to_file, told};

const MODELS: [&str; 5] = [
    include_str!("../data/semconv/cicd__registry.yaml"),
    include_str!("../data/semconv/cicd__metrics.yaml"),
    include_str!("../data/semconv/cicd__spans.yaml"),
    include_str!("../data/semconv/cicd__entities.yaml"),
    include_str!("../data/semconv/deployment__registry.yaml"),
];

/// Names of other models of the conventions, which are not copied: `model/vcs`.
const OTHER_MODELS: [&str; 1] = ["vcs.ref.head.revision"];

/// Names that the seed gives, where the conventions have none.
const OF_THE_SEED: [&str; 3] = ["artifact.hash", "deployment.version", "owner"];

/// Every attribute that the models define or refer to, with the values that it may have where they are listed.
fn conventions() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for model in MODELS {
        let mut attribute = String::new();
        for line in model.lines() {
            let (depth, line) = (line.len() - line.trim_start().len(), line.trim());
            let name = ["- id: ", "- ref: "].iter().find_map(|start| line.strip_prefix(start));
            // Groups begin at the second column, members of a list of values beyond the attributes.
            if let Some(name) = name.filter(|_| depth == 6) {
                attribute = name.to_owned();
                all.entry(attribute.clone()).or_default();
            } else if let Some(value) = line.strip_prefix("value: ").filter(|_| !attribute.is_empty()) {
                all.entry(attribute.clone()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    all
}

fn is_known(name: &str, conventions: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let ours = ["townlet.", "readiness."].iter().any(|start| name.starts_with(start));
    ours || conventions.contains_key(name) || OTHER_MODELS.contains(&name) || OF_THE_SEED.contains(&name)
}

#[test]
fn the_models_are_read() {
    let all = conventions();
    let result = &all["cicd.pipeline.task.run.result"];
    assert_eq!(
        result.iter().map(String::as_str).collect::<Vec<_>>(),
        ["cancellation", "error", "failure", "skip", "success", "timeout"]
    );
    assert!(all.contains_key("error.type") && all.contains_key("deployment.environment.name"));
    assert!(!all.contains_key("cicd.pipeline.task.result"), "what does not exist is not found");
}

#[test]
fn every_attribute_has_a_name_of_the_conventions_of_the_seed_or_of_our_own() {
    let all = conventions();
    let unknown: Vec<&&str> = ATTRIBUTES.iter().filter(|name| !is_known(name, &all)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(SPANS, ["deployment.gate", "deployment.execute", "deployment.rollback"]);
    assert_eq!(METRICS, ["deployment.publish_lead_time", "deployment.rollback_rehearsal_duration"]);
}

/// Everything that can be told, a run of suites and a rehearsal among it.
fn everything() -> Vec<serde_json::Value> {
    let dir = TempDir::new().unwrap();
    let (recorder, manifest) = (to_file(dir.path(), None), the_manifest());
    for signed in [true, false] {
        recorder.gate(&decided(&decide(signed, POLICY), Some(&manifest), Some(&decide(true, "policies: { a: 0 }").0)));
    }
    for change_type in ["approval", "waiver"] {
        let policies = ["a".to_owned()];
        recorder.signed(&Signed {
            manifest: &manifest,
            artifact: manifest.digest().unwrap(),
            actor: "ana",
            change_type,
            environment: "production",
            role: Some("change-board"),
            policies: &policies,
            statement: "sha256:dd",
        });
    }
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::RolledBack] {
        recorder.execute(deployment(), Nanos(5)).end(outcome, Nanos(1_795_276_860_000_000_000));
    }
    recorder.execute(deployment().undoing("d-7"), Nanos(5)).end(Outcome::Succeeded, Nanos(6));
    suites(dir.path(), &recorder);
    rehearsal(dir.path(), &recorder);
    told(dir.path(), recorder)
}

fn suites(dir: &std::path::Path, recorder: &townlet_release::telemetry::Recorder) {
    let text =
        "suites: [{ name: good, kind: unit, command: [\"true\"] }, { name: bad, kind: unit, command: [\"false\"] },
      { name: never, kind: unit, command: [\"true\"] }]";
    let mut found = townlet_policy::Findings::new("suites.yaml", text);
    let config = townlet_readiness::suite::Config::read(text, &mut found).unwrap();
    let run = townlet_readiness::suite::Run {
        config: &config,
        config_file: file(text),
        root: dir,
        out: dir,
        run_id: RUN,
        revision: townlet_readiness::report::Revision { id: "c0ffee".into(), modified: None },
        env: &path(),
        clock: &SystemClock::start(),
        processes: &UnixProcesses::default(),
    };
    run.go(&mut Watching::readiness(recorder, RUN, "ci", &mut Silent)).unwrap();
}

fn rehearsal(dir: &std::path::Path, recorder: &townlet_release::telemetry::Recorder) {
    let text = "name: undo
environment: staging
deadline: 1m
steps: [{ name: act, command: [\"true\"], deadline: 30s }]
checks: [{ name: look, command: [\"true\"], deadline: 30s }]";
    let mut found = townlet_policy::Findings::new("rollback.yaml", text);
    let config = townlet_readiness::rehearsal::Config::read(text, &mut found).unwrap();
    let rehearsal = townlet_readiness::rehearsal::Rehearsal {
        config: &config,
        config_file: file(text),
        root: dir,
        out: dir,
        run_id: "undo-1",
        revision: None,
        participants: Vec::new(),
        notes: Vec::new(),
        env: &path(),
        clock: &SystemClock::start(),
        processes: &UnixProcesses::default(),
    };
    rehearsal.go(&mut Watching::rehearsal(recorder, "undo-1", "ci", &mut Silent)).unwrap();
}

fn file(text: &str) -> townlet_readiness::FileDigest {
    let sha256 = townlet_readiness::Digest::of(text.as_bytes());
    townlet_readiness::FileDigest { path: "a.yaml".into(), sha256, bytes: text.len() as u64 }
}

fn path() -> BTreeMap<String, std::ffi::OsString> {
    BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap_or_default())])
}

#[test]
fn what_leaves_has_no_other_names_and_no_value_that_the_conventions_do_not_list() {
    let (all, events) = (conventions(), everything());
    let names: BTreeSet<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let wanted = [SPANS.as_slice(), &METRICS, &["deployment.event", "deployment.policy_change"]].concat();
    let readiness = ["readiness.passed", "readiness.duration_seconds", "readiness.run", "readiness.suite"];
    for name in wanted.iter().chain(&readiness) {
        assert!(names.contains(name), "{name} was never told: {names:?}");
    }
    let mut seen = BTreeSet::new();
    for event in &events {
        for (name, value) in event["payload"]["attributes"].as_object().unwrap() {
            assert!(is_known(name, &all), "{name} in {event}");
            seen.insert(name.clone());
            // Environments are an open list: people name their own.
            let listed = all.get(name).filter(|values| !values.is_empty() && *name != "deployment.environment.name");
            if let (Some(values), Some(text)) = (listed, value.as_str()) {
                assert!(values.contains(text), "{name} is {text}, and may be {values:?}");
            }
        }
    }
    let silent: Vec<&&str> =
        ATTRIBUTES.iter().filter(|name| !seen.contains(**name) && **name != "townlet.readiness.trace_id").collect();
    assert!(silent.is_empty(), "named and never told: {silent:?}");
}

#[test]
fn a_name_that_is_not_in_the_conventions_would_be_found() {
    let dir = TempDir::new().unwrap();
    let (recorder, mut silent) = (to_file(dir.path(), None), Silent);
    let wrong = Span {
        name: "readiness.suite",
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        span_id: "b7ad6b7169203331".into(),
        parent_id: None,
        start: Moment::from_ms(0),
        duration: std::time::Duration::ZERO,
        status: SpanStatus::Ok,
        attributes: vec![("cicd.stage.name", "unit".into())],
    };
    Watching::readiness(&recorder, RUN, "ci", &mut silent).observe(&Event::Span(wrong));
    let (events, all) = (told(dir.path(), recorder), conventions());
    let attributes = events[0]["payload"]["attributes"].as_object().unwrap();
    assert_eq!(attributes.keys().filter(|name| !is_known(name, &all)).collect::<Vec<_>>(), ["cicd.stage.name"]);
}
