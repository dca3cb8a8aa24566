//! Every form that a value, a metric, a span or a record of OTLP can have, and every way in
//! which senders put them into bytes: none is lost.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::{Value, json};
use townlet_collector::otlp::{Encoding, Signal, receive};

use crate::grpc_support::{Caller, framed, grpc_options, with_grpc};
use crate::otlp_peers::{receiver, stored};
use crate::support::*;
use crate::web_support::*;

const OK: Option<u32> = Some(0);

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

/// A value of every form, also within each other.
fn every_value() -> Vec<KeyValue> {
    let list = |values: Vec<AnyValue>| Any::ArrayValue(ArrayValue { values });
    let map = |values: Vec<KeyValue>| Any::KvlistValue(KeyValueList { values });
    vec![
        pair("text", Any::StringValue("ü \" \n".into())),
        pair("yes", Any::BoolValue(true)),
        pair("least", Any::IntValue(i64::MIN)),
        pair("double", Any::DoubleValue(-0.25)),
        pair("bytes", Any::BytesValue(vec![0, 255, 254])),
        pair("empty", list(vec![])),
        pair("nothing", map(vec![])),
        pair("list", list(vec![any(Any::IntValue(7)), AnyValue::default(), any(Any::BytesValue(vec![1]))])),
        pair("map", map(vec![pair("inner", list(vec![any(map(vec![pair("deep", Any::BoolValue(false))]))]))])),
        KeyValue { key: "no value".into(), ..KeyValue::default() },
    ]
}

fn every_metric() -> Vec<Metric> {
    let (trace_id, span_id) = (vec![0xab; 16], vec![0xcd; 8]);
    let exemplar = |value| Exemplar {
        filtered_attributes: every_value(),
        time_unix_nano: u64::MAX,
        span_id: span_id.clone(),
        trace_id: trace_id.clone(),
        value: Some(value),
    };
    let exemplars = || vec![exemplar(exemplar::Value::AsInt(-7)), exemplar(exemplar::Value::AsDouble(0.5))];
    let number = |value| NumberDataPoint {
        attributes: every_value(),
        start_time_unix_nano: 1,
        time_unix_nano: 1 << 60,
        exemplars: exemplars(),
        flags: 1,
        value,
    };
    let histogram = HistogramDataPoint {
        attributes: every_value(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: u64::MAX,
        sum: Some(1.5),
        bucket_counts: vec![1, 1 << 60],
        explicit_bounds: vec![0.5],
        exemplars: exemplars(),
        flags: 1,
        min: Some(0.0),
        max: Some(1.0),
    };
    let exponential = ExponentialHistogramDataPoint {
        attributes: every_value(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 1 << 60,
        sum: Some(-1.5),
        scale: -3,
        zero_count: 1 << 61,
        positive: Some(Buckets { offset: -2, bucket_counts: vec![1, 1 << 60] }),
        negative: Some(Buckets { offset: 3, bucket_counts: vec![4] }),
        flags: 1,
        exemplars: exemplars(),
        min: Some(-1.0),
        max: Some(0.0),
        zero_threshold: 0.125,
    };
    let summary = SummaryDataPoint {
        attributes: every_value(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 1 << 60,
        sum: 2.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 7.0 }],
        flags: 1,
    };
    let points = || {
        vec![
            number(Some(number_data_point::Value::AsInt(i64::MAX))),
            number(Some(number_data_point::Value::AsDouble(0.5))),
            number(None),
        ]
    };
    let all = [
        Some(Data::Gauge(Gauge { data_points: points() })),
        Some(Data::Sum(Sum { data_points: points(), aggregation_temporality: 1, is_monotonic: true })),
        Some(Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 })),
        Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            aggregation_temporality: 1,
        })),
        Some(Data::Summary(Summary { data_points: vec![summary] })),
        None,
    ];
    (0..)
        .zip(all)
        .map(|(n, data)| Metric {
            name: format!("metric {n}"),
            description: "what it is".into(),
            unit: "By".into(),
            metadata: every_value(),
            data,
        })
        .collect()
}

