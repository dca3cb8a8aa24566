//! What a record holds.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::{Value, json};
use townlet_transport::{Compression, Frame, Label};
use townlet_transport_otlp::{Encoding, OtlpOptions};

use crate::receiver::{base, decode, records, server};
use crate::{line, plaintext, send, transport};

/// With what depends on the moment made equal.
fn settled(mut value: Value) -> Value {
    for record in value["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut().unwrap() {
        let observed: u64 = record["observedTimeUnixNano"].as_str().unwrap().parse().unwrap();
        assert!(observed > 1_700_000_000_000_000_000, "nanoseconds of this century");
        record["observedTimeUnixNano"] = "now".into();
    }
    value
}

#[test]
fn a_line_is_a_record_word_for_word() {
    let server = server();
    let resource =
        vec![("service.name".to_owned(), "town".to_owned()), ("deployment.environment.name".into(), "test".into())];
    let options = OtlpOptions { encoding: Encoding::Json, resource, traces: true, ..plaintext(&base(&server)) };
    let event = line("event", 7, r#"{"seq":7,"event":"policy.metadata","payload":{"ratio":0.5,"who":["ann",null]}}"#);
    send(&mut transport(options), &[event]).unwrap();
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/logs"));
    let text = |text: &str| json!({"stringValue": text});
    let kv = |key: &str, value: Value| json!({"key": key, "value": value});
    let list = |values: &[Value]| json!({"kvlistValue": {"values": values}});
    let expected = json!({"resourceLogs": [{
        "resource": {
            "attributes": [
                kv("service.name", text("town")),
                kv("deployment.environment.name", text("test")),
                kv("service.instance.id", text("run-1")),
            ],
            "droppedAttributesCount": 0,
            "entityRefs": [],
        },
        "scopeLogs": [{
            "scope": {
                "name": "townlet-transport-otlp",
                "version": env!("CARGO_PKG_VERSION"),
                "attributes": [],
                "droppedAttributesCount": 0,
            },
            "logRecords": [{
                "timeUnixNano": "0",
                "observedTimeUnixNano": "now",
                "severityNumber": 9,
                "severityText": "INFO",
                "body": list(&[
                    kv("seq", json!({"intValue": "7"})),
                    kv("event", text("policy.metadata")),
                    kv("payload", list(&[
                        kv("ratio", json!({"doubleValue": 0.5})),
                        kv("who", json!({"arrayValue": {"values": [text("ann"), {}]}})),
                    ])),
                ]),
                "attributes": [
                    kv("townlet.stream", text("town")),
                    kv("townlet.seq", json!({"intValue": "7"})),
                    kv("townlet.tick", json!({"intValue": "7"})),
                    kv("townlet.kind", text("event")),
                ],
                "droppedAttributesCount": 0,
                "flags": 0,
                // Of the tick, by its run and number: the same in every process.
                "traceId": "TRACE",
                "spanId": "SPAN",
                "eventName": "policy.metadata",
            }],
            "schemaUrl": "",
        }],
        "schemaUrl": "",
    }]});
    let mut got = settled(serde_json::from_slice(&request.body).unwrap());
    let record = &mut got["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    let (trace, span) = (record["traceId"].clone(), record["spanId"].clone());
    assert_eq!((trace.as_str().unwrap().len(), span.as_str().unwrap().len()), (32, 16));
    (record["traceId"], record["spanId"]) = ("TRACE".into(), "SPAN".into());
    assert_eq!(got, expected);
}

#[test]
fn runs_stay_apart_and_kinds_have_names() {
    let server = server();
    let of = |run: &str, kind: &'static str, seq| Frame::new(Label::new(run, "s"), kind, seq, 1, "{}\n");
    let batch = [of("old", "event", 9), of("new", "failure", 1), of("old", "health", 10)];
    send(&mut transport(plaintext(&base(&server))), &batch).unwrap();
    let requests = server.requests();
    let logs: ExportLogsServiceRequest = decode(&requests[0]);
    let instance = |n: usize| format!("{:?}", logs.resource_logs[n].resource.as_ref().unwrap().attributes);
    assert_eq!(logs.resource_logs.len(), 2);
    assert!(instance(0).contains("\"old\"") && instance(1).contains("\"new\"") && instance(0).contains("\"townlet\""));
    let all = records(&requests[0]);
    let told: Vec<(&str, i32)> = all.iter().map(|r| (r.event_name.as_str(), r.severity_number)).collect();
    assert_eq!(told, [("townlet.event", 9), ("townlet.health", 9), ("townlet.failure", 17)]);
    assert!(all.iter().all(|record| record.trace_id.is_empty()), "without traces there is no span to point to");
}

#[test]
fn a_request_says_what_it_is() {
    for (encoding, kind) in [(Encoding::Protobuf, "application/x-protobuf"), (Encoding::Json, "application/json")] {
        for compression in [Compression::None, Compression::Gzip] {
            let server = server();
            let options = OtlpOptions { encoding, compression, ..plaintext(&format!("{}/otlp/", base(&server))) };
            let batch: Vec<Frame> = (1..=50).map(|seq| line("event", seq, r#"{"event":"again and again"}"#)).collect();
            send(&mut transport(options), &batch).unwrap();
            let request = &server.requests()[0];
            assert_eq!(request.path, "/otlp/v1/logs");
            assert_eq!((request.headers["content-type"].as_str(), request.headers["accept"].as_str()), (kind, kind));
            let gzip = compression == Compression::Gzip;
            assert_eq!(request.headers.get("content-encoding").map(String::as_str), gzip.then_some("gzip"));
            assert!(!gzip || request.body.len() * 4 < request.content().len());
            assert_eq!(records(request).len(), 50);
        }
    }
}
