//! Metrics and spans, beside the records.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use townlet_testkit::http::{Reply, Request, Server, status};
use townlet_transport::{Durations, Figure, Figures, Reading, Transport};
use townlet_transport_otlp::{Encoding, Loss, OtlpOptions, Signal};

use crate::receiver::{base, decode, lines, records, said, server, taken, to};
use crate::{line, plaintext, send, transport};

struct Pipeline(Durations);

impl Pipeline {
    fn new() -> Arc<Self> {
        let mut durations = Durations::default();
        durations.record(Duration::from_millis(3));
        durations.record(Duration::from_secs(60));
        Arc::new(Self(durations))
    }
}

impl Figures for Pipeline {
    fn epoch(&self) -> &str {
        "books-1"
    }

    fn read(&self, show: &mut dyn FnMut(Figure<'_>)) {
        let mut tell =
            |name, help, labels: &[(&'static str, &str)], reading| show(Figure { name, help, labels, reading });
        for (reason, n) in [("backpressure", 3), ("rejected", 0)] {
            let labels = [("reason", reason), ("sink", "main")];
            tell("dropped_total", "Not delivered.", &labels, Reading::Counter(n));
        }
        tell("queue_bytes", "Held.", &[("sink", "main")], Reading::Gauge(2.5));
        tell("connected", "No number.", &[("sink", "main")], Reading::Gauge(f64::NAN));
        tell("flush_duration_seconds", "Flushes.", &[("sink", "main")], Reading::Durations(&self.0));
    }
}

fn both(server: &Server, encoding: Encoding) -> OtlpOptions {
    OtlpOptions { metrics: true, traces: true, encoding, ..plaintext(&base(server)) }
}

fn metrics(request: &Request) -> Vec<Metric> {
    let all: ExportMetricsServiceRequest = decode(request);
    all.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics).collect()
}

fn spans(requests: &[Request]) -> Vec<Span> {
    let decoded = to(requests, "/v1/traces").iter().map(decode).collect::<Vec<ExportTraceServiceRequest>>();
    let resources = decoded.into_iter().flat_map(|all| all.resource_spans);
    resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
}

fn label<'a>(attributes: &'a [KeyValue], name: &str) -> &'a str {
    let found = attributes.iter().find(|kv| kv.key == name).and_then(|kv| kv.value.as_ref()?.value.as_ref());
    match found {
        Some(Any::StringValue(text)) => text,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn the_figures_of_the_pipeline_are_metrics() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let server = server();
        let mut sink = transport(OtlpOptions { traces: false, ..both(&server, encoding) });
        sink.watch(Pipeline::new());
        send(&mut sink, &[line("event", 1, "{}")]).unwrap();
        let requests = to(&server.requests(), "/v1/metrics");
        assert_eq!(requests.len(), 1);
        let exported: ExportMetricsServiceRequest = decode(&requests[0]);
        let resource = exported.resource_metrics[0].resource.as_ref().unwrap();
        assert_eq!(label(&resource.attributes, "service.instance.id"), "run-1");
        let all = metrics(&requests[0]);
        let told: Vec<(&str, &str)> = all.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
        let expected = [
            ("townlet.telemetry.dropped", "1"),
            ("townlet.telemetry.queue_bytes", "By"),
            ("townlet.telemetry.connected", "1"),
            ("townlet.telemetry.flush_duration_seconds", "s"),
        ];
        assert_eq!(told, expected.into_iter().filter(|(name, _)| !name.ends_with("connected")).collect::<Vec<_>>());
        let Some(Data::Sum(dropped)) = &all[0].data else { panic!() };
        assert!(dropped.is_monotonic);
        assert_eq!(dropped.aggregation_temporality, AggregationTemporality::Cumulative as i32);
        let by_reason: Vec<(&str, Option<Value>)> =
            dropped.data_points.iter().map(|point| (label(&point.attributes, "reason"), point.value)).collect();
        assert_eq!(by_reason, [("backpressure", Some(Value::AsInt(3))), ("rejected", Some(Value::AsInt(0)))]);
        let point = &dropped.data_points[0];
        assert!(point.start_time_unix_nano > 0 && point.time_unix_nano >= point.start_time_unix_nano);
        let Some(Data::Gauge(held)) = &all[1].data else { panic!() };
        assert_eq!(held.data_points[0].value, Some(Value::AsDouble(2.5)));
        let Some(Data::Histogram(flushes)) = &all[2].data else { panic!() };
        let point = &flushes.data_points[0];
        assert_eq!((point.count, point.sum), (2, Some(60.003)));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
        assert_eq!(point.bucket_counts.last(), Some(&1), "what is above every bound");
        let at = point.bucket_counts.iter().position(|count| *count == 1).unwrap();
        assert_eq!((point.explicit_bounds[at - 1], point.explicit_bounds[at]), (0.0025, 0.005));
    }
}

