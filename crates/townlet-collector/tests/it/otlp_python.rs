//! OTLP from the OpenTelemetry SDK for Python, over HTTP and over gRPC.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use townlet_collector::Security;
use townlet_collector::grpc::GrpcOptions;
use townlet_collector::web::BearerToken;
use townlet_testkit::certs::Pki;
use townlet_tls::{ServerOptions, ServerTls};

use crate::grpc_support::with_grpc;
use crate::otlp_peers::{base, receiver, stored};
use crate::support::*;

/// The exporters over HTTP; the argument is the base of their URLs.
const HTTP: &str = r#"
import sys
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
base = sys.argv[1]
log_exporter = OTLPLogExporter(endpoint=base + "/v1/logs", compression=Compression.Gzip)
span_exporter = OTLPSpanExporter(endpoint=base + "/v1/traces")
metric_exporter = OTLPMetricExporter(endpoint=base + "/v1/metrics")
"#;

/// The exporters over gRPC, under TLS and with a token; the arguments are the
/// authority and the file of the CA.
const GRPC: &str = r#"
import grpc, sys
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
with open(sys.argv[2], "rb") as ca:
    credentials = grpc.ssl_channel_credentials(ca.read())
common = dict(endpoint=sys.argv[1], credentials=credentials, headers=(("authorization", "Bearer hunter2-hunter2"),))
log_exporter = OTLPLogExporter(compression=grpc.Compression.Gzip, **common)
span_exporter = OTLPSpanExporter(**common)
metric_exporter = OTLPMetricExporter(**common)
"#;

/// Sends two records, a span and two metrics.
const SENDS: &str = r#"
import logging
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
resource = Resource.create({"service.name": "town", "service.instance.id": "python-1"})
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
logger = logging.getLogger("town")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.warning("one")
logger.error("two", extra={"tick": 7})
logs.shutdown()
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(span_exporter))
with traces.get_tracer("town").start_as_current_span("tick", attributes={"n": 1}):
    pass
traces.shutdown()
metrics = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(metric_exporter)])
metrics.get_meter("town").create_counter("town.ticks").add(3)
metrics.get_meter("town").create_histogram("town.tick.duration", unit="s").record(0.25)
metrics.shutdown()
"#;

/// An interpreter with the SDK and this exporter: `TOWNLET_OTEL_PYTHON`, or `python3`.
/// None where there is none, which is said, and is a failure where `CI` is set.
fn python(exporter: &str) -> Option<String> {
    let python = std::env::var("TOWNLET_OTEL_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = format!("import opentelemetry.sdk, opentelemetry.exporter.otlp.proto.{exporter}");
    let found = Command::new(&python).args(["-c", &import]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED: {python} has no OpenTelemetry SDK (pip install opentelemetry-exporter-otlp-proto-{exporter})");
    assert!(std::env::var_os("CI").is_none(), "with CI set, TOWNLET_OTEL_PYTHON has to name one with the SDK");
    None
}

fn run(python: &str, exporters: &str, arguments: &[&str]) {
    let program = format!("{exporters}{SENDS}");
    let run = Command::new(python).args(["-c", &program]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && !said.contains("Failed to export"), "{said}");
}

/// All that the program sent is stored.
fn assert_sent(dir: &Path) {
    let logs = stored(dir, "python-1", "otlp.logs");
    let told: Vec<(&Value, &Value)> =
        logs.iter().map(|line| (&line["record"]["body"]["stringValue"], &line["record"]["severityText"])).collect();
    assert_eq!(told, [(&"one".into(), &"WARN".into()), (&"two".into(), &"ERROR".into())]);
    let spans = stored(dir, "python-1", "otlp.traces");
    assert_eq!((spans.len(), &spans[0]["record"]["name"]), (1, &"tick".into()));
    let metrics = stored(dir, "python-1", "otlp.metrics");
    let names: Vec<&Value> = metrics.iter().map(|line| &line["record"]["name"]).collect();
    assert_eq!(names, ["town.ticks", "town.tick.duration"]);
    assert_eq!(metrics[0]["record"]["sum"]["dataPoints"][0]["asInt"], "3");
    assert_eq!(metrics[1]["record"]["histogram"]["dataPoints"][0]["sum"], 0.25);
}

#[test]
fn the_python_sdk_sends_logs_metrics_and_traces() {
    let Some(python) = python("http") else { return };
    let dir = tempfile::tempdir().unwrap();
    let collector = receiver(dir.path());
    run(&python, HTTP, &[&base(&collector)]);
    assert_sent(dir.path());
    assert_eq!(stop(collector).totals.invalid, 0);
}

#[test]
fn the_python_sdk_sends_the_same_over_grpc_under_tls_and_with_a_token() {
    let Some(python) = python("grpc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let issued = pki.localhost();
    let tls = ServerOptions { alpn: vec![b"h2".to_vec()], ..ServerOptions::new(&issued.cert_file, &issued.key_file) };
    let security = Security::Tls(ServerTls::load(&tls).unwrap());
    let token = BearerToken::new("hunter2-hunter2").unwrap();
    let collector = with_grpc(dir.path(), GrpcOptions::new(anywhere(), security).with_token(token));
    let authority = format!("localhost:{}", collector.grpc_addr().unwrap().port());
    run(&python, GRPC, &[&authority, pki.ca_file().to_str().unwrap()]);
    assert_sent(dir.path());
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (5, 0));
    assert!(report.connections.iter().all(|one| one.tls && one.via == townlet_collector::Via::Grpc));
}
