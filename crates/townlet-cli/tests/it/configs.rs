//! The sample configurations, each run.

use tempfile::TempDir;

use crate::support::{Collector, samples, text, townlet, townlet_in};

/// Copies `samples/configs` with certificates beside it, pointing tcp sinks at `port`.
fn prepared(dir: &TempDir, port: u16) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(samples().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        let copy = dir.path().join(&name);
        if path.is_file() {
            let yaml = std::fs::read_to_string(&path).unwrap();
            let yaml: Vec<String> = yaml
                .lines()
                .map(|line| match line.split_once("endpoint: ") {
                    Some((indent, _)) => format!("{indent}endpoint: localhost:{port}"),
                    None => line.to_owned(),
                })
                .collect();
            std::fs::write(&copy, yaml.join("\n") + "\n").unwrap();
            files.push(copy);
        }
    }
    files.sort();
    files
}

#[test]
fn every_sample_configuration_runs_and_balances() {
    let dir = TempDir::new().unwrap();
    let certs = dir.path().join("tls");
    townlet(&["certs", "--out", text(&certs)]).expect(0);
    let collector = Collector::start(&certs, &dir.path().join("collected"));
    let files = prepared(&dir, collector.port);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let status = dir.path().join("status.json");
        townlet_in(
            dir.path(),
            &["simulate", "--config", text(&file), "--ticks", "20", "--agents", "3", "--status-path", text(&status)],
        )
        .expect(0);
        let status: serde_json::Value = serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap();
        assert_eq!(status["statement"]["residual"], 0, "{}: {status}", file.display());
        assert!(status["statement"]["delivered"].as_u64() > Some(0), "{}: {status}", file.display());
    }
}