fn every_span() -> Vec<Span> {
    // Kinds 0 to 5, and one that does not exist yet.
    (0..=6)
        .map(|kind| Span {
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            trace_state: "a=b".into(),
            parent_span_id: vec![0xef; 8],
            flags: 0x301,
            name: format!("span {kind}"),
            kind,
            start_time_unix_nano: 1 << 60,
            end_time_unix_nano: u64::MAX,
            attributes: every_value(),
            dropped_attributes_count: 1,
            events: vec![Event {
                time_unix_nano: 1 << 60,
                name: "event".into(),
                attributes: every_value(),
                dropped_attributes_count: 2,
            }],
            dropped_events_count: 3,
            links: vec![Link {
                trace_id: vec![1; 16],
                span_id: vec![2; 8],
                trace_state: "c=d".into(),
                attributes: every_value(),
                dropped_attributes_count: 4,
                flags: 0x100,
            }],
            dropped_links_count: 5,
            status: Some(Status { message: "why".into(), code: 2 }),
        })
        .collect()
}

fn every_record() -> Vec<LogRecord> {
    let bodies = every_value().into_iter().map(|pair| pair.value).chain([None]);
    bodies
        .map(|body| LogRecord {
            time_unix_nano: 1 << 60,
            observed_time_unix_nano: u64::MAX,
            severity_number: 24,
            severity_text: "FATAL4".into(),
            body,
            attributes: every_value(),
            dropped_attributes_count: 1,
            flags: 1,
            trace_id: vec![0xab; 16],
            span_id: vec![0xcd; 8],
            event_name: "event".into(),
        })
        .collect()
}

