//! `dead_letters`: what a real peer refuses for good ends in a file, and is sent again from there.

use serde_json::Value;
use tempfile::TempDir;
use townlet_testkit::http::{Reply, Request, Server, status};

use crate::support::{text, townlet, townlet_in, write};

/// Refuses whatever holds a line of tick 7.
fn not_the_seventh(request: &Request) -> Reply {
    let seventh = request.lines().iter().any(|line| tick(&serde_json::from_slice(line).unwrap()) == Some(7));
    status(if seventh { 422 } else { 200 })
}

/// Of OTLP: every record is wrong.
fn nothing(request: &Request) -> Reply {
    status(if request.path == "/v1/logs" { 400 } else { 200 })
}

fn tick(line: &Value) -> Option<u64> {
    line["tick"].as_u64()
}

fn json_lines(path: &std::path::Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_peer_answers_with_4xx_is_kept_with_its_reason_and_replayed() {
    for (kind, decide) in [("http", not_the_seventh as fn(&Request) -> Reply), ("otlp", nothing)] {
        let dir = TempDir::new().unwrap();
        let server = Server::start(Reply::Decide(decide));
        let yaml = format!(
            "telemetry:\n  diff_enabled: false\n  transport:\n    type: {kind}\n    endpoint: http://{}/\n    \
             allow_plaintext: true\n    dev_allow_plaintext: true\n    settle_at: peer_acked\n    send_timeout_seconds: 30\n    \
             buffer: {{max_buffer_bytes: 8388608}}\n    dead_letters: {{path: refused.jsonl}}\n",
            server.address
        );
        let config = write(dir.path(), "town.yaml", &yaml);
        let status = dir.path().join("status.json");
        let arguments = ["simulate", "--config", &config, "--ticks", "12", "--agents", "3", "--deterministic"];
        townlet_in(dir.path(), &[&arguments[..], &["--status-path", text(&status)]].concat()).expect(0);
        let status: Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
        let (statement, letters) = (&status["statement"], &status["dead_letters"][0]);
        let refused = statement["dropped"]["rejected"].as_u64().unwrap();
        assert!(refused > 0 && statement["residual"] == 0, "{statement}");
        assert_eq!((&letters["kept"], &letters["failed"]), (&refused.into(), &0.into()), "{letters}");

        let refused_file = dir.path().join("refused.jsonl");
        let kept = json_lines(&refused_file);
        for letter in &kept {
            let about = &letter["dead_letter"];
            assert_eq!((&about["sink"], &about["reason"]), (&"main".into(), &"rejected".into()));
            let code = if kind == "http" { "422" } else { "400" };
            assert!(about["error"].as_str().unwrap().contains(code), "{about}");
            assert!(kind != "http" || tick(&letter["line"]) == Some(7), "the others were taken");
        }
        let file = "telemetry:\n  transport: {type: file, file_path: again.jsonl}\n";
        let account =
            townlet(&["replay", text(&refused_file), "--config", &write(dir.path(), "f.yaml", file), "--json"]);
        assert_eq!(account.expect(0).json()["statement"]["delivered"], refused);
        let again = json_lines(&dir.path().join("again.jsonl"));
        let again: Vec<&Value> = again.iter().filter(|line| line["payload_type"] != "run").collect();
        assert_eq!(again, kept.iter().map(|letter| &letter["line"]).collect::<Vec<_>>(), "{kind}");
    }
}