#[test]
fn numeric_sections_of_a_snapshot_are_metrics_up_to_the_bound_and_follow_diffs() {
    let server = server();
    let fields = vec!["jobs.*.wallet".parse().unwrap()];
    let options = OtlpOptions { fields, max_series: 2, traces: false, ..both(&server, Encoding::Json) };
    let mut sink = transport(options);
    let whole = line("snapshot", 1, r#"{"jobs":{"ann":{"wallet":1},"bob":{"wallet":2.5},"cy":{"wallet":3}}}"#);
    let diff = line("diff", 2, r#"{"base_seq":1,"patch":{"jobs":{"ann":{"wallet":9}}}}"#);
    send(&mut sink, &[whole, diff]).unwrap();
    let all = metrics(&to(&server.requests(), "/v1/metrics")[0]);
    let Some(Data::Gauge(wallets)) = &all[0].data else { panic!() };
    let told: Vec<(&str, Option<Value>)> =
        wallets.data_points.iter().map(|point| (label(&point.attributes, "path"), point.value)).collect();
    let number = |n| Some(Value::AsDouble(n));
    assert_eq!(told, [("jobs.ann.wallet", number(9.0)), ("jobs.bob.wallet", number(2.5))]);
    assert_eq!(sink.losses().collect::<Vec<_>>(), [(Signal::Metrics, Loss::Overflow, 1)]);
    assert_eq!(all[1].name, "townlet.telemetry.otlp.lost", "what has no room is told of");
}

#[test]
fn ticks_and_requests_are_spans_and_records_point_to_their_tick() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let server = server();
        let mut sink = transport(OtlpOptions { metrics: false, ..both(&server, encoding) });
        let health = line("health", 7, r#"{"status":"ok","duration_ms":250.5}"#);
        let failure = line("failure", 8, r#"{"status":"error","duration_ms":1,"error":"division by zero"}"#);
        let neither = line("health", 9, r#"{"status":"ok"}"#);
        send(&mut sink, &[line("event", 7, "{}"), health, failure, neither]).unwrap();
        let requests = server.requests();
        let spans = spans(&requests);
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["flush", "tick", "tick"]);
        let took = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano;
        assert_eq!((took(&spans[1]), took(&spans[2])), (250_500_000, 1_000_000));
        assert!(spans[1].status.is_none());
        let status = spans[2].status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "division by zero"));
        let all = records(&requests[0]);
        for record in &all[..2] {
            assert_eq!((&record.trace_id, &record.span_id), (&spans[1].trace_id, &spans[1].span_id));
        }
        assert_ne!(all[2].trace_id, all[0].trace_id);
        assert_eq!((spans[0].trace_id.len(), spans[0].span_id.len(), spans[0].kind), (16, 8, 3));
        assert!(format!("{:?}", spans[0].attributes).contains("http.response.status_code"));
    }
}

fn records_alone(request: &Request) -> Reply {
    match request.path.as_str() {
        "/v1/logs" => taken(request),
        "/v1/metrics" => status(404),
        _ => Reply::Status(503, "Retry-After: 60\r\n".into()),
    }
}

#[test]
fn a_peer_that_takes_records_alone_gets_them_and_what_it_does_not_take_is_counted() {
    let server = Server::start(Reply::Decide(records_alone));
    let mut sink = transport(OtlpOptions { interval: Duration::ZERO, ..both(&server, Encoding::Protobuf) });
    sink.watch(Pipeline::new());
    for seq in 1..=5 {
        send(&mut sink, &[line("event", seq, "{}")]).unwrap();
    }
    assert_eq!(lines(&server).len(), 5);
    let requests = server.requests();
    // It asked for a minute: until then it is not asked about metrics and spans again.
    assert_eq!((to(&requests, "/v1/metrics").len(), to(&requests, "/v1/traces").len()), (1, 1));
    assert_eq!(sink.losses().collect::<Vec<_>>(), [(Signal::Metrics, Loss::Refused, 4)]);
    // At the end it is tried once more; the spans of all five requests waited.
    sink.close();
    assert_eq!(spans(&server.requests()[requests.len()..]).len(), 5);
}

