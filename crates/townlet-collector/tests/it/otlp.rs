//! OTLP in, lines out.

use prost::Message;
use serde_json::{Value, json};
use townlet_collector::otlp::{Encoding, MAX_RUN_ID, Received, Signal, receive};

const LIMIT: usize = 1 << 20;

/// The examples of the specification, kept beside the sender.
const LOGS: &str = include_str!("../../../townlet-transport-otlp/tests/data/logs.json");
const METRICS: &str = include_str!("../../../townlet-transport-otlp/tests/data/metrics.json");
const TRACE: &str = include_str!("../../../townlet-transport-otlp/tests/data/trace.json");

fn json(signal: Signal, text: &str) -> Received {
    receive(signal, Encoding::Json, text.as_bytes(), LIMIT).unwrap()
}

fn lines(received: &Received) -> Vec<Value> {
    let text = std::str::from_utf8(&received.lines).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_examples_of_the_specification_become_lines_that_say_the_same() {
    let logs = lines(&json(Signal::Logs, LOGS));
    assert_eq!(logs.len(), 1);
    let line = &logs[0];
    assert_eq!((&line["payload_type"], &line["stream"]), (&json!("otlp.log"), &json!("otlp.logs")));
    assert!(line.get("run_id").is_none() && line.get("seq").is_none(), "OTLP said neither");
    let theirs: Value = serde_json::from_str(LOGS).unwrap();
    let theirs = &theirs["resourceLogs"][0];
    assert_eq!(line["resource"]["attributes"], theirs["resource"]["attributes"]);
    let record = &theirs["scopeLogs"][0]["logRecords"][0];
    assert_eq!(line["scope"]["name"], theirs["scopeLogs"][0]["scope"]["name"]);
    for field in ["timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body", "attributes"] {
        assert_eq!(line["record"][field], record[field], "{field}");
    }
    assert_eq!(line["record"]["traceId"].as_str().unwrap().to_uppercase(), record["traceId"].as_str().unwrap());

    let metrics = json(Signal::Metrics, METRICS);
    let names: Vec<Value> = lines(&metrics).iter().map(|line| line["record"]["name"].clone()).collect();
    let theirs: Value = serde_json::from_str(METRICS).unwrap();
    let theirs = theirs["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    assert_eq!(names, theirs.iter().map(|metric| metric["name"].clone()).collect::<Vec<_>>());
    assert_eq!(metrics.taken, 4, "data points");

    let spans = lines(&json(Signal::Traces, TRACE));
    assert_eq!((spans.len(), &spans[0]["payload_type"]), (1, &json!("otlp.span")));
    assert_eq!(spans[0]["record"]["name"], "I'm a server span");
}

#[test]
fn protobuf_and_json_give_the_same_lines() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let logs: ExportLogsServiceRequest = serde_json::from_str(LOGS).unwrap();
    let metrics: ExportMetricsServiceRequest = serde_json::from_str(METRICS).unwrap();
    let traces: ExportTraceServiceRequest = serde_json::from_str(TRACE).unwrap();
    for (signal, text, bytes) in [
        (Signal::Logs, LOGS, logs.encode_to_vec()),
        (Signal::Metrics, METRICS, metrics.encode_to_vec()),
        (Signal::Traces, TRACE, traces.encode_to_vec()),
    ] {
        assert_eq!(receive(signal, Encoding::Protobuf, &bytes, LIMIT).unwrap(), json(signal, text));
    }
}

#[test]
fn the_instance_of_a_service_is_the_run() {
    let of = |id: &str| {
        let attribute = json!({"key": "service.instance.id", "value": {"stringValue": id}});
        let body = json!({"resourceLogs": [{
            "resource": {"attributes": [attribute]},
            "schemaUrl": "https://schema.example/1",
            "scopeLogs": [{"logRecords": [{}]}],
        }]});
        lines(&json(Signal::Logs, &body.to_string())).remove(0)
    };
    assert_eq!(of("run-1")["run_id"], "run-1");
    assert_eq!(of("run-1")["resource_schema_url"], "https://schema.example/1");
    let long = "x".repeat(MAX_RUN_ID + 1);
    for none in ["", &long] {
        let line = of(none);
        assert!(line.get("run_id").is_none());
        assert_eq!(line["resource"]["attributes"][0]["value"]["stringValue"], none, "it is still there");
    }
}

#[test]
fn a_record_that_says_its_stream_and_number_is_a_numbered_line_and_others_are_none() {
    let of = |attributes: Value, body: Value| {
        let record = json!({"attributes": attributes, "body": body});
        lines(&json(Signal::Logs, &json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string()))
            .remove(0)
    };
    let int = |key: &str, n: &str| json!({"key": key, "value": {"intValue": n}});
    let text = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
    let keyframe = json!({"kvlistValue": {"values": [int("rendering", "1")]}});
    let line = of(json!([text("townlet.stream", "town"), int("townlet.seq", "7"), int("townlet.tick", "9")]), keyframe);
    assert_eq!((&line["stream"], &line["seq"]), (&json!("otlp.logs.town"), &json!(7)));
    assert_eq!((&line["tick"], &line["rendering"]), (&json!(9), &json!(1)));
    let stream = text("townlet.stream", "town");
    for attributes in [
        json!([]),
        json!([stream]),
        json!([int("townlet.seq", "7")]),
        json!([stream, int("townlet.seq", "0")]),
        json!([stream, int("townlet.seq", "-7")]),
        json!([stream, text("townlet.seq", "7")]),
        json!([int("townlet.stream", "7"), int("townlet.seq", "7")]),
        json!([text("townlet.stream", &"x".repeat(300)), int("townlet.seq", "7")]),
    ] {
        let line = of(attributes, json!({"stringValue": "hello"}));
        assert!(line["stream"] == "otlp.logs" && line.get("seq").is_none() && line.get("tick").is_none(), "{line}");
    }
}

#[test]
fn what_no_line_can_hold_is_rejected_alone_and_reported_as_a_partial_success() {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    let mut request: ExportLogsServiceRequest = serde_json::from_str(LOGS).unwrap();
    let records = &mut request.resource_logs[0].scope_logs[0].log_records;
    for body in [Any::DoubleValue(f64::NAN), Any::StringValue("x".repeat(5_000)), Any::BoolValue(true)] {
        let record = opentelemetry_proto::tonic::logs::v1::LogRecord {
            body: Some(AnyValue { value: Some(body) }),
            ..records[0].clone()
        };
        records.push(record);
    }
    let received = receive(Signal::Logs, Encoding::Protobuf, &request.encode_to_vec(), 4_000).unwrap();
    assert_eq!((received.taken, received.rejected, lines(&received).len()), (2, 2, 2));
    assert!(received.reason.as_deref().unwrap().contains("not a finite number"), "{:?}", received.reason);
    let answer = Encoding::Protobuf.taken(Signal::Logs, &received);
    let partial = ExportLogsServiceResponse::decode(&answer[..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 2);
    for (signal, name) in [
        (Signal::Logs, "rejectedLogRecords"),
        (Signal::Metrics, "rejectedDataPoints"),
        (Signal::Traces, "rejectedSpans"),
    ] {
        let answer: Value = serde_json::from_slice(&Encoding::Json.taken(signal, &received)).unwrap();
        assert_eq!(answer["partialSuccess"][name], "2", "{answer}");
    }
    let metric = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m".repeat(5_000), "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": 2}, {"asInt": 3}]}},
    ]}]}]});
    let received = receive(Signal::Metrics, Encoding::Json, metric.to_string().as_bytes(), 4_000).unwrap();
    assert_eq!((received.taken, received.rejected), (0, 3), "all data points of a metric go with it");
}

