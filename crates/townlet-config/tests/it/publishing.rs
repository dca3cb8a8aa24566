//! The keys of a sink that publishes figures.

use crate::support::{accept, diagnose};

fn sink(keys: &str) -> String {
    format!("telemetry: {{transport: {{type: prometheus, {keys}}}}}")
}

fn warnings(keys: &str) -> Vec<String> {
    let loaded = accept(&sink(keys));
    loaded.warnings.iter().map(|d| format!("{} {}", d.code, d.key)).collect()
}

#[test]
fn a_file_an_endpoint_or_both_make_a_sink() {
    for keys in [
        "file_path: m.prom",
        "scrape_listen: 'localhost:9464'",
        "scrape_listen: '[::1]:9464', file_path: textfile/m.prom",
    ] {
        assert_eq!(warnings(keys), [""; 0], "{keys}");
    }
    let keys = "file_path: m.prom, labels: {shard: 7, site: east}, export_fields: ['a.*'], export_max_series: 3";
    let settings = accept(&sink(keys)).config.sinks.remove(0).settings;
    assert_eq!(settings.labels, [("shard".to_owned(), "7".to_owned()), ("site".to_owned(), "east".to_owned())]);
    assert_eq!((settings.export_fields, settings.export_max_series), (vec!["a.*".to_owned()], 3));
    let defaults = accept(&sink("file_path: m.prom")).config.sinks.remove(0).settings;
    assert_eq!((defaults.export_max_series, defaults.scrape_listen), (256, None));
}

#[test]
fn scrapes_are_for_this_machine_alone() {
    for (listen, expected) in [
        ("'0.0.0.0:9464'", "plaintext telemetry.transport.scrape_listen"),
        ("'metrics.example:9464'", "plaintext telemetry.transport.scrape_listen"),
        ("'127.0.0.1'", "endpoint telemetry.transport.scrape_listen"),
        ("'http://127.0.0.1:9464'", "endpoint telemetry.transport.scrape_listen"),
        ("9464", "wrong_type telemetry.transport.scrape_listen"),
    ] {
        let found = diagnose(&sink(&format!("file_path: m.prom, scrape_listen: {listen}")));
        let errors: Vec<String> = found.errors().map(|d| format!("{} {}", d.code, d.key)).collect();
        assert_eq!(errors, [expected], "{listen}");
    }
}

#[test]
fn what_would_have_no_effect_is_said() {
    assert_eq!(warnings("file_path: m.txt"), ["no_effect telemetry.transport.file_path"]);
    assert_eq!(
        warnings("file_path: m.prom, scrape_token_file: t"),
        ["no_effect telemetry.transport.scrape_token_file"]
    );
    assert_eq!(
        warnings("file_path: m.prom, export_max_series: 9"),
        ["no_effect telemetry.transport.export_max_series"]
    );
}

#[test]
fn labels_are_texts_by_name() {
    for (labels, key) in [("[a]", "labels"), ("{a: [b]}", "labels.a"), ("{a: {b: c}}", "labels.a")] {
        let found = diagnose(&sink(&format!("file_path: m.prom, labels: {labels}")));
        let errors: Vec<String> = found.errors().map(|d| format!("{} {}", d.code, d.key)).collect();
        assert_eq!(errors, [format!("wrong_type telemetry.transport.{key}")], "{labels}");
    }
}
