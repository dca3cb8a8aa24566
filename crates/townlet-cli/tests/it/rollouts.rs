//! `townlet plan`, `townlet backtest`, and `townlet lint` on plans.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{townlet, write};

/// 2025-01-22, 22:00 UTC.
const GO: u64 = 1_737_583_200_000;
const DAYS: u64 = 4;
const COLUMNS: [(&str, f64, f64); 8] = [
    ("cli_latency_p95_ms", 47.1, 0.02),
    ("cicd_success_ratio", 97.6, 0.002),
    ("resource_utilization_cpu_percent", 64.0, 0.02),
    ("telemetry_stream_lag_ms", 195.0, 0.04),
    ("parser_failure_total.delta", 0.0, 0.0),
    ("parse_duration_ms.p50", 58.1, 0.02),
    ("parse_duration_ms.p95", 83.5, 0.02),
    ("parse_batch_size.mean", 121.4, 0.03),
];

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/rollouts").join(name);
    path.to_str().expect("the path is text").to_owned()
}

/// Four days, then so many hours with the flag on, in which the parser takes `times` as long from the second hour on.
fn record(hours: u64, times: f64) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let mut out = format!("at_ms,{}\n", names.join(","));
    let mut state = 7_u64;
    // The sum of four even numbers is near enough to a bell.
    let mut noise = move || {
        let mut even = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        (even() + even() + even() + even()) * 1.73
    };
    for minute in 0..DAYS * 1440 + hours * 60 {
        let at = GO - DAYS * 1440 * 60_000 + minute * 60_000;
        write!(out, "{at}").expect("a text takes all");
        for (name, level, sd) in COLUMNS {
            let slower = name == "parse_duration_ms.p95" && at > GO + 2 * 3_600_000;
            let value = level * (1.0 + sd * noise()) * if slower { times } else { 1.0 };
            if at < GO && name.starts_with("parse_") {
                out.push(',');
            } else {
                write!(out, ",{value:.3}").expect("a text takes all");
            }
        }
        out.push('\n');
    }
    out
}

fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    PathBuf::from(write(dir.path(), name, text))
}

