//! Events that are spans and measurements as well.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use townlet_testkit::http::{Reply, Request, Server, status};
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_otlp::{Encoding, Loss, OtlpOptions, Signal};

use crate::receiver::{base, decode, records, server, taken, to};
use crate::{line, plaintext, send, transport};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn event(name: &str, more: &str) -> String {
    let attributes = r#""attributes":{"cicd.pipeline.name":"release","cicd.attempt":2}"#;
    format!(
        r#"{{"seq":1,"event":"{name}","payload":{{"trace_id":"{TRACE}","span_id":"b7ad6b7169203331",{attributes},{more}}}}}"#
    )
}

fn gate() -> String {
    event(
        "deployment.gate",
        r#""span":{"start_unix_nano":"1795276800000000000","end_unix_nano":"1795276801500000000",
           "parent_span_id":"00f067aa0ba902b7","status":"error","message":"rejected"}"#,
    )
}

fn lead_time(value: f64) -> String {
    event(
        "deployment.publish_lead_time",
        &format!(r#""metric":{{"unit":"s","value":{value},"instrument":"histogram"}}"#),
    )
}

fn both(server: &Server, encoding: Encoding) -> OtlpOptions {
    OtlpOptions { metrics: true, traces: true, encoding, ..plaintext(&base(server)) }
}

fn spans(requests: &[Request]) -> Vec<Span> {
    let decoded = to(requests, "/v1/traces").iter().map(decode).collect::<Vec<ExportTraceServiceRequest>>();
    let resources = decoded.into_iter().flat_map(|all| all.resource_spans);
    resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans).filter(|span| span.name != "flush").collect()
}

/// Those of the last publication.
fn metrics(requests: &[Request]) -> Vec<Metric> {
    let all: ExportMetricsServiceRequest = decode(to(requests, "/v1/metrics").last().unwrap());
    all.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics).collect()
}

#[test]
fn an_event_with_a_span_is_a_record_and_a_span_in_one_place() {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let server = server();
        let mut sink = transport(both(&server, encoding));
        send(&mut sink, &[line("event", 1, &gate())]).unwrap();
        sink.close();
        let requests = server.requests();
        let all = spans(&requests);
        assert_eq!(all.len(), 1);
        let span = &all[0];
        assert_eq!((span.name.as_str(), span.kind), ("deployment.gate", 1));
        let times = (span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano);
        assert_eq!(times, (1_795_276_800_000_000_000, 1_500_000_000));
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 8));
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "rejected"));
        let keys: Vec<&str> = span.attributes.iter().map(|kv| kv.key.as_str()).collect();
        assert_eq!(keys, ["cicd.pipeline.name", "cicd.attempt"]);
        let record = &records(&requests[0])[0];
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
        assert_eq!((record.event_name.as_str(), record.severity_text.as_str()), ("deployment.gate", "ERROR"));
        assert!(span.attributes.iter().all(|kv| record.attributes.contains(kv)), "{:?}", record.attributes);
    }
}

#[test]
fn measurements_are_points_under_their_own_name_that_add_up_over_a_run() {
    let server = server();
    let mut sink = transport(OtlpOptions { max_series: 2, ..both(&server, Encoding::Protobuf) });
    send(&mut sink, &[line("event", 1, &lead_time(90.0))]).unwrap();
    let rehearsal =
        |suite: &str| format!(r#"{{"event":"r","payload":{{"metric":{{"value":1}},"attributes":{{"s":"{suite}"}}}}}}"#);
    let more = [lead_time(30.5), rehearsal("a"), rehearsal("b")];
    let more: Vec<_> = (2..).zip(&more).map(|(seq, text)| line("event", seq, text)).collect();
    send(&mut sink, &more).unwrap();
    assert_eq!(sink.losses().collect::<Vec<_>>(), [(Signal::Metrics, Loss::Overflow, 1)]);
    sink.close();
    let all = metrics(&server.requests());
    let names: Vec<(&str, &str)> = all.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    assert_eq!(names, [("deployment.publish_lead_time", "s"), ("r", "1"), ("townlet.telemetry.otlp.lost", "1")]);
    let Some(Data::Histogram(lead)) = &all[0].data else { panic!() };
    assert_eq!(lead.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let point = &lead.data_points[0];
    assert_eq!((point.count, point.sum, point.min, point.max), (2, Some(120.5), Some(30.5), Some(90.0)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
    assert!(point.start_time_unix_nano > 0 && point.attributes.len() == 2);
    let Some(Data::Gauge(last)) = &all[1].data else { panic!() };
    assert_eq!(last.data_points.len(), 1, "the second had no room");
}

fn traces_alone(request: &Request) -> Reply {
    if request.path == "/v1/traces" { taken(request) } else { status(404) }
}

#[test]
fn a_peer_for_traces_alone_gets_the_spans_of_records_that_it_refuses() {
    let server = Server::start(Reply::Decide(traces_alone));
    let mut sink = transport(both(&server, Encoding::Protobuf));
    let refused = send(&mut sink, &[line("event", 1, &gate())]).unwrap_err();
    assert_eq!((refused.settled, refused.refused), (0, 1));
    assert_eq!(refused.error.kind(), ErrorKind::Rejected);
    sink.flush().unwrap();
    assert_eq!(spans(&server.requests()).len(), 1);
}

#[test]
fn without_traces_and_metrics_events_are_records() {
    let server = server();
    let mut sink = transport(plaintext(&base(&server)));
    send(&mut sink, &[line("event", 1, &gate()), line("event", 2, &lead_time(1.0))]).unwrap();
    sink.close();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.path == "/v1/logs"));
    assert_eq!(records(&requests[0])[0].trace_id.len(), 16, "a record still says where it belongs");
}
