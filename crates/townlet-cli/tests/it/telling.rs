//! Telemetry of release control: on where it is asked for, at the receiver as it should be, and never in the way.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use townlet_registry::{KeyRing, Role, Signer, Time, TrustedKey};
use townlet_testkit::http::{Reply, Request, Server};

use crate::support::{Ran, command, ran, signal, text, write};

const BOARD: &str = "environments:
  dev: { authors: [release-engineer], approvals: automatic, policies: none, readiness: not required,
    rehearsal: not required, waivers: none, window: not required }
";

/// A folder in which a gate can be asked, without a manifest: it rejects, and says so.
fn desk() -> TempDir {
    let dir = TempDir::new().unwrap();
    let signer = Signer::generate().unwrap();
    signer.write_new(&dir.path().join("gate.key")).unwrap();
    let mut ring = KeyRing::new();
    let (public, from) = (signer.public(), "2026-01-01T00:00:00Z".parse::<Time>().unwrap());
    let roles = [Role::new("gate").unwrap()].into_iter().collect();
    ring.trust(TrustedKey { public, person: "gate".into(), roles, from, until: None, revoked: None }).unwrap();
    std::fs::write(dir.path().join("townlet-keys.json"), ring.to_json().unwrap()).unwrap();
    write(dir.path(), "change-board.yaml", BOARD);
    write(dir.path(), "policies.yaml", "policies: { error_rate: < 0.01 }\n");
    dir
}

fn run(dir: &Path, words: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = command(words);
    command.current_dir(dir).envs(variables.iter().copied());
    ran(command.output().unwrap())
}

fn gate(dir: &TempDir, variables: &[(&str, &str)]) -> Ran {
    run(dir.path(), &["gate", "manifest.json", "--env", "dev", "--key", "gate.key"], variables)
}

fn taken(request: &Request) -> Reply {
    let kind = &request.headers["content-type"];
    let body = if kind == "application/json" { b"{}".to_vec() } else { Vec::new() };
    Reply::Body(200, format!("Content-Type: {kind}\r\n"), body)
}

fn server() -> (Server, String) {
    let server = Server::start(Reply::Decide(taken));
    let base = format!("http://{}", server.address);
    (server, base)
}

/// Everything of one kind that came to one path as JSON.
fn all(server: &Server, path: &str, steps: [&str; 3]) -> Vec<Value> {
    let requests = server.requests().into_iter().filter(|request| request.path == path);
    let mut found: Vec<Value> = requests.map(|request| serde_json::from_slice(&request.content()).unwrap()).collect();
    for step in steps {
        found = found.iter().flat_map(|value| value[step].as_array().unwrap().clone()).collect();
    }
    found
}

