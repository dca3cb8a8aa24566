//! OTLP from programs that send it: the SDK of the OpenTelemetry project for Rust, our
//! own transport, and one that does what it likes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use townlet_collector::Collector;
use townlet_testkit::frames;
use townlet_tls::PlaintextFlags;
use townlet_transport::{Compression, Level, Outcome, Transport};
use townlet_transport_otlp::{OtlpOptions, OtlpTransport, Target};

use crate::grpc_support::{grpc_options, with_grpc};
use crate::support::*;
use crate::web_support::*;

pub(crate) fn receiver(dir: &Path) -> Collector {
    with_web(dir, web_options().with_otlp(1 << 20))
}

pub(crate) fn base(collector: &Collector) -> String {
    format!("http://{}", collector.web_addr().unwrap())
}

/// What is stored of a run in a stream.
pub(crate) fn stored(dir: &Path, run: &str, stream: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join(run).join(format!("{stream}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn post(collector: &Collector, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let mut client = Client::of(collector);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.say([head.as_bytes(), body].concat()).answer()
}

#[test]
fn a_request_is_stored_before_it_is_answered_and_a_wrong_one_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let log = include_str!("../../../townlet-transport-otlp/tests/data/logs.json");
    let json = "application/json";
    let answer = post(&collector, "/v1/logs", "application/json; charset=utf-8", log.as_bytes());
    assert_eq!((answer.status, answer.header("content-type"), answer.body.as_str()), (200, Some(json), "{}"));
    assert_eq!(stored(dir.path(), "@no-run-id", "otlp.logs").len(), 1);
    assert_eq!(post(&collector, "/v1/traces", "application/x-protobuf", b"").status, 200, "empty is a success");
    let answer = post(&collector, "/v1/metrics", json, b"{\"resourceMetrics\":7}");
    assert_eq!((answer.status, answer.header("content-type")), (400, Some(json)));
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(status["message"].as_str().unwrap().contains("line 1, column"), "{status}");
    assert_eq!(post(&collector, "/v1/logs", "text/plain", b"hello").status, 415);
    let long = log.replace("Example log record", &"x".repeat(2 << 20));
    let answer = post(&collector, "/v1/logs", json, long.as_bytes());
    let partial: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &partial["partialSuccess"]["rejectedLogRecords"]), (200, &"1".into()));
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (1, 0));
}

#[test]
fn our_own_sender_delivers_to_our_own_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let options = OtlpOptions::plaintext(Target::parse(&base(&collector)).unwrap(), flags).unwrap();
    let send_timeout = std::time::Duration::from_secs(10);
    let mut sink = OtlpTransport::new(OtlpOptions { compression: Compression::Gzip, send_timeout, ..options }).unwrap();
    sink.connect().unwrap();
    assert_eq!(sink.send(&frames(1..=40)).unwrap(), Outcome::Settled(Level::PeerAcked));
    // The answer was lost, as far as the sender knows: some of it comes again.
    assert_eq!(sink.send(&frames(31..=45)).unwrap(), Outcome::Settled(Level::PeerAcked));
    assert_eq!(sink.send(&frames(48..=48)).unwrap(), Outcome::Settled(Level::PeerAcked));
    sink.close();
    let label = frames(1..=1)[0].label().clone();
    let (run, stream) = (label.run_id(), format!("otlp.logs.{}", label.stream()));
    let logs = stored(dir.path(), run, &stream);
    let seq = |line: &Value| {
        let attributes = line["record"]["attributes"].as_array().unwrap().clone();
        let found = attributes.into_iter().find(|kv| kv["key"] == "townlet.seq").unwrap();
        found["value"]["intValue"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(logs.iter().map(seq).collect::<Vec<_>>(), (1..=45).chain([48]).collect::<Vec<_>>(), "each once");
    let spans = stored(dir.path(), run, "otlp.traces");
    assert_eq!(spans[0]["record"]["name"], "flush");
    let report = stop(collector);
    assert_eq!((report.totals.duplicates, report.missing), (10, 2), "and what is missing is known");
}

/// The SDK asks for a client; this one opens a connection for each request.
#[derive(Debug)]
struct OnePerRequest;

#[async_trait::async_trait]
impl HttpClient for OnePerRequest {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let authority = request.uri().authority().ok_or("no authority")?;
        let mut socket = TcpStream::connect(authority.as_str())?;
        let mut head = format!("POST {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n", request.uri().path());
        for (name, value) in request.headers() {
            head += &format!("{name}: {}\r\n", value.to_str()?);
        }
        head += &format!("Content-Length: {}\r\n\r\n", request.body().len());
        socket.write_all(head.as_bytes())?;
        socket.write_all(request.body())?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")? + 4;
        let status = std::str::from_utf8(&answer[9..12])?.parse::<u16>()?;
        Ok(Response::builder().status(status).body(Bytes::copy_from_slice(&answer[end..]))?)
    }
}