fn logs(log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

fn metrics_of(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

/// What the lines of a request say, read back.
fn read_back<R: serde::de::DeserializeOwned>(signal: Signal, body: &[u8]) -> (Vec<R>, Vec<Value>) {
    let received = receive(signal, Encoding::Protobuf, body, 1 << 20).unwrap();
    assert_eq!((received.rejected, &received.reason), (0, &None));
    let lines: Vec<Value> = std::str::from_utf8(&received.lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take())
        .collect();
    (lines.iter().map(|line| serde_json::from_value(line.clone()).unwrap()).collect(), lines)
}

#[test]
fn every_form_of_value_metric_span_and_record_comes_through() {
    let (back, lines) = read_back::<LogRecord>(Signal::Logs, &logs(every_record()).encode_to_vec());
    assert_eq!(back, every_record());
    // By the mapping of OTLP/JSON: numbers of 64 bits are texts, bytes base64, ids hexadecimal.
    let bodies: Vec<&Value> = lines.iter().map(|line| &line["body"]).collect();
    assert_eq!(bodies[2], &json!({"intValue": i64::MIN.to_string()}));
    assert_eq!(bodies[4], &json!({"bytesValue": "AP/+"}));
    assert_eq!(bodies[7], &json!({"arrayValue": {"values": [{"intValue": "7"}, {}, {"bytesValue": "AQ=="}]}}));
    assert_eq!(lines[0]["traceId"], "ab".repeat(16));

    let (back, lines) = read_back::<Metric>(Signal::Metrics, &metrics_of(every_metric()).encode_to_vec());
    assert_eq!(back, every_metric());
    let exponential = &lines[3]["exponentialHistogram"]["dataPoints"][0];
    assert_eq!(exponential["zeroCount"], (1_u64 << 61).to_string());
    assert_eq!(exponential["positive"], json!({"offset": -2, "bucketCounts": ["1", (1_u64 << 60).to_string()]}));
    let quantiles = &lines[4]["summary"]["dataPoints"][0]["quantileValues"];
    assert_eq!(quantiles, &json!([{"quantile": 0.99, "value": 7.0}]));

    let (back, lines) = read_back::<Span>(Signal::Traces, &traces(every_span()).encode_to_vec());
    assert_eq!(back, every_span());
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(lines[0]["links"][0]["spanId"], "02".repeat(8));
}

/// As protobuf's JSON is written elsewhere: what is empty is left out, numbers of 64 bits
/// are texts or numbers, and what is unknown is passed over.
#[test]
fn json_as_other_libraries_write_it_says_the_same() {
    let record = json!({"attributes": [
        {"key": "empty", "value": {"arrayValue": {}}},
        {"key": "nothing", "value": {"kvlistValue": { }}},
        {"key": "none", "value": {}},
        {"key": "int", "value": {"intValue": 7}},
        {"key": "text", "value": {"intValue": "7"}},
        {"key": "whole", "value": {"doubleValue": 7}},
    ], "fromTheFuture": {"a": [1]}});
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let received = receive(Signal::Logs, Encoding::Json, body.as_bytes(), 1 << 20).unwrap();
    let line: Value = serde_json::from_slice(&received.lines).unwrap();
    let values: Vec<&Value> = line["record"]["attributes"].as_array().unwrap().iter().map(|a| &a["value"]).collect();
    assert_eq!(values[0], &json!({"arrayValue": {"values": []}}));
    assert_eq!(values[1], &json!({"kvlistValue": {"values": []}}));
    assert_eq!((values[3], values[4]), (&json!({"intValue": "7"}), &json!({"intValue": "7"})));
    assert_eq!(values[5], &json!({"doubleValue": 7.0}));

    let point = |count: Value| {
        json!({"count": count, "zeroCount": count, "scale": 1, "positive": {"bucketCounts": [count]},
            "negative": {}, "timeUnixNano": count})
    };
    let text = |count: Value| {
        let metric = json!({"name": "m", "exponentialHistogram": {"dataPoints": [point(count)]}});
        json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string()
    };
    let of = |count| receive(Signal::Metrics, Encoding::Json, text(count).as_bytes(), 1 << 20).unwrap();
    assert_eq!((of(json!(3)), of(json!(3)).taken), (of(json!("3")), 1));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a batch processor holds at most by default, several times over.
fn many() -> ExportTraceServiceRequest {
    let one = Span { attributes: vec![pair("n", Any::IntValue(1))], ..every_span().remove(0) };
    traces(vec![Span { events: vec![], links: vec![], ..one }; 2_000])
}

#[test]
fn large_batches_arrive_over_http_by_every_name_of_their_encoding_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let (protobuf, json) = (many().encode_to_vec(), serde_json::to_vec(&many()).unwrap());
    let mut sent = 0;
    for (content_type, encoding, body) in [
        ("application/x-protobuf", None, protobuf.clone()),
        ("application/x-protobuf", Some("gzip"), gzip(&protobuf)),
        ("Application/Protobuf; proto=opentelemetry", Some("GZIP"), gzip(&protobuf)),
        ("application/json", None, json.clone()),
        ("application/json;charset=UTF-8", Some("gzip"), gzip(&json)),
    ] {
        let coding = encoding.map(|name| format!("Content-Encoding: {name}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{coding}\
             Content-Length: {length}\r\n\r\n"
        );
        let answer = Client::of(&collector).say([head.as_bytes(), &body].concat()).answer();
        assert_eq!(answer.status, 200, "{content_type} {encoding:?}: {answer:?}");
        sent += 2_000;
    }
    assert_eq!(stored(dir.path(), "@no-run-id", "otlp.traces").len(), sent);
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (sent as u64, 0));
}

#[test]
fn large_batches_arrive_over_grpc_by_every_name_of_their_encoding_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    let body = many().encode_to_vec();
    let caller = || Caller::of(&collector).to(Signal::Traces.method());
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        let ended = caller().with("content-type", content_type).call(&framed(false, &body));
        assert_eq!(ended.code, OK, "{content_type}: {ended:?}");
    }
    let ended = caller().with("grpc-encoding", "gzip").call(&framed(true, &gzip(&body)));
    assert_eq!(ended.code, OK, "{ended:?}");
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (8_000, 0));
}

#[test]
fn a_partial_success_over_http_names_how_many_and_why_in_the_encoding_of_the_request() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let mut all = every_metric();
    if let Some(Data::Summary(summary)) = &mut all[4].data {
        summary.data_points[0].sum = f64::NAN;
    }
    let body = metrics_of(all).encode_to_vec();
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = Client::of(&collector).say([head.as_bytes(), &body].concat()).answer();
    let partial = ExportMetricsServiceResponse::decode(answer.body.as_bytes()).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_data_points), (200, 1));
    assert!(partial.error_message.contains("finite"), "{}", partial.error_message);
    assert_eq!(stop(collector).totals.stored, 5, "the others are kept");
}
