//! OTLP from programs that send it: the SDKs of the OpenTelemetry project for Rust
//! and Python, our own transport, and one that does what it likes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
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

use crate::support::*;
use crate::web_support::*;

fn receiver(dir: &Path) -> Collector {
    with_web(dir, web_options().with_otlp(1 << 20))
}

fn base(collector: &Collector) -> String {
    format!("http://{}", collector.web_addr().unwrap())
}

/// What is stored of a run in a stream.
fn stored(dir: &Path, run: &str, stream: &str) -> Vec<Value> {
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
    sink.close();
    let run = frames(1..=1)[0].label().run_id().to_owned();
    let logs = stored(dir.path(), &run, "otlp.logs");
    let seq = |line: &Value| {
        let attributes = line["record"]["attributes"].as_array().unwrap().clone();
        let found = attributes.into_iter().find(|kv| kv["key"] == "townlet.seq").unwrap();
        found["value"]["intValue"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(logs.iter().map(seq).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let spans = stored(dir.path(), &run, "otlp.traces");
    assert_eq!(spans[0]["record"]["name"], "flush");
    stop(collector);
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

#[test]
fn the_rust_sdk_sends_logs_metrics_and_traces() {
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let url = |path: &str| format!("{}/v1/{path}", base(&collector));
    let id = opentelemetry::KeyValue::new("service.instance.id", "rust-1");
    let resource = || Resource::builder_empty().with_attributes([id.clone()]).build();

    let exporter = LogExporter::builder().with_http().with_http_client(OnePerRequest);
    let exporter = exporter.with_endpoint(url("logs")).build().unwrap();
    let logs = SdkLoggerProvider::builder().with_simple_exporter(exporter).with_resource(resource()).build();
    let logger = logs.logger("town");
    for text in ["one", "two"] {
        let mut record = logger.create_log_record();
        record.set_body(text.into());
        logger.emit(record);
    }
    logs.shutdown().unwrap();

    let exporter = SpanExporter::builder().with_http().with_http_client(OnePerRequest);
    let exporter = exporter.with_endpoint(url("traces")).build().unwrap();
    let traces = SdkTracerProvider::builder().with_simple_exporter(exporter).with_resource(resource()).build();
    traces.tracer("town").in_span("tick", |_| {});
    traces.shutdown().unwrap();

    let exporter = MetricExporter::builder().with_http().with_http_client(OnePerRequest);
    let exporter = exporter.with_endpoint(url("metrics")).build().unwrap();
    let metrics = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()).build();
    metrics.meter("town").u64_counter("town.ticks").build().add(3, &[]);
    metrics.shutdown().unwrap();

    let logs = stored(dir.path(), "rust-1", "otlp.logs");
    let bodies: Vec<&Value> = logs.iter().map(|line| &line["record"]["body"]["stringValue"]).collect();
    assert_eq!(bodies, ["one", "two"]);
    assert_eq!(logs[0]["scope"]["name"], "town");
    let spans = stored(dir.path(), "rust-1", "otlp.traces");
    assert_eq!(spans[0]["record"]["name"], "tick");
    let metrics = stored(dir.path(), "rust-1", "otlp.metrics");
    assert_eq!(metrics[0]["record"]["name"], "town.ticks");
    assert_eq!(metrics[0]["record"]["sum"]["dataPoints"][0]["asInt"], "3");
    assert_eq!(stop(collector).totals.invalid, 0);
}

/// Sends two records, a span and a counter with the SDK's own exporters.
const PROGRAM: &str = r#"
import logging, sys
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
base = sys.argv[1]
resource = Resource.create({"service.name": "town", "service.instance.id": "python-1"})
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=base + "/v1/logs", compression=Compression.Gzip)))
logger = logging.getLogger("town")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.warning("one")
logger.error("two", extra={"tick": 7})
logs.shutdown()
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=base + "/v1/traces")))
with traces.get_tracer("town").start_as_current_span("tick", attributes={"n": 1}):
    pass
traces.shutdown()
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=base + "/v1/metrics"))
metrics = MeterProvider(resource=resource, metric_readers=[reader])
metrics.get_meter("town").create_counter("town.ticks").add(3)
metrics.get_meter("town").create_histogram("town.tick.duration", unit="s").record(0.25)
metrics.shutdown()
"#;

/// An interpreter with the SDK: `TOWNLET_OTEL_PYTHON`, or `python3`. None where
/// there is none, which is said, and is a failure where `CI` is set.
fn python() -> Option<String> {
    let python = std::env::var("TOWNLET_OTEL_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = "import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.http";
    let found = Command::new(&python).args(["-c", import]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED: {python} has no OpenTelemetry SDK (pip install opentelemetry-exporter-otlp-proto-http)");
    assert!(std::env::var_os("CI").is_none(), "with CI set, TOWNLET_OTEL_PYTHON has to name one with the SDK");
    None
}

#[test]
fn the_python_sdk_sends_logs_metrics_and_traces() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    let run = Command::new(python).args(["-c", PROGRAM, &base(&collector)]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && !said.contains("Failed to export"), "{said}");
    let logs = stored(dir.path(), "python-1", "otlp.logs");
    let told: Vec<(&Value, &Value)> =
        logs.iter().map(|line| (&line["record"]["body"]["stringValue"], &line["record"]["severityText"])).collect();
    assert_eq!(told, [(&"one".into(), &"WARN".into()), (&"two".into(), &"ERROR".into())]);
    let spans = stored(dir.path(), "python-1", "otlp.traces");
    assert_eq!((spans.len(), &spans[0]["record"]["name"]), (1, &"tick".into()));
    let metrics = stored(dir.path(), "python-1", "otlp.metrics");
    let names: Vec<&Value> = metrics.iter().map(|line| &line["record"]["name"]).collect();
    assert_eq!(names, ["town.ticks", "town.tick.duration"]);
    assert_eq!(metrics[0]["record"]["sum"]["dataPoints"][0]["asInt"], "3");
    assert_eq!(metrics[1]["record"]["histogram"]["dataPoints"][0]["sum"], 0.25);
    assert_eq!(stop(collector).totals.invalid, 0);
}