/// Two records, a span and a counter, by the SDK. `service.instance.id` is `rust-1`.
fn emit(logs: LogExporter, spans: SpanExporter, metrics: MetricExporter) {
    let id = opentelemetry::KeyValue::new("service.instance.id", "rust-1");
    let resource = || Resource::builder_empty().with_attributes([id.clone()]).build();
    let logs = SdkLoggerProvider::builder().with_simple_exporter(logs).with_resource(resource()).build();
    let logger = logs.logger("town");
    for text in ["one", "two"] {
        let mut record = logger.create_log_record();
        record.set_body(text.into());
        logger.emit(record);
    }
    logs.shutdown().unwrap();
    let traces = SdkTracerProvider::builder().with_simple_exporter(spans).with_resource(resource()).build();
    traces.tracer("town").in_span("tick", |_| {});
    traces.shutdown().unwrap();
    let metrics = SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource()).build();
    metrics.meter("town").u64_counter("town.ticks").build().add(3, &[]);
    metrics.shutdown().unwrap();
}

/// What [`emit`] sent is stored.
fn assert_emitted(dir: &Path) {
    let logs = stored(dir, "rust-1", "otlp.logs");
    let bodies: Vec<&Value> = logs.iter().map(|line| &line["record"]["body"]["stringValue"]).collect();
    assert_eq!(bodies, ["one", "two"]);
    assert_eq!(logs[0]["scope"]["name"], "town");
    let spans = stored(dir, "rust-1", "otlp.traces");
    assert_eq!(spans[0]["record"]["name"], "tick");
    let metrics = stored(dir, "rust-1", "otlp.metrics");
    assert_eq!(metrics[0]["record"]["name"], "town.ticks");
    assert_eq!(metrics[0]["record"]["sum"]["dataPoints"][0]["asInt"], "3");
}

#[test]
fn the_rust_sdk_sends_logs_metrics_and_traces() {
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let url = |path: &str| format!("{}/v1/{path}", base(&collector));
    let logs = LogExporter::builder().with_http().with_http_client(OnePerRequest).with_endpoint(url("logs"));
    let spans = SpanExporter::builder().with_http().with_http_client(OnePerRequest).with_endpoint(url("traces"));
    let metrics = MetricExporter::builder().with_http().with_http_client(OnePerRequest).with_endpoint(url("metrics"));
    emit(logs.build().unwrap(), spans.build().unwrap(), metrics.build().unwrap());
    assert_emitted(dir.path());
    assert_eq!(stop(collector).totals.invalid, 0);
}

#[test]
fn the_rust_sdk_sends_the_same_over_grpc_plain_and_compressed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // The SDK's channel has to find a runtime; what is sent is sent from this thread.
    let _inside = runtime.enter();
    for compression in [None, Some(opentelemetry_otlp::Compression::Gzip)] {
        let dir = tempfile::tempdir().unwrap();
        let collector = with_grpc(dir.path(), grpc_options());
        let url = format!("http://{}", collector.grpc_addr().unwrap());
        let mut logs = LogExporter::builder().with_tonic().with_endpoint(&url);
        let mut spans = SpanExporter::builder().with_tonic().with_endpoint(&url);
        let mut metrics = MetricExporter::builder().with_tonic().with_endpoint(&url);
        if let Some(compression) = compression {
            (logs, spans) = (logs.with_compression(compression), spans.with_compression(compression));
            metrics = metrics.with_compression(compression);
        }
        emit(logs.build().unwrap(), spans.build().unwrap(), metrics.build().unwrap());
        assert_emitted(dir.path());
        let report = stop(collector);
        assert_eq!((report.totals.stored, report.totals.invalid), (4, 0));
        assert!(report.connections.iter().all(|one| one.via == townlet_collector::Via::Grpc));
    }
}