#[test]
fn the_plan_of_step_2_lints_clean_and_its_rules_can_be_relied_on() {
    townlet(&["lint", &sample("telemetry-step2.yaml")]).expect(0);
    let dir = TempDir::new().unwrap();
    let history = file(&dir, "history.csv", &record(0, 1.0));
    let words = ["plan", &sample("telemetry-step2.yaml"), "--history", history.to_str().unwrap()];
    let ran = townlet(&[&words[..], &["--runs", "20", "--faulty-runs", "6", "--json"]].concat()).expect(0);
    let told = ran.json();
    assert_eq!(told["rules"].as_array().map(Vec::len), Some(16));
    assert!(told["false_rollback"].as_f64().unwrap() < 0.05, "{told}");
    let text = townlet(&[&words[..], &["--runs", "5", "--faulty-runs", "3", "--log"]].concat()).expect(0).stdout;
    assert!(text.contains("-> Succeeded") && text.contains("parse-p95-shift"), "{text}");
    for part in [
        "  parse_duration_ms.p95: stated in the plan, so nothing is checked\n",
        "  cli_latency_p95_ms: 6 assumptions, all hold\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("days of history"), "{text}");
    let checks = [&words[..], &["--runs", "5", "--faulty-runs", "3", "--checks"]].concat();
    let text = townlet(&checks).expect(0).stdout;
    assert!(text.contains("    days of history: 4.000 (at least 3): holds\n"), "{text}");
    let assumed = &told["assumed"][3];
    assert_eq!(assumed["metric"], "cli_latency_p95_ms");
    assert_eq!(assumed["checks"][0]["assumption"], "days of history");
    assert_eq!(assumed["checks"][0]["holds"], true);
}

#[test]
fn a_rule_that_undoes_healthy_rollouts_is_refused() {
    let dir = TempDir::new().unwrap();
    let history = file(&dir, "history.csv", &record(0, 1.0));
    let plan = std::fs::read_to_string(sample("telemetry-step2.yaml")).unwrap();
    let nervous = plan.replace("telemetry_stream_lag_ms > 400ms for 10m", "telemetry_stream_lag_ms > 200ms for 2m");
    let nervous = file(&dir, "nervous.yaml", &nervous);
    let words = ["plan", nervous.to_str().unwrap(), "--history", history.to_str().unwrap(), "--runs", "20"];
    let ran = townlet(&[&words[..], &["--faulty-runs", "3"]].concat()).expect(1);
    assert!(ran.stdout.contains("refused: lag-target: it undoes 100.0 % of healthy rollouts"), "{}", ran.stdout);
}

#[test]
fn a_plan_with_a_fault_a_history_with_one_and_none_at_all_have_their_own_exit_codes() {
    let dir = TempDir::new().unwrap();
    let plan = std::fs::read_to_string(sample("telemetry-step2.yaml")).unwrap();
    let typo = file(&dir, "typo.yaml", &plan.replace("observation:", "obsevation:"));
    let good = sample("telemetry-step2.yaml");
    let history = file(&dir, "history.csv", "at_ms,cli_latency_p95_ms\n1,2\n1,3\n");
    let few = file(&dir, "few.csv", "at_ms,cli_latency_p95_ms\n1,2\n2,3\n");
    let (typo, history) = (typo.to_str().unwrap(), history.to_str().unwrap());
    let ran = townlet(&["plan", typo, "--history", history]).expect(2);
    assert!(ran.stderr.contains("write observation") && ran.stderr.contains("typo.yaml:"), "{}", ran.stderr);
    townlet(&["lint", typo]).expect(2);
    let ran = townlet(&["plan", &good, "--history", history]).expect(2);
    assert!(ran.stderr.contains("line 3"), "{}", ran.stderr);
    let ran = townlet(&["plan", &good, "--history", few.to_str().unwrap()]).expect(3);
    assert!(ran.stderr.contains("no column cicd_success_ratio"), "{}", ran.stderr);
    townlet(&["plan", &good, "--history", "nowhere.csv"]).expect(3);
}

#[test]
fn a_backtest_says_when_the_plan_and_the_rules_of_others_would_have_acted() {
    let dir = TempDir::new().unwrap();
    let go = GO.to_string();
    let run = |name: &str, text: &str, json: &[&str]| {
        let csv = file(&dir, name, text);
        townlet(
            &[&["backtest", &sample("telemetry-step2.yaml"), "--csv", csv.to_str().unwrap(), "--go", &go], json]
                .concat(),
        )
    };
    let folder = dir.path().join("snapshots");
    let ran = run("healthy.csv", &record(49, 1.0), &["--json", "--snapshots", folder.to_str().unwrap()]).expect(0);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (lines, table, schema) = (read("snapshots.jsonl"), read("snapshots.csv"), read("snapshots.schema.json"));
    assert_eq!((lines.lines().count(), table.lines().count()), (24, 25), "eight metrics at baseline, 24h and 48h");
    let row: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&row["checkpoint"], &row["metric"]), (&"48h".into(), &"telemetry_stream_lag_ms".into()));
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(table.split(',').next(), schema[0]["name"].as_str());
    assert!(ran.json()["ending"].as_str().unwrap().starts_with("would have been signed at T+2d"), "{}", ran.stdout);
    let ran = run("slower.csv", &record(8, 1.3), &[]).expect(1);
    for part in ["undone at T+2h", "parse-p95-shift", "checklist, 5-min baseline", "Argo-style", "Kayenta-style"] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    run("short.csv", &record(8, 1.0), &[]).expect(3);
    // The same moment as people write it.
    let slower = dir.path().join("slower.csv");
    let words = ["backtest", &sample("telemetry-step2.yaml"), "--csv", slower.to_str().unwrap(), "--go"];
    let ran = townlet(&[&words[..], &["2025-01-22T22:00:00Z"]].concat()).expect(1);
    assert!(ran.stdout.contains("undone at T+2h"), "{}", ran.stdout);
    let ran = townlet(&[&words[..], &["yesterday"]].concat()).expect(2);
    assert!(ran.stderr.contains("nor milliseconds since 1970"), "{}", ran.stderr);
    townlet(&["backtest", &sample("telemetry-step2.yaml"), "--csv", &sample("telemetry-step2.yaml"), "--go", "1"])
        .expect(2);
}
