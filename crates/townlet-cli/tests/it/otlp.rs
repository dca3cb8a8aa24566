//! The whole way: a town with a configuration, and what an OTLP receiver got of it.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;
use townlet_testkit::http::{Reply, Request, Server};

use crate::support::{text, townlet_in, write};

fn taken(_: &Request) -> Reply {
    Reply::Body(200, "Content-Type: application/json\r\n".into(), b"{}".to_vec())
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

#[test]
fn the_records_at_an_otlp_receiver_are_those_that_the_ledger_calls_delivered() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(Reply::Decide(taken));
    let yaml = format!(
        "telemetry:\n  transport:\n    type: otlp\n    endpoint: http://{}/\n    allow_plaintext: true\n    \
         dev_allow_plaintext: true\n    format: json\n    compression: gzip\n    settle_at: peer_acked\n    \
         send_timeout_seconds: 30\n    labels: {{service.name: town}}\n    export_fields: [stability.metrics.*]\n    \
         buffer: {{max_buffer_bytes: 8388608}}\n",
        server.address
    );
    let config = write(dir.path(), "town.yaml", &yaml);
    let status = dir.path().join("status.json");
    townlet_in(
        dir.path(),
        &["simulate", "--config", &config, "--ticks", "30", "--agents", "4", "--status-path", text(&status)],
    )
    .expect(0);
    let status: Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
    let statement = &status["statement"];
    assert_eq!((&statement["residual"], &statement["dropped"]), (&0.into(), &serde_json::json!({})), "{statement}");

    let records = all(&server, "/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"]);
    let delivered = statement["delivered"].as_u64().unwrap();
    assert!(records.len() as u64 >= delivered && delivered > 30, "{} of {delivered}", records.len());
    let names: BTreeSet<&str> = records.iter().filter_map(|record| record["eventName"].as_str()).collect();
    assert!(names.contains("townlet.snapshot") && names.contains("townlet.diff"), "{names:?}");

    let metrics = all(&server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    let names: BTreeSet<&str> = metrics.iter().filter_map(|metric| metric["name"].as_str()).collect();
    for name in ["accepted", "delivered", "dropped", "residual", "flush_duration_seconds", "field"] {
        assert!(names.contains(format!("townlet.telemetry.{name}").as_str()), "{name} is not among {names:?}");
    }
    let spans = all(&server, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"]);
    assert!(spans.iter().any(|span| span["name"] == "flush"));
}
