//! Defaults, file, environment, `--set`.

use townlet_config::{Loader, Origin, Provider};

use crate::support::{lines, loader};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const FILE: &str = "telemetry:\n  transport:\n    type: file\n    file_path: logs/a\n    buffer: {max_batch_size: 8}\n";

#[test]
fn each_layer_overrides_the_one_below_key_by_key() {
    let loaded = loader()
        .environment(variables(&[
            ("TOWNLET_TELEMETRY__TRANSPORT__BUFFER__MAX_BATCH_SIZE", "16"),
            ("TOWNLET_TELEMETRY__TRANSPORT__FILE_PATH", "logs/b"),
            ("TOWNLET_TELEMETRY__NARRATION__PRIORITY_CATEGORIES", "[a, b]"),
            ("TOWNLET_RUNTIME__TELEMETRY", "stub"),
            ("TOWNLET_SOMETHING_ELSE", "x"),
            ("PATH", "/bin"),
        ]))
        .set("telemetry.transport.buffer.max_batch_size=32")
        .set("telemetry.transport.buffer.max_batch_size=64")
        .load_str("town.yaml", FILE)
        .unwrap();
    let sink = &loaded.config.sinks[0];
    assert_eq!(sink.buffer.max_batch_size, 64);
    assert_eq!(sink.buffer.max_buffer_bytes, 256_000);
    assert_eq!(sink.settings.file_path.as_deref(), Some("logs/b".as_ref()));
    assert_eq!(loaded.config.narration.priority_categories, ["a", "b"]);
    assert_eq!(loaded.config.provider, Provider::Stub);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);

    let origin = |key: &str| loaded.origin(key).to_string();
    assert_eq!(origin("telemetry.transport.type"), "line 3:5");
    assert_eq!(origin("telemetry.transport.file_path"), "environment variable TOWNLET_TELEMETRY__TRANSPORT__FILE_PATH");
    assert_eq!(
        origin("telemetry.transport.buffer.max_batch_size"),
        "--set telemetry.transport.buffer.max_batch_size=64"
    );
    assert_eq!(loaded.origin("telemetry.transport.buffer.max_buffer_bytes"), Origin::Default);
}

#[test]
fn a_sink_can_be_switched_by_overrides_alone() {
    let loaded = loader()
        .set("telemetry.transport.type=stdout")
        .set("telemetry.transport.file_path=null")
        .load_str("town.yaml", FILE)
        .unwrap();
    assert_eq!(loaded.config.sinks[0].transport_type, "stdout");
    assert_eq!(loaded.config.sinks[0].settings.file_path, None);
    // Without the second, the result would be the impossible mixture that the predecessor ran with.
    let found = loader().set("telemetry.transport.type=stdout").load_str("town.yaml", FILE).unwrap_err();
    assert_eq!(lines(&found), ["error not_for_type telemetry.transport.file_path 4:5"]);
}

#[test]
fn findings_name_the_layer_that_is_wrong() {
    let found = loader()
        .environment(variables(&[
            ("TOWNLET_TELEMETRY__TRANSPORT__BUFFER__MAX_BATCH_SIZE", "many"),
            ("TOWNLET_TELEMETRY__TRANSPORT__BUFFFER__MAX_BATCH_SIZE", "1"),
        ]))
        .set("telemetry.worker.restart_limit=0")
        .load_str("town.yaml", FILE)
        .unwrap_err();
    let shown: Vec<_> = found.iter().map(|d| (d.code.as_str(), d.file.as_str(), d.line)).collect();
    assert_eq!(
        shown,
        [
            ("wrong_type", "environment variable TOWNLET_TELEMETRY__TRANSPORT__BUFFER__MAX_BATCH_SIZE", 0),
            ("out_of_range", "--set telemetry.worker.restart_limit=0", 0),
            ("unknown_key", "environment variable TOWNLET_TELEMETRY__TRANSPORT__BUFFFER__MAX_BATCH_SIZE", 0),
        ]
    );
    insta::assert_snapshot!(found.to_string());
}

#[test]
fn overrides_that_name_no_key_are_refused() {
    for text in [
        "telemetry.transport.type",
        "transport.type=file",
        "telemetry=3",
        "telemetry..type=file",
        "telemetry.transforms.pipeline[0]=snapshot_normalizer",
        "telemetry.narration.priority_categories=[a",
        "console_auth.enabled=true",
        "=",
    ] {
        let found = loader().set(text).load_str("town.yaml", "telemetry: {}").unwrap_err();
        let codes: Vec<_> = found.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(codes, ["bad_override"], "{text}: {found}");
    }
    let single = variables(&[("TOWNLET_TELEMETRY_TRANSPORT_TYPE", "file")]);
    let loaded = loader().environment(single).load_str("town.yaml", "telemetry: {}").unwrap();
    assert_eq!(lines(&loaded.warnings), ["warning bad_override  0:0"]);
}

#[test]
fn text_from_above_the_file_needs_no_quotes() {
    let loaded = Loader::new()
        .environment(variables(&[("TOWNLET_TELEMETRY__PRODUCER", "7")]))
        .set("telemetry.transport.type=file")
        .set("telemetry.transport.file_path=/tmp/a: b #c=d")
        .load_str("town.yaml", "")
        .unwrap();
    assert_eq!(loaded.config.producer.as_deref(), Some("7"));
    assert_eq!(loaded.config.sinks[0].settings.file_path.as_deref(), Some("/tmp/a: b #c=d".as_ref()));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

#[test]
fn an_address_in_brackets_is_no_list() {
    for endpoint in ["[::1]:9000", "[2001:db8::7]:443"] {
        let set = Loader::new()
            .set("telemetry.transport.type=tcp")
            .set(format!("telemetry.transport.endpoint={endpoint}"))
            .load_str("town.yaml", "")
            .unwrap();
        assert_eq!(set.config.sinks[0].settings.endpoint.as_deref(), Some(endpoint));
        let given = Loader::new()
            .environment(variables(&[
                ("TOWNLET_TELEMETRY__TRANSPORT__ENDPOINT", endpoint),
                ("TOWNLET_TELEMETRY__TRANSPORT__TYPE", "tcp"),
            ]))
            .load_str("town.yaml", "")
            .unwrap();
        assert_eq!(given.config.sinks[0].settings.endpoint.as_deref(), Some(endpoint));
    }
}

#[test]
fn a_subject_that_begins_with_a_placeholder_is_no_mapping() {
    for subject in ["{partition}.{stream}", "{run_id}-x.{partition}.{stream}"] {
        let loaded = Loader::new()
            .environment(variables(&[("TOWNLET_TELEMETRY__TRANSPORT__NATS__SUBJECT", subject)]))
            .set("telemetry.transport.type=nats")
            .set("telemetry.transport.endpoint=tls://b.example")
            .load_str("town.yaml", "")
            .unwrap_or_else(|found| panic!("{found}"));
        assert_eq!(loaded.config.sinks[0].settings.broker.subject, subject);
    }
}

#[test]
fn a_sink_can_come_from_the_environment() {
    let loaded = loader()
        .environment(variables(&[
            ("TOWNLET_TELEMETRY__SINKS__LIVE__ENDPOINT", "c.example:9000"),
            ("TOWNLET_TELEMETRY__SINKS__LIVE__TYPE", "tcp"),
        ]))
        .load_str("town.yaml", "telemetry: {}")
        .unwrap();
    assert_eq!(loaded.config.sinks[1].name, "live");
}
