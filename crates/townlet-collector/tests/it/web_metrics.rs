//! `/metrics` and `/v1/streams`.

use townlet_collector::web::WebOptions;

use crate::support::*;
use crate::web_support::*;

#[test]
fn each_stream_has_its_figures_and_its_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut bytes = lines("town", [1, 2, 5, 5, 8]);
    bytes.extend_from_slice(b"{\"broken\n");
    send_plain(&collector, &bytes);
    let run = run_id(1);
    let of = |name: &str| format!("{name}{{run_id=\"{run}\",stream=\"town\"}}");
    let metrics = metrics(&collector);
    for (name, value) in [
        (of("townlet_stream_lines_total"), 5.0),
        (of("townlet_stream_missing_lines"), 4.0),
        (of("townlet_stream_duplicates_total"), 1.0),
        (of("townlet_stream_last_seq"), 8.0),
        (of("townlet_stream_last_tick"), 16.0),
        (of("townlet_stream_loss_ratio"), 0.5),
        ("townlet_collector_lines_total{outcome=\"stored\"}".into(), 4.0),
        ("townlet_collector_lines_total{outcome=\"duplicate\"}".into(), 1.0),
        ("townlet_collector_lines_total{outcome=\"invalid\"}".into(), 1.0),
        ("townlet_collector_missing_lines".into(), 4.0),
        ("parser_failure_total{error_code=\"syntax\"}".into(), 1.0),
        ("parser_failure_total{error_code=\"utf8\"}".into(), 0.0),
        ("parse_batch_size_sum".into(), 6.0),
    ] {
        assert_eq!(metrics.get(&name), Some(&value), "{name}");
    }
    assert!(metrics["parse_duration_ms_count"] >= 1.0 && metrics["parse_duration_ms_sum"] > 0.0);
    assert_eq!(metrics["parse_duration_ms_count"], metrics["parse_batch_size_count"]);
    assert!(metrics[&of("townlet_stream_silent_seconds")] < 20.0);

    let streams = Client::of(&collector).get("/v1/streams");
    let streams: serde_json::Value = serde_json::from_str(&streams.body).unwrap();
    let town = &streams["streams"][0];
    assert_eq!((town["run_id"].as_str(), town["stream"].as_str()), (Some(run.as_str()), Some("town")));
    assert_eq!(town["gaps"], serde_json::json!([{"first": 3, "last": 4}, {"first": 6, "last": 7}]));
    assert_eq!((&town["missing"], &town["loss_ratio"]), (&4.into(), &0.5.into()));
    assert_eq!(collector.shards()[0].last_seq, 8);
    stop(collector);
}

#[test]
fn the_number_of_label_sets_is_capped_and_the_rest_is_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), WebOptions { metric_streams: 3, ..web_options() });
    for n in 1..=5 {
        send_plain(&collector, &line_of(&run_id(n), "town", 2));
    }
    let metrics = metrics(&collector);
    let named = metrics.keys().filter(|name| name.starts_with("townlet_stream_lines_total")).count();
    assert_eq!(named, 4);
    assert_eq!(metrics["townlet_stream_lines_total{run_id=\"other\",stream=\"other\"}"], 2.0);
    assert_eq!(metrics["townlet_stream_missing_lines{run_id=\"other\",stream=\"other\"}"], 2.0);
    assert_eq!(metrics["townlet_collector_streams"], 5.0);
    stop(collector);
}

/// Counters never go back, whichever streams leave memory, and nothing is counted in two series.
#[test]
fn a_stream_that_leaves_memory_goes_on_counting_where_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let options = townlet_collector::CollectorOptions {
        max_streams: 2,
        web: Some(WebOptions { metric_streams: 1, ..web_options() }),
        ..plain(dir.path())
    };
    let collector = townlet_collector::Collector::bind(options).unwrap();
    let mut before = 0.0;
    for n in 1..=6 {
        send_plain(&collector, &line_of(&run_id(n), "town", 1));
        wait_for(&collector, "the end", |report| report.connections_open == 0);
        let metrics = metrics(&collector);
        let other = metrics["townlet_stream_lines_total{run_id=\"other\",stream=\"other\"}"];
        assert!(other >= before, "{other} after {before}");
        before = other;
        assert_eq!(other, f64::from(u32::try_from(n).unwrap() / 2), "every second one has no series of its own");
        wait_for(&collector, "the scrape to end", |report| report.connections_open == 0);
    }
    assert_eq!(before, 3.0);
    stop(collector);
}

#[test]
fn a_name_with_every_evil_character_is_one_label_still() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let evil = "a\\b\"c\nd}{e";
    let line = serde_json::json!({"run_id": "r", "stream": evil, "seq": 1, "tick": 1}).to_string() + "\n";
    send_plain(&collector, line.as_bytes());
    let metrics = metrics(&collector);
    assert_eq!(metrics[r#"townlet_stream_lines_total{run_id="r",stream="a\\b\"c\nd}{e"}"#], 1.0);
    stop(collector);
}

/// A scrape with one sample twice is refused, or half of it lost.
#[test]
fn a_stream_with_the_name_of_the_sum_of_many_is_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    for (run, stream) in [("other", "other"), ("other", "town"), ("r", "other")] {
        let line = serde_json::json!({"run_id": run, "stream": stream, "seq": 1, "tick": 1}).to_string() + "\n";
        send_plain(&collector, line.as_bytes());
    }
    let text = Client::of(&collector).get("/metrics").body;
    stop(collector);
    let names: Vec<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), different.len(), "{text}");
    assert!(text.contains("townlet_stream_lines_total{run_id=\"other\",stream=\"other\"} 1\n"), "{text}");
}

/// The second opinion on the text is Prometheus' own.
#[test]
fn promtool_reads_what_is_exposed_and_finds_fault_with_the_prescribed_names_only() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    send_plain(&collector, &lines("town", [1, 3]));
    let text = Client::of(&collector).get("/metrics").body;
    stop(collector);
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no promtool to read the metrics");
        assert!(std::env::var_os("CI").is_none(), "with CI set, promtool has to be there");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // The rollout asks for milliseconds under this name.
    let faults: Vec<_> = said.lines().filter(|line| !line.starts_with("parse_duration_ms ")).collect();
    assert!(faults.is_empty(), "{said}");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
}