fn spans(server: &Server) -> Vec<Value> {
    all(server, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"])
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gate_tells_our_own_collector_and_a_changed_policy_as_well() {
    let dir = desk();
    let mut collect = command(&["collect", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--out", "collected"]);
    let mut running = Running(collect.current_dir(dir.path()).stdout(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::with_capacity(1, running.0.stdout.take().unwrap());
    let mut lines = String::new();
    said.read_line(&mut lines).unwrap();
    said.read_line(&mut lines).unwrap();
    let address = lines.split_whitespace().last().unwrap().parse::<SocketAddr>().unwrap();
    let endpoint = format!("http://{address}");
    let parent = ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let on = [("READINESS_ENABLE_OTEL", "1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), parent];
    gate(&dir, &on).expect(10);
    write(dir.path(), "policies.yaml", "policies: { error_rate: < 0.02 }\n");
    let second = gate(&dir, &on).expect(10);
    assert!(!second.stderr.contains("did not arrive"), "{}", second.stderr);
    signal(&running.0, "TERM");
    assert!(running.0.wait().unwrap().success());

    let stored = crate::support::lines_below(&dir.path().join("collected"));
    let of = |kind: &str, name: &str, key: &str| -> Vec<Value> {
        let lines = stored.iter().filter(|line| line["payload_type"] == kind && line["record"][key] == name);
        lines.map(|line| line["record"].clone()).collect()
    };
    let spans = of("otlp.span", "deployment.gate", "name");
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c", "it joins the trace of the CI");
        assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(span["status"]["message"], "MISSING_RELEASE_MANIFEST");
    }
    assert_eq!(of("otlp.log", "deployment.event", "eventName").len(), 2);
    let changes = of("otlp.log", "deployment.policy_change", "eventName");
    assert_eq!(changes.len(), 1, "the first decision had none before it");
    assert_eq!(changes[0]["traceId"], spans[0]["traceId"]);
}

#[test]
fn without_being_asked_it_tells_nobody_and_the_answer_is_the_same_either_way() {
    let dir = desk();
    let (server, base) = server();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", base.as_str());
    let off = gate(&dir, &[endpoint]).expect(10);
    let config = format!(
        "telemetry: {{transport: {{type: otlp, endpoint: '{base}', allow_plaintext: true, dev_allow_plaintext: true}}}}\n"
    );
    let file = write(dir.path(), "telemetry.yaml", &config);
    let words = ["gate", "manifest.json", "--env", "dev", "--key", "gate.key", "--telemetry", &file];
    run(dir.path(), &words, &[("READINESS_ENABLE_OTEL", "0")]).expect(10);
    assert_eq!(server.connections(), 0);
    let on = run(dir.path(), &words, &[]).expect(10);
    assert!(server.connections() > 0, "{}", on.stderr);
    // Apart from when it was asked.
    let head = |ran: &Ran| ran.stdout.lines().skip(1).filter(|line| !line.starts_with("decision ")).collect::<String>();
    assert_eq!(head(&off), head(&on));
}

#[test]
fn headers_are_decoded_and_shown_to_the_receiver() {
    let dir = desk();
    let (server, base) = server();
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Api-Token%20hunter2%3D,x-tenant=releases");
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "team=release%2Cnorth");
    let on = [("READINESS_ENABLE_OTEL", "1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &base), headers, resource];
    let ran = gate(&dir, &[&on[..], &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]].concat()).expect(10);
    let requests = server.requests();
    assert!(requests.len() >= 3, "logs, metrics and traces");
    for request in &requests {
        assert_eq!(request.headers["authorization"], "Api-Token hunter2=");
        assert_eq!(request.headers["x-tenant"], "releases");
        let body = String::from_utf8(request.content()).unwrap();
        assert!(
            body.contains("release,north") && body.contains("townlet-release") && !body.contains("hunter2"),
            "{body}"
        );
    }
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn whatever_becomes_of_the_telemetry_the_answer_and_its_exit_code_stand() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (nobody, silent) = (format!("http://{nobody}"), format!("http://{}", silent.local_addr().unwrap()));
    let dir = desk();
    for (variable, said) in [
        (("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()), "records did not arrive"),
        (("OTEL_EXPORTER_OTLP_ENDPOINT", silent.as_str()), "records did not arrive"),
        (("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318"), "telemetry is off"),
        (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "telemetry is off: OTEL_EXPORTER_OTLP_PROTOCOL"),
        (("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"), "telemetry is off"),
    ] {
        let began = Instant::now();
        let ran = gate(&dir, &[("READINESS_ENABLE_OTEL", "1"), variable]).expect(10);
        assert!(began.elapsed() < Duration::from_secs(30), "{variable:?}: {:?}", began.elapsed());
        assert!(ran.stdout.contains("MISSING_RELEASE_MANIFEST"), "{}", ran.stdout);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("hunter2"), "{variable:?}: {}", ran.stderr);
    }
    let words = ["gate", "manifest.json", "--env", "dev", "--key", "gate.key", "--telemetry", "absent.yaml"];
    assert!(run(dir.path(), &words, &[]).expect(10).stderr.contains("telemetry is off"));
}

#[test]
fn a_run_of_the_suites_and_a_rehearsal_tell_by_a_block_in_their_own_file() {
    let dir = TempDir::new().unwrap();
    let (server, base) = server();
    let block = format!(
        "telemetry: {{transport: {{type: otlp, endpoint: '{base}', allow_plaintext: true, dev_allow_plaintext: true, \
         format: json, send_timeout_seconds: 20}}, worker: {{shutdown_timeout_seconds: 10}}}}\n"
    );
    let suites = format!("{block}suites: [{{ name: unit, kind: unit, command: [\"true\"], timeout: 1m }}]\n");
    write(dir.path(), "suites.yaml", &suites);
    let words = ["readiness", "run", "--config", "suites.yaml", "--out", "out", "--revision", "r1"];
    run(dir.path(), &words, &[]).expect(0);
    let rollback = format!(
        "{block}name: undo\nenvironment: staging\ndeadline: 1m\nsteps: [{{ name: act, command: [\"true\"], deadline: 30s }}]\n\
         checks: [{{ name: look, command: [\"false\"], deadline: 30s }}]\n"
    );
    write(dir.path(), "rollback.yaml", &rollback);
    run(dir.path(), &["rehearse", "--config", "rollback.yaml", "--out", "out"], &[]).expect(1);
    let spans = spans(&server);
    let span =
        |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {spans:?}"));
    assert_eq!(span("readiness.suite")["parentSpanId"], span("readiness.run")["spanId"]);
    let report: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("out/readiness_report.json")).unwrap()).unwrap();
    assert_eq!(span("readiness.run")["traceId"], report["trace_id"], "the report names the trace");
    assert_eq!(span("governance.rollback_rehearsal")["status"]["code"], 2);
    let metrics = all(&server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    for name in ["readiness.passed", "readiness.duration_seconds", "deployment.rollback_rehearsal_duration"] {
        assert!(metrics.iter().any(|metric| metric["name"] == name), "{name}");
    }
}

/// A workspace whose release takes a second, and its folder for releases.
fn quick() -> (TempDir, std::path::PathBuf) {
    let dir = crate::init::workspace();
    run(dir.path(), &["init", "--person", "rosa"], &[]).expect(0);
    let release = dir.path().join("release");
    let suites = "suites: [{ name: tests, kind: unit, command: [\"true\"], timeout: 1m }]\n";
    write(&release, "readiness.yaml", suites);
    let draft = std::fs::read_to_string(release.join("release.yaml")).unwrap();
    write(&release, "release.yaml", &draft.replace("target/release/hello-app", "src/main.rs"));
    (dir, release)
}

#[test]
fn a_block_in_the_change_board_tells_of_every_command_and_a_rollback_has_a_span_of_its_own() {
    let (dir, release) = quick();
    let (server, base) = server();
    let board = std::fs::read_to_string(release.join("change-board.yaml")).unwrap();
    let block = format!(
        "telemetry: {{transport: {{type: otlp, endpoint: '{base}', allow_plaintext: true, dev_allow_plaintext: true, \
         format: json, send_timeout_seconds: 20}}, worker: {{shutdown_timeout_seconds: 10}}}}\n"
    );
    write(&release, "change-board.yaml", &format!("{board}{block}"));
    run(dir.path(), &["release", "--revision", "r-7"], &[]).expect(0);
    let manifest = "out/r-7.manifest.json";
    let by = ["--env", "dev", "--key", "keys/author.key"];
    let words = ["approve", manifest, "--role", "release-engineer", "--reason", "read it"];
    run(&release, &[&words[..], &by].concat(), &[]).expect(0);
    let deploy = [&["deploy", "run", manifest][..], &by].concat();
    let out = run(&release, &[&deploy[..], &["--", "true"]].concat(), &[]).expect(0);
    let id = out.stdout.trim();
    run(&release, &[&deploy[..], &["--undoes", id, "--", "true"]].concat(), &[]).expect(0);
    // Off is off, whatever stands in a file.
    run(&release, &[&deploy[..], &["--", "true"]].concat(), &[("READINESS_ENABLE_OTEL", "0")]).expect(0);

    let spans = spans(&server);
    let of = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    assert_eq!((of("readiness.run").len(), of("deployment.gate").len()), (1, 1));
    let (executions, rollbacks) = (of("deployment.execute"), of("deployment.rollback"));
    assert_eq!((executions.len(), rollbacks.len()), (1, 1), "{spans:?}");
    assert_eq!(rollbacks[0]["traceId"], executions[0]["traceId"]);
    let attributes = rollbacks[0]["attributes"].as_array().unwrap();
    let undoes = attributes.iter().find(|one| one["key"] == "townlet.deployment.undoes").unwrap();
    assert_eq!(undoes["value"]["stringValue"], id);
    let records = all(&server, "/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"]);
    let events = records.iter().filter(|record| record["eventName"] == "deployment.event").count();
    assert_eq!(events, 6, "a decision, an approval, and twice a beginning and an end");
}

#[test]
fn a_deployment_under_a_decision_tells_its_execution_and_its_lead_time() {
    let (dir, release) = quick();
    let (server, base) = server();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", base.as_str());
    let on = [("READINESS_ENABLE_OTEL", "1"), endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    run(dir.path(), &["release", "--revision", "r-7"], &on).expect(0);
    let words = ["deploy", "run", "out/r-7.manifest.json", "--env", "dev", "--key", "keys/author.key", "--"];
    run(&release, &[&words[..], &["true"]].concat(), &on).expect(0);
    run(&release, &[&words[..], &["false"]].concat(), &on).expect(1);
    let spans = spans(&server);
    let of = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (gate, executions) = (of("deployment.gate")[0], of("deployment.execute"));
    assert_eq!(executions.len(), 2);
    assert!(of("readiness.run").iter().chain(&executions).all(|span| span["traceId"] == gate["traceId"]), "one trace");
    assert_eq!((&executions[0]["status"]["code"], &executions[1]["status"]["code"]), (&1.into(), &2.into()));
    let records = all(&server, "/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"]);
    let events: Vec<&Value> = records.iter().filter(|record| record["eventName"] == "deployment.event").collect();
    assert_eq!(events.len(), 5, "a decision, and twice a beginning and an end");
    let metrics = all(&server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    let lead = metrics.iter().filter(|metric| metric["name"] == "deployment.publish_lead_time").collect::<Vec<_>>();
    assert!(!lead.is_empty(), "{metrics:?}");
    assert!(lead[0]["histogram"]["dataPoints"][0]["sum"].as_f64().is_some_and(|seconds| seconds > 0.0), "{lead:?}");
}

/// Reads what was sent with the messages that OpenTelemetry generates for Python.
const PROGRAM: &str = r#"
import json, sys
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
folder, found = sys.argv[1], {"spans": [], "events": [], "metrics": []}
for line in open(folder + "/index"):
    path, name = line.split()
    body = open(folder + "/" + name, "rb").read()
    if path == "/v1/traces":
        for r in ExportTraceServiceRequest.FromString(body).resource_spans:
            for s in (s for scope in r.scope_spans for s in scope.spans):
                found["spans"].append([s.name, s.trace_id.hex(), s.span_id.hex(), s.end_time_unix_nano - s.start_time_unix_nano, sorted(a.key for a in s.attributes)])
    elif path == "/v1/logs":
        for r in ExportLogsServiceRequest.FromString(body).resource_logs:
            found["events"] += [[l.event_name, l.trace_id.hex(), l.span_id.hex()] for scope in r.scope_logs for l in scope.log_records]
    else:
        for r in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            found["metrics"] += [m.name for scope in r.scope_metrics for m in scope.metrics]
print(json.dumps(found))
"#;

/// An interpreter with the messages: `TOWNLET_OTEL_PYTHON`, or `python3`. None where there is none, which is said, and is a
/// failure where `CI` is set.
fn python() -> Option<String> {
    let python = std::env::var("TOWNLET_OTEL_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut import = Command::new(&python);
    import.args(["-c", "import opentelemetry.proto.trace.v1.trace_pb2"]);
    let found = import.stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED: {python} has no OpenTelemetry messages (pip install opentelemetry-exporter-otlp-proto-http)");
    assert!(std::env::var_os("CI").is_none(), "with CI set, TOWNLET_OTEL_PYTHON has to name one with the SDK");
    None
}

#[test]
fn the_messages_of_the_python_sdk_read_what_a_gate_sends() {
    let Some(python) = python() else { return };
    let dir = desk();
    let (server, base) = server();
    gate(&dir, &[("READINESS_ENABLE_OTEL", "1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &base)]).expect(10);
    let mut index = String::new();
    for (n, request) in server.requests().iter().enumerate() {
        std::fs::write(dir.path().join(format!("body-{n}")), request.content()).unwrap();
        index += &format!("{} body-{n}\n", request.path);
    }
    write(dir.path(), "index", &index);
    let read = Command::new(python).args(["-c", PROGRAM, text(dir.path())]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: Value = serde_json::from_slice(&read.stdout).unwrap();
    let gate = found["spans"].as_array().unwrap().iter().find(|span| span[0] == "deployment.gate").unwrap();
    let ids = (gate[1].as_str().unwrap(), gate[2].as_str().unwrap());
    assert_eq!((ids.0.len(), ids.1.len()), (32, 16));
    assert!(gate[3].as_u64().is_some_and(|nanos| nanos > 0), "{gate}");
    let attributes: Vec<&str> = gate[4].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in ["cicd.pipeline.name", "cicd.pipeline.task.run.result", "deployment.environment.name", "error.type"] {
        assert!(attributes.contains(&name), "{name} is not among {attributes:?}");
    }
    let event = found["events"].as_array().unwrap().iter().find(|event| event[0] == "deployment.event").unwrap();
    assert_eq!((&event[1], &event[2]), (&gate[1], &gate[2]));
}