#[test]
fn what_is_no_request_is_an_error_that_quotes_nothing() {
    for (encoding, body) in [
        (Encoding::Json, &b""[..]),
        (Encoding::Json, b"[]"),
        (Encoding::Json, br#"{"resourceLogs":"hunter2"}"#),
        (Encoding::Json, br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"hunter2"}]}]}]}"#),
        (Encoding::Protobuf, b"hunter2"),
        (Encoding::Protobuf, b"\x0a\xff\xff\xff\xff\x0f"),
    ] {
        let error = receive(Signal::Logs, encoding, body, LIMIT).unwrap_err();
        assert!(!error.to_string().is_empty() && !error.to_string().contains("hunter"), "{error}");
    }
    assert_eq!(json(Signal::Logs, "{}"), Received::default(), "an empty request is a success");
    assert_eq!(receive(Signal::Traces, Encoding::Protobuf, b"", LIMIT).unwrap(), Received::default());
    let failed: Value = serde_json::from_slice(&Encoding::Json.failed("no \"room\"")).unwrap();
    assert_eq!(failed["message"], "no \"room\"");
    assert_eq!(Encoding::Protobuf.failed("no"), b"\x12\x02no");
    assert_eq!(Encoding::of("Application/JSON; charset=utf-8"), Some(Encoding::Json));
    assert_eq!(Encoding::of("application/x-protobuf"), Some(Encoding::Protobuf));
    assert_eq!((Encoding::of("text/plain"), Encoding::of("")), (None, None));
}

