//! What is told of a release, line by line.

use serde_json::{Value, json};
use tempfile::TempDir;
use townlet_readiness::Moment;
use townlet_readiness::suite::{Event, Measure, Observer, Silent, Span, SpanStatus, span_id, trace_id};
use townlet_release::telemetry::{Nanos, Outcome, Recorder, Signed, TraceParent, Watching};

use crate::world::{POLICY, RUN, decide, decided, deployment, named, the_manifest, to_file, told};

const FIELDS: [&str; 6] = ["artifact_id", "change_type", "status", "trace_id", "span_id", "actor"];

#[track_caller]
fn has_every_field(events: &[Value]) {
    for event in events {
        for field in FIELDS {
            assert!(event["payload"][field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {event}");
        }
    }
}

#[test]
fn a_decision_is_a_span_and_an_event_with_every_reason() {
    let dir = TempDir::new().unwrap();
    let (recorder, manifest) = (to_file(dir.path(), None), the_manifest());
    for signed in [true, false] {
        recorder.gate(&decided(&decide(signed, POLICY), Some(&manifest), None));
    }
    let events = told(dir.path(), recorder);
    has_every_field(&events);
    let spans = named(&events, "deployment.gate");
    assert_eq!(spans.len(), 2);
    let (approved, rejected) = (spans[0], spans[1]);
    assert_eq!((&approved["status"], &approved["span"]["status"]), (&json!("approve"), &json!("ok")));
    assert_eq!(approved["span"]["start_unix_nano"], "1795276800000000000");
    assert_eq!(approved["span"]["end_unix_nano"], "1795276800250000000");
    assert_eq!(approved["artifact_id"], manifest.digest().unwrap().to_string());
    // Suites, approvals and decisions of one run are one trace, the one that its report names.
    assert_eq!(
        (&approved["trace_id"], &approved["span"]["parent_span_id"]),
        (&trace_id(RUN).into(), &span_id(RUN, "").into())
    );
    assert!(approved["attributes"].get("error.type").is_none());
    assert_eq!(approved["attributes"]["cicd.pipeline.task.run.result"], "success");
    let attributes = &rejected["attributes"];
    assert_eq!((&rejected["span"]["status"], &attributes["townlet.gate.verdict"]), (&json!("error"), &json!("reject")));
    assert_eq!(attributes["townlet.gate.reason_codes"], json!(["AUTHOR_SIGNATURE_MISSING"]));
    assert_eq!(
        (&attributes["error.type"], &rejected["span"]["message"]),
        (&json!("AUTHOR_SIGNATURE_MISSING"), &json!("AUTHOR_SIGNATURE_MISSING"))
    );
    assert_eq!(attributes["deployment.environment.name"], "staging");
    let statuses: Vec<&Value> = named(&events, "deployment.event").iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses, ["approve", "reject"]);
    assert!(named(&events, "deployment.policy_change").is_empty());
}

#[test]
fn a_policy_that_is_another_than_in_the_decision_before_is_told_once_with_both_digests() {
    let dir = TempDir::new().unwrap();
    let (recorder, manifest) = (to_file(dir.path(), None), the_manifest());
    let before = decide(true, POLICY);
    let after = decide(true, "policies: { error_rate: < 0.02 }");
    recorder.gate(&decided(&before, Some(&manifest), Some(&before.0)));
    recorder.gate(&decided(&after, Some(&manifest), Some(&before.0)));
    let events = told(dir.path(), recorder);
    has_every_field(&events);
    let changes = named(&events, "deployment.policy_change");
    assert_eq!(changes.len(), 1);
    assert_eq!((&changes[0]["change_type"], &changes[0]["status"]), (&json!("policy"), &json!("changed")));
    let digest = |text: &str| townlet_registry::Digest::of(text.as_bytes()).to_string();
    assert_eq!(changes[0]["attributes"]["townlet.policy.digest_before"], digest(POLICY));
    assert_eq!(changes[0]["artifact_id"], digest("policies: { error_rate: < 0.02 }"));
}

#[test]
fn a_question_without_a_manifest_is_told_too() {
    let dir = TempDir::new().unwrap();
    let recorder = to_file(dir.path(), None);
    recorder.gate(&decided(&decide(true, POLICY), None, None));
    let events = told(dir.path(), recorder);
    has_every_field(&events);
    assert!(named(&events, "deployment.gate")[0]["span"].get("parent_span_id").is_none());
}

#[test]
fn approvals_and_waivers_are_events_of_the_run_that_they_are_about() {
    let dir = TempDir::new().unwrap();
    let (recorder, manifest) = (to_file(dir.path(), None), the_manifest());
    let approval = Signed {
        manifest: &manifest,
        artifact: manifest.digest().unwrap(),
        actor: "ana",
        change_type: "approval",
        environment: "production",
        role: Some("change-board"),
        policies: &[],
        statement: "sha256:dd",
    };
    recorder.signed(&approval);
    let policies = ["error_rate".to_owned()];
    recorder.signed(&Signed { change_type: "waiver", role: None, policies: &policies, ..approval });
    let events = told(dir.path(), recorder);
    has_every_field(&events);
    let both = named(&events, "deployment.event");
    assert_eq!((&both[0]["status"], &both[0]["actor"]), (&json!("approved"), &json!("ana")));
    assert_eq!(both[0]["attributes"]["townlet.signed.role"], "change-board");
    assert_eq!(
        (&both[1]["status"], &both[1]["attributes"]["townlet.signed.policies"]),
        (&json!("waived"), &json!(["error_rate"]))
    );
    assert!(both.iter().all(|event| event["trace_id"] == trace_id(RUN) && event.get("span").is_none()));
}

#[test]
fn a_deployment_is_a_span_two_events_and_where_it_succeeds_a_lead_time() {
    for (outcome, status, lead) in [
        (Outcome::Succeeded, "succeeded", true),
        (Outcome::Failed, "failed", false),
        (Outcome::RolledBack, "rolled_back", false),
    ] {
        let dir = TempDir::new().unwrap();
        let recorder = to_file(dir.path(), None);
        let execution = recorder.execute(deployment(), Nanos::from_ms(1_795_276_800_000));
        execution.end(outcome, Nanos::from_ms(1_795_276_860_500));
        let events = told(dir.path(), recorder);
        has_every_field(&events);
        let statuses: Vec<&Value> = named(&events, "deployment.event").iter().map(|event| &event["status"]).collect();
        assert_eq!(statuses, ["started", status]);
        let span = named(&events, "deployment.execute")[0];
        let attributes = &span["attributes"];
        let wanted = if lead { "succeeded" } else { "failed" };
        assert_eq!(attributes["deployment.status"], wanted, "the convention knows no third");
        assert_eq!(attributes["artifact.hash"][0], the_manifest().artifacts[0].digest.to_string());
        assert_eq!((&attributes["deployment.version"], &attributes["owner"]), (&json!("R42"), &json!("rosa")));
        assert_eq!(attributes["cicd.pipeline.task.type"], "deploy");
        let metrics = named(&events, "deployment.publish_lead_time");
        assert_eq!(metrics.len(), usize::from(lead));
        for metric in metrics {
            assert_eq!(metric["metric"], json!({"unit": "s", "value": 860.5, "instrument": "histogram"}));
            assert_eq!(metric["span_id"], span["span_id"]);
        }
    }
    // Not known, or later than the end: there is no such time.
    for ready_at in [None, Some(Nanos(u64::MAX))] {
        let dir = TempDir::new().unwrap();
        let recorder = to_file(dir.path(), None);
        let begun = townlet_release::telemetry::Deployment { ready_at, ..deployment() };
        recorder.execute(begun, Nanos(5)).end(Outcome::Succeeded, Nanos(7));
        assert!(named(&told(dir.path(), recorder), "deployment.publish_lead_time").is_empty());
    }
}

#[test]
fn what_takes_a_deployment_back_is_a_rollback_with_a_span_of_its_own_and_no_lead_time() {
    for (outcome, status, code) in [(Outcome::Succeeded, "succeeded", "ok"), (Outcome::Failed, "failed", "error")] {
        let dir = TempDir::new().unwrap();
        let recorder = to_file(dir.path(), None);
        let execution = recorder.execute(deployment().undoing("d-7"), Nanos::from_ms(1_795_276_800_000));
        execution.end(outcome, Nanos::from_ms(1_795_276_860_500));
        let events = told(dir.path(), recorder);
        has_every_field(&events);
        let both = named(&events, "deployment.event");
        assert_eq!(both.iter().map(|event| &event["status"]).collect::<Vec<_>>(), ["started", status]);
        assert!(both.iter().all(|event| event["change_type"] == "rollback"), "{both:?}");
        let span = named(&events, "deployment.rollback")[0];
        assert_eq!((&span["span"]["status"], &span["change_type"]), (&json!(code), &json!("rollback")));
        let attributes = &span["attributes"];
        assert_eq!(attributes["townlet.deployment.undoes"], "d-7");
        assert_eq!(attributes["cicd.pipeline.task.name"], "rollback");
        assert_eq!(attributes["cicd.pipeline.task.type"], "deploy", "the convention knows no other");
        assert!(named(&events, "deployment.execute").is_empty());
        assert!(named(&events, "deployment.publish_lead_time").is_empty());
    }
}

fn measured() -> Measure {
    Measure {
        name: "readiness.duration_seconds",
        unit: "s",
        value: 2.5,
        at: Moment::from_ms(1_795_276_800_000),
        attributes: vec![("cicd.pipeline.run.id", RUN.into()), ("cicd.pipeline.task.run.result", "failure".into())],
    }
}

fn span() -> Span {
    Span {
        name: "readiness.suite",
        trace_id: trace_id(RUN),
        span_id: span_id(RUN, "unit"),
        parent_id: Some(span_id(RUN, "")),
        start: Moment::from_ms(1_795_276_800_000),
        duration: std::time::Duration::from_millis(2_500),
        status: SpanStatus::Error,
        attributes: vec![
            ("cicd.pipeline.task.name", "unit".into()),
            ("cicd.pipeline.task.run.result", "timeout".into()),
        ],
    }
}

#[test]
fn what_readiness_tells_its_observers_is_told_on_and_the_next_observer_hears_it_too() {
    struct Counting(usize);
    impl Observer for Counting {
        fn observe(&mut self, _: &Event<'_>) {
            self.0 += 1;
        }
    }
    let dir = TempDir::new().unwrap();
    let (recorder, mut next) = (to_file(dir.path(), None), Counting(0));
    let mut watching = Watching::readiness(&recorder, RUN, "ci", &mut next);
    watching.observe(&Event::Started { name: "unit", attempt: 1 });
    watching.observe(&Event::Measured(measured()));
    watching.observe(&Event::Span(span()));
    assert_eq!(next.0, 3);
    let events = told(dir.path(), recorder);
    has_every_field(&events);
    assert_eq!(events.len(), 2, "a suite that begins is no span yet");
    let metric = named(&events, "readiness.duration_seconds")[0];
    assert_eq!(metric["metric"]["instrument"], "histogram");
    assert!(
        metric["attributes"].get("cicd.pipeline.run.id").is_none(),
        "a label for each run is a series for each run"
    );
    let suite = named(&events, "readiness.suite")[0];
    assert_eq!((&suite["status"], &suite["attributes"]["error.type"]), (&json!("timeout"), &json!("timeout")));
    assert_eq!(suite["attributes"]["cicd.pipeline.task.run.id"], suite["span_id"]);
    assert_eq!(suite["span"]["end_unix_nano"], "1795276802500000000");
}

#[test]
fn with_a_trace_of_a_caller_everything_joins_it() {
    let parent = |flags: &str| -> TraceParent {
        format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}").parse().unwrap()
    };
    for (flags, sampled) in [("01", true), ("00", false)] {
        let dir = TempDir::new().unwrap();
        let recorder = to_file(dir.path(), Some(parent(flags)));
        let mut silent = Silent;
        let mut watching = Watching::readiness(&recorder, RUN, "ci", &mut silent);
        watching.observe(&Event::Span(Span { parent_id: None, name: "readiness.run", ..span() }));
        watching.observe(&Event::Span(span()));
        let events = told(dir.path(), recorder);
        for event in &events {
            assert_eq!(event["payload"]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(event["payload"]["attributes"]["townlet.readiness.trace_id"], trace_id(RUN));
            assert_eq!(event["payload"].get("span").is_some(), sampled, "a caller who records no spans gets none");
        }
        if sampled {
            assert_eq!(named(&events, "readiness.run")[0]["span"]["parent_span_id"], "b7ad6b7169203331");
            assert_eq!(named(&events, "readiness.suite")[0]["span"]["parent_span_id"], span_id(RUN, ""));
        }
    }
}

#[test]
fn a_trace_context_that_is_none_is_refused() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(good.parse::<TraceParent>().is_ok());
    assert!(good.replacen("00", "cc", 1).parse::<TraceParent>().is_ok(), "a newer version");
    assert!(format!("{}-more", good.replacen("00", "cc", 1)).parse::<TraceParent>().is_ok());
    for bad in [
        "".to_owned(),
        "00".to_owned(),
        format!("{good}-more"),
        good.replacen("00", "ff", 1),
        good.replace("0af7", "0AF7"),
        good.replace("b7ad6b7169203331", "0000000000000000"),
        good.replace("-01", "-1"),
        good.replace("-01", "-éé"),
    ] {
        assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
    }
}

#[test]
fn off_nothing_is_told_and_nothing_is_made() {
    let recorder = Recorder::off();
    assert!(!recorder.is_on());
    recorder.gate(&decided(&decide(true, POLICY), None, None));
    recorder.execute(deployment(), Nanos(1)).end(Outcome::Succeeded, Nanos(2));
    assert_eq!(recorder.finish(std::time::Duration::ZERO).accepted, 0);
}