fn no_records(request: &Request) -> Reply {
    if request.path == "/v1/logs" { status(400) } else { taken(request) }
}

/// Or nobody would learn from them that everything is refused.
#[test]
fn figures_come_although_the_peer_refuses_every_record() {
    let server = Server::start(Reply::Decide(no_records));
    let mut sink = transport(OtlpOptions { interval: Duration::ZERO, ..both(&server, Encoding::Json) });
    sink.watch(Pipeline::new());
    for seq in 1..=3 {
        let refused = send(&mut sink, &[line("event", seq, "{}")]).unwrap_err();
        assert!(refused.error.kind().is_about_frame(), "{}", refused.error);
    }
    let names = |request: &Request| metrics(request).into_iter().map(|metric| metric.name).collect::<Vec<_>>();
    let published = to(&server.requests(), "/v1/metrics");
    assert_eq!(published.len(), 3);
    assert!(names(&published[0]).contains(&"townlet.telemetry.dropped".to_owned()));
    sink.close();
    assert_eq!(to(&server.requests(), "/v1/metrics").len(), 4, "and at the end, with the last refusal in them");
}

fn some_rejected(request: &Request) -> Reply {
    let name = match request.path.as_str() {
        "/v1/logs" => return taken(request),
        "/v1/metrics" => "rejectedDataPoints",
        _ => "rejectedSpans",
    };
    said(request, b"", &format!("{{\"partialSuccess\":{{\"{name}\":\"1\",\"errorMessage\":\"no room\"}}}}"))
}

#[test]
fn what_a_peer_rejects_of_metrics_and_spans_is_counted_and_told_with_the_next() {
    let server = Server::start(Reply::Decide(some_rejected));
    let mut sink = transport(OtlpOptions { interval: Duration::ZERO, ..both(&server, Encoding::Json) });
    sink.watch(Pipeline::new());
    for seq in 1..=2 {
        send(&mut sink, &[line("event", seq, "{}")]).unwrap();
    }
    let lost: Vec<_> = sink.losses().collect();
    assert_eq!(lost, [(Signal::Metrics, Loss::Rejected, 2), (Signal::Traces, Loss::Rejected, 2)]);
    let second = metrics(&to(&server.requests(), "/v1/metrics")[1]);
    let Some(Data::Sum(lost)) = &second.last().unwrap().data else { panic!() };
    let told: Vec<(&str, &str, Option<Value>)> = lost
        .data_points
        .iter()
        .map(|point| (label(&point.attributes, "signal"), label(&point.attributes, "reason"), point.value))
        .collect();
    let one = Some(Value::AsInt(1));
    assert_eq!(told, [("metrics", "rejected", one), ("traces", "rejected", one)]);
}

#[test]
fn metrics_come_at_most_once_an_interval_and_at_the_end() {
    let server = server();
    let mut sink = transport(OtlpOptions { interval: Duration::from_secs(3600), ..both(&server, Encoding::Protobuf) });
    sink.watch(Pipeline::new());
    for seq in 1..=20 {
        send(&mut sink, &[line("event", seq, "{}")]).unwrap();
    }
    let count = |path: &str| to(&server.requests(), path).len();
    assert_eq!((count("/v1/logs"), count("/v1/metrics"), count("/v1/traces")), (20, 1, 1));
    sink.flush().unwrap();
    sink.close();
    assert_eq!((count("/v1/metrics"), count("/v1/traces")), (2, 2), "nothing was left for close");
    assert_eq!(spans(&server.requests()).len(), 20);
}

#[test]
fn spans_that_are_too_many_for_one_request_go_out_in_several() {
    let server = server();
    let options = OtlpOptions { metrics: false, max_request_bytes: 2000, ..both(&server, Encoding::Protobuf) };
    let mut sink = transport(options);
    sink.connect().unwrap();
    for tick in 1..=20 {
        sink.send(&[line("health", tick, r#"{"duration_ms":1}"#)]).unwrap();
    }
    sink.close();
    let all = spans(&server.requests());
    assert_eq!(all.iter().filter(|span| span.name == "tick").count(), 20);
    assert_eq!(all.iter().filter(|span| span.name == "flush").count(), 20);
    assert!(to(&server.requests(), "/v1/traces").len() > 3);
    assert_eq!(sink.losses().count(), 0);
}
