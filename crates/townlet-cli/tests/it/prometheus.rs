//! The whole way: a town with a configuration, and the programs that read its figures.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{text, townlet_in, write};

const CONFIG: &str = "
telemetry:
  transport: {type: file, file_path: town.jsonl}
  sinks:
    metrics:
      type: prometheus
      file_path: textfile/town.prom
      labels: {shard: a}
      export_fields: [stability.metrics.*, tick]
      buffer: {max_buffer_bytes: 8388608, flush_interval_ticks: 10}
";

/// One sample of the file, by its whole name.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// The sum over all samples that begin like this.
fn sum(text: &str, start: &str, sink: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(start) && line.contains(&format!("sink=\"{sink}\"")));
    samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

fn run(dir: &Path, config: &str) -> String {
    townlet_in(dir, &["simulate", "--config", config, "--ticks", "40", "--agents", "4"]).expect(0);
    std::fs::read_to_string(dir.join("textfile/town.prom")).unwrap()
}

#[test]
fn the_figures_of_a_town_balance_grow_from_run_to_run_and_please_promtool() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "town.yaml", CONFIG);
    let mut before = 0.0;
    for _ in 0..2 {
        let figures = run(dir.path(), &config);
        let messages = sample(&figures, "townlet_telemetry_messages_total{shard=\"a\"}");
        assert!(messages > before, "{messages} after {before}");
        before = messages;
        for sink in ["main", "metrics"] {
            let of = |name: &str| sum(&figures, &format!("townlet_telemetry_{name}{{"), sink);
            let ended = of("delivered_total") + of("dropped_total") + of("coalesced_total");
            assert_eq!(of("accepted_total"), ended + of("buffered") + of("spilled"), "{sink}:\n{figures}");
            assert!(of("accepted_total") > 0.0 && of("residual") == 0.0);
        }
        // The last write is after the last delivery.
        assert_eq!(sum(&figures, "townlet_telemetry_buffered{", "metrics"), 0.0);
        assert_eq!(sum(&figures, "townlet_telemetry_delivered_total{", "metrics"), messages);
        assert!(figures.contains("townlet_telemetry_field{path=\"stability.metrics."), "{figures}");
        promtool(&figures);
    }
}

pub(crate) fn promtool(figures: &str) {
    promtool_but(figures, "a name that nobody prescribes");
}

/// Asks promtool, which may find fault with names that begin like this.
pub(crate) fn promtool_but(figures: &str, prescribed: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        let message = "promtool is not installed (apt-get install prometheus)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        eprintln!("SKIPPED: {message}");
        return;
    };
    child.stdin.take().unwrap().write_all(figures.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let faults: Vec<_> = said.lines().filter(|line| !line.starts_with(prescribed)).collect();
    // 3: with nothing but names.
    assert!(matches!(output.status.code(), Some(0 | 3)) && faults.is_empty(), "{said}\n{figures}");
}

#[test]
fn a_key_that_cannot_be_used_is_refused_with_its_line() {
    let dir = TempDir::new().unwrap();
    for (key, says) in [
        ("export_fields: [a..b]", "export_fields: \"a..b\" has an empty name in it"),
        ("labels: {sink: x}", "labels: \"sink\" is taken"),
        ("scrape_listen: 10.0.0.1:9464", "is not this machine alone"),
        ("worker: {backpressure: fan_out}", "'fan_out' needs a second connection"),
    ] {
        let yaml = format!(
            "telemetry:\n  sinks:\n    metrics:\n      type: prometheus\n      file_path: t.prom\n      {key}\n"
        );
        let config = write(dir.path(), "bad.yaml", &yaml);
        let ran = townlet_in(dir.path(), &["validate", &config]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.code != 0 && said.contains(says) && said.contains(&format!("{}:6:", text(Path::new(&config)))),
            "{said}"
        );
    }
}