#[test]
fn depth_is_bounded_in_both_encodings() {
    let nested = |depth: usize| {
        let value = "{\"arrayValue\":{\"values\":[".repeat(depth) + "{}" + &"]}}".repeat(depth);
        format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{value}}}]}}]}}]}}")
    };
    assert_eq!(json(Signal::Logs, &nested(10)).taken, 1);
    for depth in [60, 100_000] {
        // Either the parser stops or no line can hold it; neither is a crash.
        let received = receive(Signal::Logs, Encoding::Json, nested(depth).as_bytes(), LIMIT);
        assert!(received.is_err() || received.is_ok_and(|received| received.rejected == 1), "{depth}");
    }
}

/// A field of a message: its number, and what it holds.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut left = bytes.len();
    while left >= 128 {
        out.push(u8::try_from(left % 128).unwrap() | 128);
        left /= 128;
    }
    out.push(u8::try_from(left).unwrap());
    out.extend_from_slice(bytes);
    out
}

#[test]
fn what_would_be_too_many_records_is_refused_before_it_is_decoded() {
    use townlet_collector::otlp::MAX_RECORDS;
    let records = |count: usize| field(1, &field(2, &[0x12, 0].repeat(count)));
    assert_eq!(receive(Signal::Logs, Encoding::Protobuf, &records(MAX_RECORDS), LIMIT).unwrap().taken, 20_000);
    for (signal, count) in [(Signal::Logs, MAX_RECORDS + 1), (Signal::Metrics, 2_000_000), (Signal::Traces, 2_000_000)]
    {
        // The end is torn, so that decoding would have found fault.
        let torn = [records(count), b"\xff".to_vec()].concat();
        let error = receive(signal, Encoding::Protobuf, &torn, LIMIT).unwrap_err();
        assert!(error.is_too_much() && error.to_string().contains("20000 records"), "{error}");
    }
    let many =
        format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{}{{}}]}}]}}]}}", "{},".repeat(MAX_RECORDS));
    assert!(receive(Signal::Logs, Encoding::Json, many.as_bytes(), LIMIT).unwrap_err().is_too_much());
    // Not records only: what is in them takes room as well.
    let attributes = field(1, &field(2, &field(2, &[0x32, 0].repeat(2_000_000))));
    assert!(receive(Signal::Logs, Encoding::Protobuf, &attributes, LIMIT).unwrap_err().is_too_much());
    let values = format!("{{\"resourceLogs\":[{{\"resource\":{{\"attributes\":[{}{{}}]}}}}]}}", "{},".repeat(500_000));
    assert!(receive(Signal::Logs, Encoding::Json, values.as_bytes(), LIMIT).unwrap_err().is_too_much());
}

#[test]
fn a_large_resource_in_every_line_is_refused_where_the_lines_become_too_much() {
    use townlet_collector::otlp::MAX_BYTES;
    let attribute = [field(1, b"k"), field(2, &field(1, &vec![b'x'; 500_000]))].concat();
    let resource = field(1, &field(1, &attribute));
    let body = |records: usize| field(1, &[resource.clone(), field(2, &[0x12, 0].repeat(records))].concat());
    let few = receive(Signal::Logs, Encoding::Protobuf, &body(10), LIMIT).unwrap();
    assert!(few.taken == 10 && few.lines.len() > 5_000_000);
    let error = receive(Signal::Logs, Encoding::Protobuf, &body(10_000), LIMIT).unwrap_err();
    assert!(error.is_too_much() && error.to_string().contains(&MAX_BYTES.to_string()), "{error}");
}

#[test]
fn lines_take_of_the_room_that_bodies_have_and_too_much_is_answered_as_that() {
    use crate::support::stop;
    use crate::web_support::{Client, web_options, with_web};
    let dir = tempfile::tempdir().unwrap();
    let web = townlet_collector::web::WebOptions { max_bytes_in_flight: 100_000, ..web_options() };
    let collector = with_web(dir.path(), web.with_otlp(LIMIT));
    let send = |records: usize| {
        let attribute = json!({"key": "k", "value": {"stringValue": "x".repeat(1_000)}});
        let of =
            json!({"resource": {"attributes": [attribute]}, "scopeLogs": [{"logRecords": vec![json!({}); records]}]});
        let body = json!({"resourceLogs": [of]}).to_string();
        let length = body.len();
        let head = "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        Client::of(&collector).say(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")).answer()
    };
    assert_eq!(send(20).status, 200);
    let much = send(100);
    assert!(much.status == 413 && much.body.contains("smaller batches"), "{much:?}");
    assert_eq!(send(20).status, 200, "the room is free again");
    assert_eq!(stop(collector).totals.stored, 40, "and of what was too much nothing was stored");
}
