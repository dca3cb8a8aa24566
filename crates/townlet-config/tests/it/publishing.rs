//! The keys of a sink that publishes figures.

use std::time::Duration;

use townlet_transport::Format;

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

fn otlp(keys: &str) -> String {
    format!("telemetry: {{transport: {{type: otlp, endpoint: 'https://c.example:4318', {keys}}}}}")
}

#[test]
fn an_otlp_sink_speaks_protobuf_and_publishes_unless_it_is_told_otherwise() {
    let settings = accept(&otlp("")).config.sinks.remove(0).settings;
    assert_eq!(settings.format, Format::Protobuf);
    assert!(settings.publish_metrics && settings.publish_traces);
    assert_eq!(settings.publish_interval, Duration::from_secs(10));
    let keys = "format: json, publish_metrics: false, publish_interval_seconds: 0.5, labels: {service.name: town}";
    let settings = accept(&otlp(keys)).config.sinks.remove(0).settings;
    assert_eq!((settings.format, settings.publish_metrics, settings.publish_traces), (Format::Json, false, true));
    assert_eq!(settings.publish_interval, Duration::from_millis(500));
    assert_eq!(settings.labels, [("service.name".to_owned(), "town".to_owned())]);
    for (keys, expected) in [
        ("format: ndjson", "conflict telemetry.transport.format"),
        ("publish_interval_seconds: 0", "out_of_range telemetry.transport.publish_interval_seconds"),
        ("settle_at: durable", "conflict telemetry.transport.settle_at"),
    ] {
        let found = diagnose(&otlp(keys));
        let errors: Vec<String> = found.errors().map(|d| format!("{} {}", d.code, d.key)).collect();
        assert_eq!(errors, [expected], "{keys}");
    }
    let http = diagnose("telemetry: {transport: {type: http, endpoint: 'https://c', format: protobuf}}");
    assert!(http.to_string().contains("use 'ndjson' or 'json'"), "{http}");
}

#[test]
fn a_publication_that_never_comes_is_said_to_have_no_effect() {
    let said = |keys: &str| -> Vec<String> {
        accept(&otlp(keys)).warnings.iter().map(|d| format!("{} {}", d.code, d.key)).collect()
    };
    let off = "publish_metrics: false, publish_traces: false";
    assert_eq!(
        said(&format!("{off}, publish_interval_seconds: 5")),
        ["no_effect telemetry.transport.publish_interval_seconds"]
    );
    assert_eq!(said("publish_metrics: false, export_fields: [tick]"), ["no_effect telemetry.transport.export_fields"]);
}
