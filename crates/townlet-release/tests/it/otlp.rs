//! The whole way to an OTLP receiver over a real socket.

use std::time::{Duration, Instant};

use serde_json::Value;
use townlet_release::telemetry::{Nanos, Outcome, Recorder};
use townlet_testkit::http::{Reply, Request, Server, status};

use crate::world::{POLICY, decide, decided, deployment, recorder, the_manifest};

fn taken(_: &Request) -> Reply {
    Reply::Body(200, "Content-Type: application/json\r\n".into(), b"{}".to_vec())
}

fn to(server: &Server, more: &str) -> Recorder {
    let yaml = format!(
        "telemetry:\n  transport:\n    type: otlp\n    endpoint: http://{}\n    allow_plaintext: true\n    \
         dev_allow_plaintext: true\n    format: json\n    send_timeout_seconds: 20\n    settle_at: peer_acked\n{more}",
        server.address
    );
    recorder(&yaml, None)
}

/// Everything of one kind that came to one path.
fn all(server: &Server, path: &str, steps: [&str; 3]) -> Vec<Value> {
    let requests = server.requests().into_iter().filter(|request| request.path == path);
    let mut found: Vec<Value> = requests.map(|request| serde_json::from_slice(&request.content()).unwrap()).collect();
    for step in steps {
        found = found.iter().flat_map(|value| value[step].as_array().unwrap().clone()).collect();
    }
    found
}

fn attribute<'v>(item: &'v Value, name: &str) -> &'v Value {
    let found = item["attributes"].as_array().unwrap().iter().find(|kv| kv["key"] == name);
    &found.unwrap_or_else(|| panic!("{name} in {item}"))["value"]
}

fn tell(recorder: &Recorder) {
    let manifest = the_manifest();
    recorder.gate(&decided(&decide(false, POLICY), Some(&manifest), None));
    let execution = recorder.execute(deployment(), Nanos::from_ms(1_795_276_800_000));
    execution.end(Outcome::Succeeded, Nanos::from_ms(1_795_276_860_000));
}

#[test]
fn decisions_and_deployments_arrive_as_spans_points_and_records() {
    let server = Server::start(Reply::Decide(taken));
    let recorder = to(&server, "");
    tell(&recorder);
    let account = recorder.finish(Duration::from_secs(30));
    assert_eq!(account.lost, 0);

    let records = all(&server, "/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"]);
    assert_eq!(records.len() as u64, account.accepted);
    let spans = all(&server, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"]);
    let span = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (gate, execute) = (span("deployment.gate"), span("deployment.execute"));
    assert_eq!((&gate["status"]["code"], &execute["status"]["code"]), (&2.into(), &1.into()));
    assert_eq!(gate["traceId"], execute["traceId"], "one release, one trace");
    assert_eq!(gate["startTimeUnixNano"], "1795276800000000000");
    assert_eq!(gate["endTimeUnixNano"], "1795276800250000000");
    assert_eq!(attribute(gate, "deployment.environment.name")["stringValue"], "staging");
    let reasons = attribute(gate, "townlet.gate.reason_codes");
    assert_eq!(reasons["arrayValue"]["values"][0]["stringValue"], "AUTHOR_SIGNATURE_MISSING");
    // Records point to the span that they are about.
    let of = |name: &str| records.iter().filter(|record| record["eventName"] == name).collect::<Vec<_>>();
    assert_eq!(
        (of("deployment.gate")[0]["spanId"].clone(), of("deployment.gate")[0]["severityText"].clone()),
        (gate["spanId"].clone(), "ERROR".into())
    );
    assert_eq!(of("deployment.event").len(), 3);
    assert_eq!(of("deployment.event")[2]["spanId"], execute["spanId"]);
    let metrics = all(&server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    let lead = metrics.iter().rfind(|metric| metric["name"] == "deployment.publish_lead_time").unwrap();
    let point = &lead["histogram"]["dataPoints"][0];
    assert_eq!((&lead["unit"], &point["sum"], &point["count"]), (&"s".into(), &860.0.into(), &"1".into()));
    assert_eq!(attribute(point, "deployment.environment.name")["stringValue"], "production");
}

#[test]
fn what_is_redacted_is_in_no_record_span_or_attribute() {
    let server = Server::start(Reply::Decide(taken));
    let redact = "  transforms:\n    pipeline:\n      - redact_fields: {fields: [payload.actor, payload.attributes.owner], kinds: [event]}\n";
    let recorder = to(&server, redact);
    tell(&recorder);
    assert_eq!(recorder.finish(Duration::from_secs(30)).lost, 0);
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.path == "/v1/traces"));
    for request in requests {
        let text = String::from_utf8(request.content()).unwrap();
        assert!(!text.contains("rosa"), "{}: {text}", request.path);
    }
}

#[test]
fn a_peer_that_is_not_there_or_never_answers_costs_no_more_than_the_limit() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [nobody, silent.local_addr().unwrap()] {
        let yaml = format!(
            "telemetry:\n  transport: {{type: otlp, endpoint: 'http://{address}', allow_plaintext: true, \
             dev_allow_plaintext: true, send_timeout_seconds: 60}}\n"
        );
        let recorder = recorder(&yaml, None);
        let began = Instant::now();
        tell(&recorder);
        assert!(began.elapsed() < Duration::from_secs(20), "telling waits for nobody: {:?}", began.elapsed());
        let account = recorder.finish(Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        assert!(account.lost > 0 && account.lost == account.accepted, "{account:?}");
    }
}

#[test]
fn a_peer_that_refuses_is_on_the_books() {
    let server = Server::start(status(400));
    let recorder = to(&server, "");
    tell(&recorder);
    let account = recorder.finish(Duration::from_secs(30));
    assert_eq!((account.lost, account.accepted > 0), (account.accepted, true));
}
